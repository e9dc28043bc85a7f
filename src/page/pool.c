/* pool.c - ranges of whole free chunks. */
#include <string.h>
#include "os/os.h"
#include "page/page.h"
#include "page/ranges.h"

/* Most chunks mapped ahead of need; and purged with one system call, for whose length the system may let threads wait
 * that map memory. */
#define GROWTH_MAX 32
#define PURGE_MAX  8

/* How many ranges of one bucket are looked at for a better fit. */
#define FIT_TRIES 8

/* Bucket of a range of `run` chunks: exact up to 8, then four per doubling. Ranges beyond the last share it. */
static unsigned bucket_of(size_t run) {
	expect(run > 0);
	if (run <= 8)
		return (unsigned)run - 1;
	unsigned lg = bit_highest(run - 1);
	unsigned bucket = 8 + (lg - 3) * 4 + (unsigned)(((run - 1) >> (lg - 2)) & 3);
	return bucket < POOL_BUCKETS ? bucket : POOL_BUCKETS - 1;
}

static bool is_unclean(const struct chunk *chunk) {
	return chunk->count[PAGE_DIRTY] + chunk->count[PAGE_MUZZY] != 0;
}

static size_t count_unclean(const struct chunk *first, size_t count) {
	size_t sum = 0;
	for (size_t i = 0; i < count; i++)
		sum += is_unclean(next_chunk(first, i));
	return sum;
}

/* How many chunks at the end of a range are known to be clean. */
static size_t clean_above(const struct chunk *first) {
	return first->run_unclean == 0 ? first->run : first->run_above;
}

/* The same of chunks that are no range: exact. */
static size_t count_clean_above(const struct chunk *first, size_t count) {
	size_t above = 0;
	while (above < count && !is_unclean(next_chunk(first, count - above - 1)))
		above++;
	return above;
}

size_t range_unclean_end(const struct chunk *first) {
	size_t end = first->run - clean_above(first);
	while (end > 0 && !is_unclean(next_chunk(first, end - 1)))
		end--;
	return end;
}

size_t range_unclean_start(const struct chunk *first, size_t end, size_t most) {
	size_t start = end;
	while (start > 0 && end - start < most && is_unclean(next_chunk(first, start - 1)))
		start--;
	return start;
}

/* -- ranges ---------------------------------------------------------------------------------------------------- */

static void insert_range(struct pool *pool, struct chunk *first, size_t run, size_t unclean, size_t above)
	REQUIRES(pool->lock) {
	first->run = (uint32_t)run;
	first->run_unclean = (uint32_t)unclean;
	first->run_above = (uint32_t)above;
	next_chunk(first, run - 1)->run = (uint32_t)run;
	struct pool_set *set = unclean > 0 ? &pool->unclean : &pool->clean;
	unsigned bucket = bucket_of(run);
	list_push(&set->bucket[bucket], &first->link);
	set->filled |= (uint64_t)1 << bucket;
	first->bucket = (uint8_t)bucket;
	first->level = set == &pool->unclean;
}

static void remove_range(struct pool *pool, struct chunk *first) REQUIRES(pool->lock) {
	struct pool_set *set = first->level ? &pool->unclean : &pool->clean;
	list_remove(&first->link);
	if (list_empty(&set->bucket[first->bucket]))
		set->filled &= ~((uint64_t)1 << first->bucket);
}

/* Chunks become pooled, or taken. Returns how many of them are unclean. */
static size_t note_chunks(struct pool *pool, struct chunk *first, size_t count, bool enter)
	REQUIRES(pool->lock) {
	size_t unclean = 0, pinned = 0, pages[PAGE_STATES] = {0};
	for (size_t i = 0; i < count; i++) {
		struct chunk *chunk = next_chunk(first, i);
		store_relaxed(&chunk->state, enter ? CHUNK_POOLED : CHUNK_WHOLE);
		unclean += is_unclean(chunk);
		pinned += chunk->pinned;
		for (int s = 0; s < PAGE_STATES; s++)
			pages[s] += chunk->count[s];
	}
	size_t sign = enter ? 1 : SIZE_MAX;
	pool->chunks += sign * count;
	pool->pinned += sign * pinned * CHUNK_PAGES;
	for (int s = 0; s < PAGE_STATES; s++)
		pool->pages[s] += sign * pages[s];
	return unclean;
}

/* Of a chunk of another pool nothing but its pool and its state is looked at: its record may go any time. */
struct chunk *range_chunk(const struct pool *pool, uintptr_t base) {
	struct chunk *chunk = map_chunk(base);
	bool ours = chunk != NULL && load_acquire(&chunk->pool) == pool &&
	            load_relaxed(&chunk->state) == CHUNK_POOLED;
	return ours ? chunk : NULL;
}

/* First chunk of the range that ends with `last`. */
static struct chunk *range_of_last(struct chunk *last) {
	return map_chunk(last->base - (size_t)(last->run - 1) * CHUNK);
}

struct chunk *range_ending_at(const struct pool *pool, uintptr_t end) {
	struct chunk *last = range_chunk(pool, end - CHUNK);
	return last == NULL ? NULL : range_of_last(last);
}

void range_enter(struct pool *pool, struct chunk *first, size_t count) {
	size_t unclean = note_chunks(pool, first, count, true);
	insert_range(pool, first, count, unclean, count_clean_above(first, count));
}

static void enter_chunks(struct pool *pool, struct chunk *first, size_t count) REQUIRES(pool->lock) {
	struct chunk *before = range_chunk(pool, first->base - CHUNK),
		     *after = range_chunk(pool, first->base + count * CHUNK);
	size_t run = count, unclean = note_chunks(pool, first, count, true),
	       above = count_clean_above(first, count);
	if (after != NULL) {
		remove_range(pool, after);
		above = after->run_unclean == 0 ? after->run + above : after->run_above;
		run += after->run;
		unclean += after->run_unclean;
	}
	if (before != NULL) {
		before = range_of_last(before);
		remove_range(pool, before);
		above += above == run ? clean_above(before) : 0;
		run += before->run;
		unclean += before->run_unclean;
		first = before;
	}
	insert_range(pool, first, run, unclean, above);
}

/* Cuts [at, at + count) chunks out of the range; what is left of it stays pooled. */
struct chunk *range_cut(struct pool *pool, struct chunk *first, size_t at, size_t count) {
	size_t run = first->run, rest = run - at - count, above = clean_above(first);
	struct chunk *taken = next_chunk(first, at);
	remove_range(pool, first);
	size_t found = note_chunks(pool, taken, count, false), unclean = first->run_unclean - found;
	size_t below = at == 0 ? 0 : rest <= above ? unclean : count_unclean(first, at);
	if (at > 0)
		insert_range(pool, first, at, below, above > rest + count ? above - rest - count : 0);
	if (rest > 0)
		insert_range(pool, next_chunk(taken, count), rest, unclean - below, size_min(above, rest));
	taken->run_unclean = (uint32_t)found;
	return taken;
}

/* -- taking ---------------------------------------------------------------------------------------------------- */

/* Offset in chunks at which `count` aligned chunks fit into the range, preferring the low end; or RANGE_NOWHERE. */
size_t range_fit(const struct chunk *first, size_t count, size_t align) {
	size_t offset = (round_up(first->base, align) - first->base) / CHUNK;
	if (offset + count > first->run)
		return RANGE_NOWHERE;
	size_t high = first->run - count;
	bool low_is_clean = !is_unclean(next_chunk(first, offset));
	if (align == CHUNK && low_is_clean && is_unclean(next_chunk(first, first->run - 1)))
		return high;
	return offset;
}

static struct chunk *find_in_set(const struct pool_set *set, size_t count, size_t align) {
	uint64_t filled = set->filled & (~(uint64_t)0 << bucket_of(count));
	for (; filled != 0; filled &= filled - 1) {
		unsigned bucket = bit_lowest(filled), tries = 0;
		struct chunk *best = NULL;
		list_each (&set->bucket[bucket], node) {
			struct chunk *first = container_of(node, struct chunk, link);
			if (range_fit(first, count, align) != RANGE_NOWHERE &&
			    (best == NULL || first->run < best->run))
				best = first;
			if (best != NULL && ++tries == FIT_TRIES)
				break;
		}
		if (best != NULL)
			return best;
	}
	return NULL;
}

struct chunk *range_find(const struct pool *pool, size_t count, size_t align) {
	struct chunk *found = find_in_set(&pool->unclean, count, align);
	return found != NULL ? found : find_in_set(&pool->clean, count, align);
}

static struct chunk *take_from_set(struct pool *pool, struct pool_set *set, size_t count, size_t align)
	REQUIRES(pool->lock) {
	struct chunk *found = find_in_set(set, count, align);
	return found == NULL ? NULL : range_cut(pool, found, range_fit(found, count, align), count);
}

/* A record is good for nothing once its pool is another: see range_chunk. */
static void end_record(struct chunk *chunk) {
	store_relaxed(&chunk->state, CHUNK_WHOLE);
	store_release(&chunk->pool, NULL);
	base_give(BASE_CHUNK, chunk);
}

bool range_record(struct pool *pool, uintptr_t base, size_t count) {
	if (!map_cover(base, count * CHUNK))
		return false;
	for (size_t i = 0; i < count; i++) {
		struct chunk *chunk =
			map_chunk(base + i * CHUNK) == NULL ? base_take(BASE_CHUNK, NULL) : NULL;
		if (chunk == NULL) {
			while (i-- > 0) {
				chunk = map_chunk(base + i * CHUNK);
				map_set_chunk(chunk->base, NULL);
				end_record(chunk);
			}
			return false;
		}
		chunk_init(chunk, pool, base + i * CHUNK);
		map_set_chunk(chunk->base, chunk);
	}
	map_chunk(base)->run = (uint32_t)count;
	add_relaxed(&pool->mapped, count);
	return true;
}

void range_hide(struct chunk *first, size_t count, struct list *records) {
	uintptr_t base = first->base;
	map_forget_spans(base, count);
	list_init(records);
	for (size_t i = 0; i < count; i++) {
		struct chunk *chunk = map_chunk(base + i * CHUNK);
		map_set_chunk(chunk->base, NULL);
		list_append(records, &chunk->link);
	}
}

void range_show(struct list *records) {
	list_each_safe (records, node) {
		struct chunk *chunk = container_of(node, struct chunk, link);
		list_remove(node);
		map_set_chunk(chunk->base, chunk);
	}
}

void range_forget(struct pool *pool, struct list *records) {
	size_t count = 0;
	list_each_safe (records, node) {
		end_record(container_of(node, struct chunk, link));
		count++;
	}
	sub_relaxed(&pool->mapped, count);
}

/* Makes records for fresh memory at [base, base + count * CHUNK). */
static bool adopt(struct pool *pool, uintptr_t base, size_t count) REQUIRES(pool->lock) {
	if (!range_record(pool, base, count))
		return false;
	enter_chunks(pool, map_chunk(base), count);
	return true;
}

uintptr_t range_first_hint;

bool pool_map(struct pool *pool, size_t count, size_t align, uintptr_t *base) {
	size_t size = count * CHUNK;
	if (!hook_map((enum page_dss)load_relaxed(&pool->dss), pool->hint, size, align, base))
		return false;
	if (!os_dss_owns((void *)*base))
		pool->hint = *base + size;
	pool->holes -= pool->holes != 0;
	return true;
}

/* Maps at least `count` chunks more. Asks for more than needed as the heap grows, for less when refused. */
static bool grow(struct pool *pool, size_t count, size_t align) REQUIRES(pool->lock) {
	size_t ahead = size_min(size_max(load_relaxed(&pool->mapped) / 4, 1), GROWTH_MAX);
	uintptr_t base;
	if (count > SIZE_LIMIT / CHUNK)
		return false;
	ahead = size_min(ahead, load_relaxed(&pool->grow_limit) / CHUNK);
	size_t asked = size_max(count, ahead);
	if (!pool_map(pool, asked, align, &base)) {
		asked = count;
		if (!pool_map(pool, asked, align, &base))
			return false;
	}
	if (!adopt(pool, base, asked)) {
		pool->hint = size_min(pool->hint, base);
		page_default_hooks.destroy(NULL, (void *)base, asked * CHUNK, true, 0);
		return false;
	}
	return true;
}

struct chunk *pool_take_free(struct pool *pool, size_t count, size_t align) {
	lock_take(&pool->lock);
	struct chunk *first = take_from_set(pool, &pool->unclean, count, align);
	if (first == NULL)
		first = take_from_set(pool, &pool->clean, count, align);
	lock_drop(&pool->lock);
	return first;
}

struct chunk *pool_take(struct pool *pool, size_t count, size_t align) {
	if (pool->is_private)
		return private_take(pool, count, align);
	lock_take(&pool->lock);
	struct chunk *first = take_from_set(pool, &pool->unclean, count, align);
	if (first == NULL)
		first = take_from_set(pool, &pool->clean, count, align);
	if (first == NULL && grow(pool, count, align))
		first = take_from_set(pool, &pool->clean, count, align);
	if (first == NULL) /* fresh chunks may have joined an unclean range */
		first = take_from_set(pool, &pool->unclean, count, align);
	lock_drop(&pool->lock);
	return first;
}

static size_t unclean_pages(const struct chunk *chunk) {
	return (size_t)chunk->count[PAGE_DIRTY] + chunk->count[PAGE_MUZZY];
}

/* Maps `count` chunks more where the last mapping ended. Not while resident memory waits to be used again, beyond the
 * `taken` pages of it that go with these chunks: a block that grows, is freed and grows anew would leave a trail of it
 * behind. */
static bool extend(struct pool *pool, size_t count, size_t taken) REQUIRES(pool->lock) {
	uintptr_t fresh = pool->hint;
	size_t waiting = pool->pages[PAGE_DIRTY] + pool->pages[PAGE_MUZZY] - taken;
	if (waiting >= count * CHUNK_PAGES || map_chunk(fresh) != NULL)
		return false;
	if (os_map_at((void *)fresh, count * CHUNK) != 0)
		return false;
	if (!adopt(pool, fresh, count)) {
		(void)os_unmap((void *)fresh, count * CHUNK);
		return false;
	}
	hook_advise(fresh, count * CHUNK);
	pool->hint += count * CHUNK;
	return true;
}

bool pool_take_at(struct pool *pool, uintptr_t base, size_t count) {
	if (pool->is_private)
		return private_take_at(pool, base, count);
	lock_take(&pool->lock);
	size_t have = 0, unclean = 0;
	for (struct chunk *chunk; have < count && (chunk = range_chunk(pool, base + have * CHUNK)) != NULL;
	     have++)
		unclean += unclean_pages(chunk);
	if (have < count && base + have * CHUNK == pool->hint && extend(pool, count - have, unclean))
		have = count;
	if (have == count) {
		struct chunk *first = map_chunk(base);
		while (range_chunk(pool, first->base - CHUNK) != NULL)
			first = range_chunk(pool, first->base - CHUNK);
		(void)range_cut(pool, first, (base - first->base) / CHUNK, count);
	}
	lock_drop(&pool->lock);
	return have == count;
}

void pool_give(struct pool *pool, struct chunk *first, size_t count) {
	if (pool->is_private) {
		private_give(pool, first, count);
		return;
	}
	lock_take(&pool->lock);
	enter_chunks(pool, first, count);
	lock_drop(&pool->lock);
}

/* -- purging --------------------------------------------------------------------------------------------------- */

/* Cuts the highest unclean chunks, at most `most` adjacent ones, out of the range that has waited longest. */
static struct chunk *take_oldest_unclean(struct pool *pool, size_t most, size_t *count) REQUIRES(pool->lock) {
	if (pool->unclean.filled == 0 || most == 0)
		return NULL;
	struct list *bucket = &pool->unclean.bucket[bit_highest(pool->unclean.filled)];
	struct chunk *first = container_of(bucket->prev, struct chunk, link);
	size_t end = range_unclean_end(first), start = range_unclean_start(first, end, most);
	*count = end - start;
	return range_cut(pool, first, start, end - start);
}

/* What the chunks count for in pool->moved. */
static size_t count_marks(struct chunk *first, size_t count) {
	size_t marks = 0;
	for (size_t i = 0; i < count; i++) {
		const struct chunk *chunk = next_chunk(first, i);
		marks += (size_t)chunk->moved + (chunk->thp != CHUNK_THP_AS_ALL);
	}
	return marks;
}

/* Gives address space back too. Where that leaves too many holes, or the system refuses, only the pages go: false. */
static bool unmap_chunks(struct pool *pool, struct chunk *first, size_t count, size_t pages)
	REQUIRES(pool->lock) {
	uintptr_t base = first->base;
	if (pool->holes >= os.max_maps / 8 || os_dss_owns((void *)base))
		return false;
	size_t moved = count_marks(first, count);
	struct list records;
	lock_drop(&pool->lock);
	range_hide(first, count, &records);
	bool done = os_unmap((void *)base, count * CHUNK) == 0;
	if (done)
		range_forget(pool, &records);
	else
		range_show(&records);
	lock_take(&pool->lock);
	if (!done)
		return false;
	pool->moved -= moved;
	pool->holes++;
	pool->hint = size_min(pool->hint, base);
	pool->purged += pages;
	pool->purges++;
	return true;
}

/* Gives the memory of adjacent chunks back. Where the kernel moved pages, with a fresh mapping, so that mappings
 * merge again: *unmoved gets the number of such chunks. False: the system refused. */
static bool purge_chunks(struct chunk *first, size_t count, size_t *unmoved) {
	void *addr = (void *)first->base;
	size_t moved = count_marks(first, count);
	*unmoved = moved > 0 && os_refresh(addr, count * CHUNK) == 0 ? moved : 0;
	if (*unmoved == 0 && os_purge(addr, count * CHUNK) != 0)
		return false;
	if (*unmoved > 0)
		hook_advise(first->base, count * CHUNK);
	map_forget_spans(first->base, count);
	for (size_t i = 0; i < count; i++) {
		struct chunk *chunk = next_chunk(first, i);
		if (*unmoved > 0) {
			chunk->moved = false;
			chunk->thp = CHUNK_THP_AS_ALL;
		}
		chunk_set_clean(chunk);
	}
	return true;
}

/* Purges whole chunks until at most `limit` unclean pages are left, rounding in favour of keeping. */
static void purge_to(struct pool *pool, size_t limit) REQUIRES(pool->lock) {
	for (;;) {
		size_t unclean = pool->pages[PAGE_DIRTY] + pool->pages[PAGE_MUZZY];
		size_t count, most = unclean > limit ? (unclean - limit) / CHUNK_PAGES : 0;
		if (unclean > limit && limit == 0)
			most = size_max(most, 1);
		struct chunk *first = take_oldest_unclean(pool, size_min(most, PURGE_MAX), &count);
		if (first == NULL)
			return;
		size_t taken = unclean - pool->pages[PAGE_DIRTY] - pool->pages[PAGE_MUZZY], unmoved;
		if (!hook_retains() && unmap_chunks(pool, first, count, taken))
			continue;
		pool->leaving = taken;
		lock_drop(&pool->lock);
		bool done = purge_chunks(first, count, &unmoved);
		lock_take(&pool->lock);
		pool->leaving = 0;
		enter_chunks(pool, first, count);
		if (!done)
			return;
		pool->moved -= unmoved;
		pool->purged += taken;
		pool->purges++;
	}
}

void pool_decay(struct pool *pool, uint64_t now, bool all) {
	lock_take(&pool->lock);
	size_t unclean = pool->pages[PAGE_DIRTY] + pool->pages[PAGE_MUZZY];
	size_t limit = all ? 0 : decay_limit(&pool->decay, now, unclean);
	if (limit < unclean) {
		pool->passes++;
		if (pool->is_private)
			private_purge(pool, limit);
		else
			purge_to(pool, limit);
		decay_note_left(&pool->decay, pool->pages[PAGE_DIRTY] + pool->pages[PAGE_MUZZY]);
	}
	lock_drop(&pool->lock);
}

bool pool_release(struct pool *pool) {
	bool any = false;
	lock_take(&pool->lock);
	while (pool->clean.filled != 0) {
		struct list *bucket = &pool->clean.bucket[bit_highest(pool->clean.filled)];
		struct chunk *first = container_of(bucket->next, struct chunk, link);
		size_t count = first->run;
		(void)range_cut(pool, first, 0, count);
		if (!unmap_chunks(pool, first, count, 0)) {
			enter_chunks(pool, first, count);
			break;
		}
		any = true;
	}
	lock_drop(&pool->lock);
	return any;
}

void pool_set_decay(struct pool *pool, int64_t dirty_ms, uint64_t now) {
	lock_take(&pool->lock);
	decay_set(&pool->decay, dirty_ms, now);
	lock_drop(&pool->lock);
}

/* -- the rest -------------------------------------------------------------------------------------------------- */

bool pool_allow_move(struct pool *pool, size_t count) {
	lock_take(&pool->lock);
	bool allowed = pool->moved + count <= os.max_maps / 8;
	if (allowed)
		pool->moved += count;
	lock_drop(&pool->lock);
	return allowed;
}

STARTUP void pool_init(struct pool *pool, uintptr_t hint, int64_t dirty_ms, uint64_t now) {
	if (load_relaxed(&pool->lock.registered) == 0) /* a record that is reused has its lock */
		lock_init(&pool->lock, RANK_POOL);
	lock_take(&pool->lock);
	memset(&pool->clean, 0, sizeof *pool - offsetof(struct pool, clean));
	for (unsigned i = 0; i < POOL_BUCKETS; i++) {
		list_init(&pool->clean.bucket[i]);
		list_init(&pool->unclean.bucket[i]);
	}
	pool->hint = hint;
	if (range_first_hint == 0)
		range_first_hint = hint;
	list_init(&pool->odd);
	store_relaxed(&pool->dss, (uint8_t)page_default_dss());
	store_relaxed(&pool->grow_limit, PAGE_GROW_LIMIT_DEFAULT);
	decay_init(&pool->decay, dirty_ms, now, (uintptr_t)pool ^ now);
	lock_drop(&pool->lock);
}

void pool_note_fresh(struct pool *pool, size_t count) {
	lock_take(&pool->lock);
	pool->moved -= count;
	lock_drop(&pool->lock);
}

RACY size_t pool_peek_dirty(const struct pool *pool) {
	return pool->is_private ? 0 : pool->pages[PAGE_DIRTY];
}

size_t pool_mapped(const struct pool *pool) {
	return load_relaxed(&pool->mapped) * CHUNK;
}

struct pool_stats pool_read_stats(struct pool *pool) {
	lock_take(&pool->lock);
	struct pool_stats stats = {
		.mapped = load_relaxed(&pool->mapped) * CHUNK + (pool->odd_pages + pool->odd_used) * PAGE,
		.pooled = pool->chunks * CHUNK + pool->odd_pages * PAGE,
		.dirty_pages = pool->pages[PAGE_DIRTY],
		.muzzy_pages = pool->pages[PAGE_MUZZY],
		.pinned = pool->pinned * PAGE,
		.abandoned = load_relaxed(&pool->abandoned),
		.passes = pool->passes,
		.dirty = (pool->pages[PAGE_DIRTY] + pool->pages[PAGE_MUZZY]) * PAGE,
		.purged = pool->purged,
		.purges = pool->purges,
	};
	lock_drop(&pool->lock);
	return stats;
}

static void audit_set(const struct pool_set *set, size_t *chunks, size_t pages[PAGE_STATES]) {
	for (unsigned b = 0; b < POOL_BUCKETS; b++) {
		must(list_empty(&set->bucket[b]) == !((set->filled >> b) & 1), set);
		list_each (&set->bucket[b], node) {
			struct chunk *first = container_of(node, struct chunk, link);
			must(bucket_of(first->run) == b, first);
			must(next_chunk(first, first->run - 1)->run == first->run, first);
			must(count_unclean(first, first->run) == first->run_unclean, first);
			must(clean_above(first) <= count_clean_above(first, first->run), first);
			*chunks += first->run;
			for (size_t i = 0; i < first->run; i++) {
				struct chunk *chunk = next_chunk(first, i);
				must(load_relaxed(&chunk->state) == CHUNK_POOLED &&
				             chunk->nfree == CHUNK_PAGES,
				     chunk);
				for (int s = 0; s < PAGE_STATES; s++)
					pages[s] += chunk->count[s];
			}
		}
	}
}

void pool_audit(struct pool *pool) {
	size_t chunks = 0, pages[PAGE_STATES] = {0};
	lock_take(&pool->lock);
	audit_set(&pool->clean, &chunks, pages);
	audit_set(&pool->unclean, &chunks, pages);
	must(chunks == pool->chunks, pool);
	pages[PAGE_DIRTY] += pool->odd_dirty;
	for (int s = 0; s < PAGE_STATES; s++)
		must(pages[s] == pool->pages[s], pool);
	lock_drop(&pool->lock);
}
