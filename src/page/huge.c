/* huge.c - blocks of whole chunks and a tail. */
#include <string.h>
#include "os/os.h"
#include "page/page.h"
#include "page/inside.h"

static struct chunk *chunk_at(uintptr_t base, size_t index) {
	return map_chunk(base + index * CHUNK);
}

/* Is every page of these chunks, just taken, clean? The shared pool counted as it cut them out. */
static bool is_clean(const struct pool *pool, const struct chunk *first, size_t count) {
	if (!pool->is_private)
		return first->run_unclean == 0;
	for (size_t i = 0; i < count; i++)
		if (!chunk_whole_is_clean(chunk_at(first->base, i)))
			return false;
	return true;
}

/* Empties whole chunks of a huge block; they are ready for the pool then. */
static void empty_whole(uintptr_t base, size_t count, enum page_state state) {
	for (size_t i = 0; i < count; i++)
		chunk_give_whole(chunk_at(base, i), state);
}

/* The last chunk of a block is shared, with the block's last `tail` pages in front. */
static bool share_tail(struct pages *pages, struct chunk *chunk, unsigned tail) REQUIRES(pages->lock) {
	bool clean = chunk_whole_is_clean(chunk) || chunk_is_clean(chunk, 0, tail);
	(void)chunk_take_at(chunk, 0, tail);
	pages_adopt(pages, chunk);
	return clean;
}

/* A block that is a range of its own, of a source that has no chunks for it: exactly what is needed. */
static struct span *take_odd(struct pages *pages, struct pool *pool, enum span_kind kind, size_t count,
                             size_t align) {
	struct chunk *chunk = pool_take_odd(pool, count, align);
	if (chunk == NULL)
		return NULL;
	lock_take(&pages->lock);
	struct span *span = pages_new_span(pages, kind);
	if (span != NULL) {
		span->chunk = chunk;
		span->base = chunk->base;
		span->pages = count;
		span->zeroed = !chunk->has_stale;
		pages->active += count;
		if (count < CHUNK_PAGES) {
			(void)chunk_take_at(chunk, 0, (unsigned)count);
			pages_adopt(pages, chunk);
		} else {
			pages->owned += chunk->pages;
		}
	}
	lock_drop(&pages->lock);
	if (span == NULL)
		pool_end_odd(pool, chunk);
	return span;
}

/* Chunks for a block; where its tail is to be a chunk for itself, the source may have a say. */
static struct chunk *take_chunks(struct pool *pool, size_t whole, bool tail, size_t align) {
	struct chunk *first = pool_take(pool, whole + tail, size_max(align, CHUNK));
	if (first == NULL || !tail || pool_split(pool, first, whole))
		return first;
	pool_give(pool, first, whole + tail);
	return NULL;
}

struct span *huge_take(struct pages *pages, enum span_kind kind, size_t count, size_t align) {
	size_t whole = count / CHUNK_PAGES;
	unsigned tail = (unsigned)(count % CHUNK_PAGES);
	struct pool *pool = pages_source(pages);
	struct chunk *first = take_chunks(pool, whole, tail != 0, align);
	if (first == NULL)
		return pool->is_private ? take_odd(pages, pool, kind, count, align) : NULL;
	lock_take(&pages->lock);
	struct span *span = pages_new_span(pages, kind);
	if (span != NULL) {
		span->chunk = first;
		span->base = first->base;
		span->pages = count;
		span->zeroed = is_clean(pool, first, whole);
		if (tail != 0)
			span->zeroed &= share_tail(pages, chunk_at(first->base, whole), tail);
		pages->active += count;
		pages->owned += whole * CHUNK_PAGES;
	}
	lock_drop(&pages->lock);
	if (span == NULL)
		pool_give(pool, first, whole + (tail != 0));
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
static void refresh(uintptr_t base, size_t count) {
	if (os_refresh((void *)base, count * CHUNK) != 0)
		return;
	hook_advise(base, count * CHUNK);
	size_t marked = count - mark_moved(base, count, false);
	for (size_t i = 0; i < count; i++)
		chunk_at(base, i)->moved = false;
	pool_note_fresh(load_relaxed(&chunk_at(base, 0)->pool), marked);
}

static void give_odd(struct pages *pages, struct span *span) {
	struct chunk *chunk = span->chunk;
	chunk->has_stale = true; /* it was written */
	chunk->run_unclean = !chunk->pinned;
	lock_take(&pages->lock);
	pages->active -= span->pages;
	pages->owned -= chunk->pages;
	pages_old_span(pages, span);
	lock_drop(&pages->lock);
	pool_give_odd(load_relaxed(&chunk->pool), chunk);
}

/* The block's share of its last chunk. A chunk that is free then goes with the others, and is not kept as a spare one: the
 * next block of that size finds them all in one range. */
static struct chunk *give_tail(struct pages *pages, struct chunk *chunk, unsigned tail)
	REQUIRES(pages->lock) {
	struct chunk *last = pages_give_run(pages, chunk, 0, tail, PAGE_DIRTY);
	if (last != NULL || pages->spare != chunk)
		return last;
	pages_drop_spare(pages);
	return chunk;
}

void huge_give(struct pages *pages, struct span *span) {
	if (chunk_is_odd(span->chunk)) {
		give_odd(pages, span);
		return;
	}
	struct pool *pool = load_relaxed(&span->chunk->pool);
	enum page_state state = span->moved_out ? PAGE_CLEAN : PAGE_DIRTY;
	uintptr_t base = span->base;
	size_t whole = span->pages / CHUNK_PAGES;
	unsigned tail = (unsigned)(span->pages % CHUNK_PAGES);
	struct chunk *last = NULL;
	if (span->moved_out && whole > 0)
		refresh(base, whole);
	empty_whole(base, whole, state);
	lock_take(&pages->lock);
	if (tail != 0)
		last = give_tail(pages, chunk_at(base, whole), tail);
	pages->active -= span->pages;
	pages->owned -= whole * CHUNK_PAGES;
	growth_note_less(pages);
	pages_old_span(pages, span);
	lock_drop(&pages->lock);
	if (whole + (last != NULL) > 0)
		pool_give(pool, whole > 0 ? chunk_at(base, 0) : last, whole + (last != NULL));
}

/* -- resizing -------------------------------------------------------------------------------------------------- */

/* Gives pages [count, old) of the block back. The chunk that holds page `count` becomes, or stays, shared. */
static bool shrink(struct pages *pages, struct span *span, size_t count) {
	uintptr_t base = span->base;
	struct pool *pool = load_relaxed(&span->chunk->pool);
	size_t old = span->pages, keep = count / CHUNK_PAGES, whole = old / CHUNK_PAGES;
	unsigned tail = (unsigned)(old % CHUNK_PAGES), new_tail = (unsigned)(count % CHUNK_PAGES);
	struct chunk *last = NULL;
	size_t freed_from = keep + (new_tail != 0);
	if (keep < whole && !(pool_split(pool, span->chunk, keep) &&
	                      (freed_from == whole || pool_split(pool, span->chunk, freed_from))))
		return false;
	if (whole > freed_from)
		empty_whole(chunk_at(base, freed_from)->base, whole - freed_from, PAGE_DIRTY);
	lock_take(&pages->lock);
	if (keep < whole) {
		if (tail != 0)
			last = pages_give_run(pages, chunk_at(base, whole), 0, tail, PAGE_DIRTY);
		if (new_tail != 0) {
			struct chunk *chunk = chunk_at(base, keep);
			chunk_give_whole(chunk, PAGE_DIRTY);
			(void)chunk_take_at(chunk, 0, new_tail);
			pages_adopt(pages, chunk);
		}
		pages->owned -= (whole - keep) * CHUNK_PAGES;
	} else {
		last = pages_give_run(pages, chunk_at(base, keep), new_tail, tail - new_tail, PAGE_DIRTY);
	}
	pages->active -= old - count;
	span->pages = count;
	growth_note_less(pages);
	lock_drop(&pages->lock);
	size_t freed = (whole > freed_from ? whole - freed_from : 0) + (last != NULL);
	if (freed > 0)
		pool_give(pool, whole > freed_from ? chunk_at(base, freed_from) : last, freed);
	return true;
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
		chunk_give(chunk, 0, CHUNK_PAGES, PAGE_DIRTY); /* no arena's any more, see chunk.h */
		store_relaxed(&chunk->state, CHUNK_WHOLE);
	}
	return true;
}

/* As take_chunks, for `pages` pages at `base`. */
static bool take_chunks_at(struct pool *pool, uintptr_t base, size_t pages) {
	size_t whole = pages / CHUNK_PAGES;
	bool tail = pages % CHUNK_PAGES != 0;
	if (!pool_take_at(pool, base, whole + tail))
		return false;
	if (!tail || pool_split(pool, chunk_at(base, 0), whole))
		return true;
	pool_give(pool, chunk_at(base, 0), whole + tail);
	return false;
}

/* The arena's own free chunk, where it is in the way at [base, base + count chunks), goes to the pool. */
static bool clear_way(struct pages *pages, uintptr_t base, size_t count) {
	lock_take(&pages->lock);
	struct chunk *spare = pages->spare;
	bool there = spare != NULL && !chunk_is_odd(spare) && spare->base - base < count * CHUNK;
	if (there)
		pages_drop_spare(pages);
	lock_drop(&pages->lock);
	if (there)
		pool_give(load_relaxed(&spare->pool), spare, 1);
	return there;
}

static bool grow(struct pages *pages, struct span *span, size_t count) {
	size_t old = span->pages;
	unsigned tail = (unsigned)(old % CHUNK_PAGES);
	size_t in_last = tail == 0 ? 0 : size_min(CHUNK_PAGES - tail, count - old);
	size_t beyond = count - old - in_last, chunks = (beyond + CHUNK_PAGES - 1) / CHUNK_PAGES;
	uintptr_t end = round_up(span->base + old * PAGE, CHUNK);
	struct pool *pool = load_relaxed(&span->chunk->pool);
	if (chunks > 0 && !take_chunks_at(pool, end, beyond) &&
	    !(clear_way(pages, end, chunks) && take_chunks_at(pool, end, beyond)))
		return false;
	lock_take(&pages->lock);
	bool done = in_last == 0 || fill_tail(pages, span, tail, (unsigned)in_last);
	if (done && chunks > 0) {
		size_t whole = beyond / CHUNK_PAGES;
		pages->owned += whole * CHUNK_PAGES;
		if (beyond % CHUNK_PAGES != 0)
			(void)share_tail(pages, chunk_at(end, whole), (unsigned)(beyond % CHUNK_PAGES));
		span->pages += beyond;
		pages->active += beyond;
	}
	lock_drop(&pages->lock);
	if (!done && chunks > 0)
		pool_give(pool, chunk_at(end, 0), chunks);
	return done;
}

bool huge_resize(struct pages *pages, struct span *span, size_t count) {
	if (count == span->pages)
		return true;
	if (chunk_is_odd(span->chunk)) /* it goes as it came */
		return false;
	return count > span->pages ? grow(pages, span, count) : shrink(pages, span, count);
}

/* -- moving ---------------------------------------------------------------------------------------------------- */

bool page_move(struct span *to, struct span *from, size_t bytes) {
	size_t chunks = bytes / CHUNK;
	struct pool *pool = load_relaxed(&from->chunk->pool);
	if (!huge_is(to) || !huge_is(from) || to->fenced || from->fenced || chunks == 0)
		return false;
	if (pool->is_private || load_relaxed(&to->chunk->pool) != pool)
		return false;
	if (!pool_allow_move(pool,
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
