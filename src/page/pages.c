/* pages.c - chunks by occupancy, spans out of them. Huge blocks are in huge.c, purging in purge.c. */
#include <string.h>
#include "os/os.h"
#include "page/page.h"
#include "thread/event.h"
#include "page/inside.h"

/* How many chunks of one bucket are looked at for a long enough run. */
#define FIT_TRIES 4

/* Bucket of chunks whose longest run is `run` pages. */
static unsigned bucket_of(unsigned run) {
	if (run <= 8)
		return run - 1;
	unsigned lg = bit_highest(run);
	return 7 + (lg - 3) * 4 + ((run >> (lg - 2)) & 3);
}

/* Level for the pages used; leaves the present one only when its bounds are left. */
static unsigned level_for(unsigned level, unsigned used) {
	static const uint16_t low[PAGES_LEVELS] = {0, 128, 256, 384},
			      high[PAGES_LEVELS] = {256, 384, 512, 513};
	while (used >= high[level])
		level++;
	while (used < low[level])
		level--;
	return level;
}

static void leave_bucket(struct pages *pages, struct chunk *chunk) REQUIRES(pages->lock) {
	if (!chunk->listed)
		return;
	struct list *bucket = &pages->bucket[chunk->level][chunk->bucket];
	expect(chunk->bucket <= PAGES_FULL);
	list_remove(&chunk->link);
	if (list_empty(bucket))
		pages->filled[chunk->level] &= (uint32_t) ~((uint64_t)1 << chunk->bucket);
	chunk->listed = false;
}

void pages_unlist(struct pages *pages, struct chunk *chunk) {
	leave_bucket(pages, chunk);
	list_remove(&chunk->unclean_link);
}

static void list_unclean(struct pages *pages, struct chunk *chunk, unsigned level) REQUIRES(pages->lock) {
	bool unclean = chunk->count[PAGE_DIRTY] + chunk->count[PAGE_MUZZY] != 0,
	     listed = !list_empty(&chunk->unclean_link);
	if (unclean == listed && (!listed || chunk->level == level))
		return;
	list_remove(&chunk->unclean_link);
	if (unclean && chunk->pass == pages->pass) /* visited chunks stay behind the others: see purge.c */
		list_append(&pages->unclean[level], &chunk->unclean_link);
	else if (unclean)
		list_push(&pages->unclean[level], &chunk->unclean_link);
}

void pages_list(struct pages *pages, struct chunk *chunk) {
	unsigned level = level_for(chunk->level, CHUNK_PAGES - chunk->nfree);
	unsigned bucket = chunk->nfree == 0 ? PAGES_FULL : bucket_of(chunk->longest);
	list_unclean(pages, chunk, level);
	if (chunk->listed && chunk->level == level && chunk->bucket == bucket)
		return;
	leave_bucket(pages, chunk);
	chunk->level = (uint8_t)level;
	chunk->bucket = (uint8_t)bucket;
	chunk->listed = true;
	list_push(&pages->bucket[level][bucket], &chunk->link);
	pages->filled[level] |= (uint32_t)((uint64_t)1 << bucket); /* no bit: full */
}

void pages_note(struct pages *pages, const struct chunk *chunk, bool enter) {
	for (int s = 0; s < PAGE_STATES; s++)
		pages->pages[s] =
			enter ? pages->pages[s] + chunk->count[s] : pages->pages[s] - chunk->count[s];
}

void pages_adopt(struct pages *pages, struct chunk *chunk) {
	chunk->owner = pages;
	store_relaxed(&chunk->state, CHUNK_SHARED);
	chunk->level = 0;
	chunk->pass = pages->pass; /* whichever arena's it was: the next pass visits it */
	chunk->listed = false;
	pages->owned += chunk->pages;
	list_init(&chunk->link);
	list_init(&chunk->unclean_link);
	pages_note(pages, chunk, true);
	pages_list(pages, chunk);
}

struct chunk *pages_settle(struct pages *pages, struct chunk *chunk) {
	audit(chunk_audit(chunk));
	if (chunk->nfree < chunk->whole) {
		if (pages->spare == chunk)
			pages->spare = NULL;
		pages_list(pages, chunk);
		return NULL;
	}
	if (pages->spare == NULL || pages->spare == chunk) {
		pages->spare = chunk;
		pages_list(pages, chunk);
		return NULL;
	}
	pages_unlist(pages, chunk);
	pages_note(pages, chunk, false);
	pages->owned -= CHUNK_PAGES;
	growth_note_less(pages);
	return chunk;
}

void pages_drop_spare(struct pages *pages) {
	struct chunk *spare = pages->spare;
	pages->spare = NULL;
	pages_unlist(pages, spare);
	pages_note(pages, spare, false);
	pages->owned -= CHUNK_PAGES;
}

static struct list *idle_spans(struct pages *pages, unsigned kind) {
	return &pages->idle_spans[kind != SPAN_SLAB];
}

struct span *pages_new_span(struct pages *pages, enum span_kind kind) {
	struct list *first = list_first(idle_spans(pages, kind));
	struct span *span;
	if (first != NULL) {
		list_remove(first);
		span = container_of(first, struct span, link);
	} else if ((span = base_take(kind == SPAN_SLAB ? BASE_SLAB : BASE_SPAN, NULL)) == NULL) {
		return NULL;
	}
	memset(span, 0, offsetof(struct span, open));
	list_init(&span->link);
	span->kind = (uint8_t)kind;
	return span;
}

void pages_old_span(struct pages *pages, struct span *span) {
	list_push(idle_spans(pages, span->kind), &span->link);
	span->kind = SPAN_FREE;
}

/* A chunk of the bucket with a run of `run` pages. All have one, but for the bucket that `run` itself falls into: of that
 * a few are looked at, so that a hole is found again by a request of its size. An odd range may begin anywhere: one with
 * bits of `off` in its base does not serve. */
static struct chunk *fitting(const struct list *bucket, unsigned run, uintptr_t off) {
	unsigned tries = 0;
	list_each (bucket, node) {
		struct chunk *chunk = container_of(node, struct chunk, link);
		if (chunk->longest >= run && (chunk->base & off) == 0)
			return chunk;
		if (++tries == FIT_TRIES)
			break;
	}
	return NULL;
}

/* Takes the front of the chunk that is kept free. */
static struct chunk *take_of_spare(struct pages *pages, unsigned count, unsigned *first)
	REQUIRES(pages->lock) {
	struct chunk *chunk = pages->spare;
	if (chunk == NULL || chunk_is_odd(chunk))
		return NULL;
	pages_note(pages, chunk, false);
	bool taken = chunk_take_at(chunk, 0, count);
	pages_note(pages, chunk, true);
	must(taken, chunk);
	*first = 0;
	return chunk;
}

/* Takes a run out of the fullest chunk that has one. */
static struct chunk *take_run(struct pages *pages, unsigned count, unsigned align, unsigned *first)
	REQUIRES(pages->lock) {
	unsigned run = (unsigned)size_min(count + align - 1, CHUNK_PAGES);
	uint32_t enough = ~(uint32_t)0 << bucket_of(run);
	for (unsigned level = PAGES_LEVELS; level-- > 0;) {
		uint32_t filled = pages->filled[level] & enough;
		while (filled != 0) {
			struct chunk *chunk =
				fitting(&pages->bucket[level][bit_lowest(filled)], run, align * PAGE - 1);
			if (chunk == NULL) {
				filled &= filled - 1;
				continue;
			}
			pages_note(pages, chunk, false);
			bool taken = chunk_take(chunk, count, align, first);
			pages_note(pages, chunk, true);
			if (taken)
				return chunk;
			pages_list(pages,
			           chunk); /* `longest` was too high; now it is exact, and less than `run` */
			filled = pages->filled[level] & enough;
		}
	}
	return NULL;
}

/* What a hook allocates inside must not come to the same hook again. */
struct pool *pages_source(const struct pages *pages) {
	struct pool *pool = load_acquire(&pages->pool);
	bool again = pool->is_private && pages->common != NULL && event_suspended();
	return unlikely(again) ? pages->common : pool;
}

/* Takes a run out of a chunk that comes from the pool. Drops the lock meanwhile: a function of the program may be called
 * there. */
static struct chunk *take_fresh_run(struct pages *pages, unsigned count, unsigned align, unsigned *first)
	REQUIRES(pages->lock) {
	struct pool *pool = pages_source(pages);
	lock_drop(&pages->lock);
	struct chunk *chunk = pool_take(pool, 1, CHUNK);
	if (chunk == NULL && pool->is_private)
		chunk = pool_take_odd(pool, count, (size_t)align * PAGE);
	lock_take(&pages->lock);
	if (chunk == NULL)
		return NULL;
	bool taken = chunk_take(chunk, count, chunk_is_odd(chunk) ? 1 : align, first);
	must(taken, chunk);
	pages_adopt(pages, chunk);
	return chunk;
}

static struct span *take_small(struct pages *pages, enum span_kind kind, unsigned count, unsigned align)
	REQUIRES(pages->lock) {
	unsigned first;
	struct span *span = pages_new_span(pages, kind);
	if (span == NULL)
		return NULL;
	struct chunk *chunk = count > CHUNK_PAGES / 2 ? take_of_spare(pages, count, &first) : NULL;
	if (chunk == NULL)
		chunk = take_run(pages, count, align, &first);
	if (chunk == NULL)
		chunk = take_fresh_run(pages, count, align, &first);
	if (chunk == NULL) {
		pages_old_span(pages, span);
		return NULL;
	}
	(void)pages_settle(pages, chunk);
	span->chunk = chunk;
	span->base = chunk->base + (size_t)first * PAGE;
	span->pages = count;
	span->zeroed = chunk_is_clean(chunk, first, count);
	pages->active += count;
	return span;
}

/* A block of more than half a chunk, of which no chunk holds two, better begins one: from there it can grow into a huge
 * block where it lies. That may cost no memory: so only while the pool has resident chunks. */
static bool wants_front(const struct pages *pages, size_t count) {
	return count > CHUNK_PAGES / 2 && pool_peek_dirty(load_relaxed(&pages->pool)) >= CHUNK_PAGES;
}

static struct span *take_unasked(struct pages *pages, enum span_kind kind, size_t count, size_t align) {
	if (count >= CHUNK_PAGES || align > CHUNK / 2)
		return huge_take(pages, kind, count, align);
	struct span *span = wants_front(pages, count) ? huge_take(pages, kind, count, align) : NULL;
	if (span != NULL)
		return span;
	lock_take(&pages->lock);
	span = take_small(pages, kind, (unsigned)count, (unsigned)(align / PAGE));
	lock_drop(&pages->lock);
	return span;
}

static NOINLINE struct span *take_asking(struct pages *pages, enum span_kind kind, size_t count,
                                         size_t align) {
	size_t asked;
	if (!growth_ask(pages, count, &asked))
		return NULL;
	struct span *span = take_unasked(pages, kind, count, align);
	growth_end(pages, asked);
	return span;
}

struct span *pages_take_plain(struct pages *pages, enum span_kind kind, size_t count, size_t align) {
	return unlikely(load_relaxed(&growth_watched)) ? take_asking(pages, kind, count, align)
	                                               : take_unasked(pages, kind, count, align);
}

struct span *page_take(struct pages *pages, enum span_kind kind, size_t count, size_t align) {
	struct span *span = unlikely(fence_every[kind] != 0) ? fence_take(pages, kind, count, align) : NULL;
	return likely(span == NULL) ? pages_take_plain(pages, kind, count, align) : span;
}

/* Gives a run of a shared chunk back. Returns the chunk when it should go to the pool. */
struct chunk *pages_give_run(struct pages *pages, struct chunk *chunk, unsigned first, unsigned count,
                             enum page_state state) {
	pages_note(pages, chunk, false);
	chunk_give(chunk, first, count, state);
	pages_note(pages, chunk, true);
	return pages_settle(pages, chunk);
}

static void give_small(struct pages *pages, struct span *span) {
	struct chunk *chunk = span->chunk;
	lock_take(&pages->lock);
	struct chunk *whole = pages_give_run(pages, chunk, page_in_chunk(chunk, span->base),
	                                     (unsigned)span->pages, PAGE_DIRTY);
	pages->active -= span->pages;
	pages_old_span(pages, span);
	lock_drop(&pages->lock);
	if (whole != NULL)
		pool_give(load_relaxed(&whole->pool), whole, 1);
}

void pages_give_plain(struct pages *pages, struct span *span) {
	if (huge_is(span))
		huge_give(pages, span);
	else
		give_small(pages, span);
}

void page_give(struct pages *pages, struct span *span) {
	if (unlikely(span->fenced))
		fence_give(pages, span);
	else
		pages_give_plain(pages, span);
}

/* Changes the size of a span inside one chunk. */
static bool resize_in_chunk(struct pages *pages, struct span *span, unsigned count) {
	struct chunk *chunk = span->chunk, *whole = NULL;
	unsigned first = page_in_chunk(chunk, span->base), old = (unsigned)span->pages;
	bool done = true;
	lock_take(&pages->lock);
	if (count < old) {
		whole = pages_give_run(pages, chunk, first + count, old - count, PAGE_DIRTY);
	} else {
		pages_note(pages, chunk, false);
		done = chunk_take_at(chunk, first + old, count - old);
		pages_note(pages, chunk, true);
		(void)pages_settle(pages, chunk);
	}
	if (done) {
		pages->active = pages->active - old + count;
		span->pages = count;
	}
	lock_drop(&pages->lock);
	must(whole == NULL, chunk); /* the span itself is still in it */
	return done;
}

static bool resize(struct pages *pages, struct span *span, size_t count) {
	unsigned first = huge_is(span) ? 0 : page_in_chunk(span->chunk, span->base);
	if (huge_is(span) || (first == 0 && count >= CHUNK_PAGES && !chunk_is_odd(span->chunk)))
		return huge_resize(pages, span, count);
	if (first + count > CHUNK_PAGES)
		return false;
	return count == span->pages || resize_in_chunk(pages, span, (unsigned)count);
}

bool page_resize(struct pages *pages, struct span *span, size_t count) {
	if (span->fenced)
		return count == span->pages;
	if (likely(!load_relaxed(&growth_watched)) || count <= span->pages)
		return resize(pages, span, count);
	size_t asked;
	bool done = growth_ask(pages, count - span->pages, &asked) && resize(pages, span, count);
	growth_end(pages, asked);
	return done;
}

STARTUP void pages_init(struct pages *pages, struct pool *pool, const int64_t decay_ms[PAGE_STATES],
                        uint64_t now) {
	if (load_relaxed(&pages->lock.registered) == 0) /* an arena that is used again has its lock */
		lock_init(&pages->lock, RANK_PAGES);
	lock_take(&pages->lock); /* and may have readers who found it before */
	pages->common = pool->is_private ? NULL : pool;
	if (pool->is_private) {
		pages->index = pool->arena;
		pool_set_decay(pool, decay_ms[PAGE_DIRTY], now);
	}
	store_relaxed(&pages->dss, load_relaxed(&pool->dss));
	store_relaxed(&pages->allowed, 0);
	store_relaxed(&pages->grow_limit, load_relaxed(&pool->grow_limit));
	store_relaxed(&pages->pool, pool);
	for (unsigned level = 0; level < PAGES_LEVELS; level++) {
		list_init(&pages->unclean[level]);
		for (unsigned b = 0; b <= PAGES_FULL; b++)
			list_init(&pages->bucket[level][b]);
	}
	for (int s = 0; s < PAGE_STATES; s++) {
		page_note_decay((enum page_state)s, decay_ms[s]);
		decay_init(&pages->decay[s], decay_ms[s], now, (uintptr_t)pages ^ now ^ (unsigned)s);
	}
	list_init(&pages->idle_spans[0]);
	list_init(&pages->idle_spans[1]);
	list_init(&pages->stuck);
	lock_drop(&pages->lock);
}

void pages_audit(struct pages *pages) {
	size_t sum[PAGE_STATES] = {0};
	lock_take(&pages->lock);
	for (unsigned level = 0; level < PAGES_LEVELS; level++) {
		for (unsigned b = 0; b <= PAGES_FULL; b++) {
			must(b == PAGES_FULL || list_empty(&pages->bucket[level][b]) ==
			                                !((pages->filled[level] >> b) & 1),
			     pages);
			list_each (&pages->bucket[level][b], node) {
				struct chunk *chunk = container_of(node, struct chunk, link);
				chunk_audit(chunk);
				must(chunk->owner == pages && load_relaxed(&chunk->state) == CHUNK_SHARED,
				     chunk);
				must(chunk->level == level && chunk->bucket == b, chunk);
				must((chunk->nfree == 0) == (b == PAGES_FULL), chunk);
				must(chunk->nfree < chunk->whole || chunk == pages->spare, chunk);
				for (int s = 0; s < PAGE_STATES; s++)
					sum[s] += chunk->count[s];
			}
		}
	}
	for (int s = 0; s < PAGE_STATES; s++)
		must(sum[s] == pages->pages[s], pages);
	lock_drop(&pages->lock);
}
