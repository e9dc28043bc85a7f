/* huge.c - blocks of whole chunks and a tail. */
#include <string.h>
#include "os/os.h"
#include "page/page.h"
#include "page/inside.h"

static struct chunk *chunk_at(uintptr_t base, size_t index) {
	return map_chunk(base + index * CHUNK);
}

/* Whole chunks from the pool become part of a huge block. Returns whether all of it is clean. */
static bool fill_whole(struct pages *pages, uintptr_t base, size_t count) {
	bool clean = true;
	for (size_t i = 0; i < count; i++) {
		struct chunk *chunk = chunk_at(base, i);
		clean &= chunk_is_clean(chunk, 0, CHUNK_PAGES);
		(void)chunk_take_at(chunk, 0, CHUNK_PAGES);
		chunk->owner = pages;
	}
	return clean;
}

/* Empties whole chunks of a huge block; they are ready for the pool then. */
static void empty_whole(uintptr_t base, size_t count, enum page_state state) {
	for (size_t i = 0; i < count; i++)
		chunk_give(chunk_at(base, i), 0, CHUNK_PAGES, state);
}

/* The last chunk of a block is shared, with the block's last `tail` pages in front. */
static bool share_tail(struct pages *pages, struct chunk *chunk, unsigned tail) REQUIRES(pages->lock) {
	bool clean = chunk_is_clean(chunk, 0, tail);
	(void)chunk_take_at(chunk, 0, tail);
	pages_adopt(pages, chunk);
	return clean;
}

struct span *huge_take(struct pages *pages, enum span_kind kind, size_t count, size_t align) {
	size_t whole = count / CHUNK_PAGES;
	unsigned tail = (unsigned)(count % CHUNK_PAGES);
	struct chunk *first =
		pool_take(load_acquire(&pages->pool), whole + (tail != 0), size_max(align, CHUNK));
	if (first == NULL)
		return NULL;
	lock_take(&pages->lock);
	struct span *span = pages_new_span(pages, kind);
	if (span != NULL) {
		span->chunk = first;
		span->base = first->base;
		span->pages = count;
		span->zeroed = fill_whole(pages, first->base, whole);
		if (tail != 0)
			span->zeroed &= share_tail(pages, chunk_at(first->base, whole), tail);
		pages->active += count;
	}
	lock_drop(&pages->lock);
	if (span == NULL)
		pool_give(load_acquire(&pages->pool), first, whole + (tail != 0));
	return span;
}

/* -- giving back ----------------------------------------------------------------------------------------------- */

/* Counts and marks the chunks of [base, base + count chunks) that are not marked yet. */
static size_t mark_moved(uintptr_t base, size_t count, bool mark) {
	size_t unmarked = 0;
	for (size_t i = 0; i < count; i++) {
		struct chunk *chunk = chunk_at(base, i);
		unmarked += !chunk->moved;
		if (mark)
			chunk->moved = true;
	}
	return unmarked;
}

/* What the kernel moved out of gets a fresh mapping, so that mappings merge again. */
static void refresh(struct pages *pages, uintptr_t base, size_t count) {
	if (os_refresh((void *)base, count * CHUNK) != 0)
		return;
	size_t marked = count - mark_moved(base, count, false);
	for (size_t i = 0; i < count; i++)
		chunk_at(base, i)->moved = false;
	pool_note_fresh(load_acquire(&pages->pool), marked);
}

void huge_give(struct pages *pages, struct span *span) {
	enum page_state state = span->moved_out ? PAGE_CLEAN : PAGE_DIRTY;
	uintptr_t base = span->base;
	size_t whole = span->pages / CHUNK_PAGES;
	unsigned tail = (unsigned)(span->pages % CHUNK_PAGES);
	struct chunk *last = NULL;
	if (span->moved_out && whole > 0)
		refresh(pages, base, whole);
	empty_whole(base, whole, state);
	lock_take(&pages->lock);
	if (tail != 0)
		last = pages_give_run(pages, chunk_at(base, whole), 0, tail, PAGE_DIRTY);
	pages->active -= span->pages;
	pages_old_span(pages, span);
	lock_drop(&pages->lock);
	if (whole + (last != NULL) > 0)
		pool_give(load_acquire(&pages->pool), whole > 0 ? chunk_at(base, 0) : last,
		          whole + (last != NULL));
}

/* -- resizing -------------------------------------------------------------------------------------------------- */

/* Gives pages [count, old) of the block back. The chunk that holds page `count` becomes, or stays, shared. */
static void shrink(struct pages *pages, struct span *span, size_t count) {
	uintptr_t base = span->base;
	size_t old = span->pages, keep = count / CHUNK_PAGES, whole = old / CHUNK_PAGES;
	unsigned tail = (unsigned)(old % CHUNK_PAGES), new_tail = (unsigned)(count % CHUNK_PAGES);
	struct chunk *last = NULL;
	size_t freed_from = keep + (new_tail != 0);
	if (whole > freed_from)
		empty_whole(chunk_at(base, freed_from)->base, whole - freed_from, PAGE_DIRTY);
	lock_take(&pages->lock);
	if (keep < whole) {
		if (tail != 0)
			last = pages_give_run(pages, chunk_at(base, whole), 0, tail, PAGE_DIRTY);
		if (new_tail != 0) {
			struct chunk *chunk = chunk_at(base, keep);
			chunk_give(chunk, new_tail, CHUNK_PAGES - new_tail, PAGE_DIRTY);
			pages_adopt(pages, chunk);
		}
	} else {
		last = pages_give_run(pages, chunk_at(base, keep), new_tail, tail - new_tail, PAGE_DIRTY);
	}
	pages->active -= old - count;
	span->pages = count;
	lock_drop(&pages->lock);
	size_t freed = (whole > freed_from ? whole - freed_from : 0) + (last != NULL);
	if (freed > 0)
		pool_give(load_acquire(&pages->pool), whole > freed_from ? chunk_at(base, freed_from) : last,
		          freed);
}

/* The rest of the last, shared chunk joins the block, which then ends with the chunk. */
static bool fill_tail(struct pages *pages, struct span *span, unsigned tail, unsigned count)
	REQUIRES(pages->lock) {
	struct chunk *chunk = map_chunk(span->base + (span->pages - tail) * PAGE);
	pages_note(pages, chunk, false);
	bool done = chunk_take_at(chunk, tail, count);
	pages_note(pages, chunk, true);
	if (!done)
		return false;
	(void)pages_settle(pages, chunk);
	span->pages += count;
	pages->active += count;
	if (tail + count == CHUNK_PAGES) {
		pages_unlist(pages, chunk);
		store_relaxed(&chunk->state, CHUNK_WHOLE);
	}
	return true;
}

static bool grow(struct pages *pages, struct span *span, size_t count) {
	size_t old = span->pages;
	unsigned tail = (unsigned)(old % CHUNK_PAGES);
	size_t in_last = tail == 0 ? 0 : size_min(CHUNK_PAGES - tail, count - old);
	size_t beyond = count - old - in_last, chunks = (beyond + CHUNK_PAGES - 1) / CHUNK_PAGES;
	uintptr_t end = round_up(span->base + old * PAGE, CHUNK);
	if (chunks > 0 && !pool_take_at(load_acquire(&pages->pool), end, chunks))
		return false;
	lock_take(&pages->lock);
	bool done = in_last == 0 || fill_tail(pages, span, tail, (unsigned)in_last);
	if (done && chunks > 0) {
		size_t whole = beyond / CHUNK_PAGES;
		(void)fill_whole(pages, end, whole);
		if (beyond % CHUNK_PAGES != 0)
			(void)share_tail(pages, chunk_at(end, whole), (unsigned)(beyond % CHUNK_PAGES));
		span->pages += beyond;
		pages->active += beyond;
	}
	lock_drop(&pages->lock);
	if (!done && chunks > 0)
		pool_give(load_acquire(&pages->pool), chunk_at(end, 0), chunks);
	return done;
}

bool huge_resize(struct pages *pages, struct span *span, size_t count) {
	if (count > span->pages)
		return grow(pages, span, count);
	if (count < span->pages)
		shrink(pages, span, count);
	return true;
}

/* -- moving ---------------------------------------------------------------------------------------------------- */

bool page_move(struct pages *pages, struct span *to, struct span *from, size_t bytes) {
	size_t chunks = bytes / CHUNK;
	if (!huge_is(to) || !huge_is(from) || chunks == 0)
		return false;
	if (!pool_allow_move(load_acquire(&pages->pool),
	                     mark_moved(to->base, chunks, false) + mark_moved(from->base, chunks, false)))
		return false;
	/* Marked also when the move fails: they are counted by now, and it costs them one fresh mapping later. */
	(void)mark_moved(to->base, chunks, true);
	(void)mark_moved(from->base, chunks, true);
	if (os_move((void *)to->base, (void *)from->base, chunks * CHUNK) != 0)
		return false;
	from->moved_out = chunks == from->pages / CHUNK_PAGES;
	memcpy((char *)to->base + chunks * CHUNK, (char *)from->base + chunks * CHUNK,
	       bytes - chunks * CHUNK);
	return true;
}
