/* pool.c - ranges of whole free chunks. */
#include <string.h>
#include "os/os.h"
#include "page/page.h"

/* Most chunks mapped ahead of need, and purged with one system call. */
#define GROWTH_MAX 32
#define PURGE_MAX  64

/* How many ranges of one bucket are looked at for a better fit. */
#define FIT_TRIES 8

#define NOWHERE SIZE_MAX

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

static struct chunk *next_chunk(const struct chunk *chunk, size_t steps) {
	return steps == 0 ? map_chunk(chunk->base) : map_chunk(chunk->base + steps * CHUNK);
}

static size_t count_unclean(const struct chunk *first, size_t count) {
	size_t sum = 0;
	for (size_t i = 0; i < count; i++)
		sum += is_unclean(next_chunk(first, i));
	return sum;
}

/* -- ranges ---------------------------------------------------------------------------------------------------- */

static void insert_range(struct pool *pool, struct chunk *first, size_t run, size_t unclean)
	REQUIRES(pool->lock) {
	first->run = (uint32_t)run;
	first->run_unclean = (uint32_t)unclean;
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

static void note_chunks(struct pool *pool, struct chunk *first, size_t count, bool enter)
	REQUIRES(pool->lock) {
	for (size_t i = 0; i < count; i++) {
		struct chunk *chunk = next_chunk(first, i);
		store_relaxed(&chunk->state, enter ? CHUNK_POOLED : CHUNK_WHOLE);
		chunk->owner = NULL;
		for (int s = 0; s < PAGE_STATES; s++)
			pool->pages[s] =
				enter ? pool->pages[s] + chunk->count[s] : pool->pages[s] - chunk->count[s];
	}
	pool->chunks = enter ? pool->chunks + count : pool->chunks - count;
}

static struct chunk *pooled_at(uintptr_t base) {
	struct chunk *chunk = map_chunk(base);
	return chunk != NULL && load_relaxed(&chunk->state) == CHUNK_POOLED ? chunk : NULL;
}

/* First chunk of the range that ends with `last`. */
static struct chunk *range_of_last(struct chunk *last) {
	return map_chunk(last->base - (size_t)(last->run - 1) * CHUNK);
}

static void enter_chunks(struct pool *pool, struct chunk *first, size_t count) REQUIRES(pool->lock) {
	struct chunk *before = pooled_at(first->base - CHUNK),
		     *after = pooled_at(first->base + count * CHUNK);
	note_chunks(pool, first, count, true);
	size_t run = count, unclean = count_unclean(first, count);
	if (after != NULL) {
		remove_range(pool, after);
		run += after->run;
		unclean += after->run_unclean;
	}
	if (before != NULL) {
		before = range_of_last(before);
		remove_range(pool, before);
		run += before->run;
		unclean += before->run_unclean;
		first = before;
	}
	insert_range(pool, first, run, unclean);
}

/* Cuts [at, at + count) chunks out of the range; what is left of it stays pooled. */
static struct chunk *cut_range(struct pool *pool, struct chunk *first, size_t at, size_t count)
	REQUIRES(pool->lock) {
	size_t run = first->run, rest = run - at - count;
	struct chunk *taken = next_chunk(first, at);
	remove_range(pool, first);
	size_t unclean = first->run_unclean - count_unclean(taken, count);
	note_chunks(pool, taken, count, false);
	size_t below = at == 0 ? 0 : rest == 0 ? unclean : count_unclean(first, at);
	if (at > 0)
		insert_range(pool, first, at, below);
	if (rest > 0)
		insert_range(pool, next_chunk(taken, count), rest, unclean - below);
	return taken;
}

/* -- taking ---------------------------------------------------------------------------------------------------- */

/* Offset in chunks at which `count` aligned chunks fit into the range, preferring the low end; or NOWHERE. */
static size_t fit_in_range(const struct chunk *first, size_t count, size_t align) {
	size_t offset = (round_up(first->base, align) - first->base) / CHUNK;
	if (offset + count > first->run)
		return NOWHERE;
	size_t high = first->run - count;
	bool low_is_clean = !is_unclean(next_chunk(first, offset));
	if (align == CHUNK && low_is_clean && is_unclean(next_chunk(first, first->run - 1)))
		return high;
	return offset;
}

static struct chunk *take_from_set(struct pool *pool, struct pool_set *set, size_t count, size_t align)
	REQUIRES(pool->lock) {
	uint64_t filled = set->filled & (~(uint64_t)0 << bucket_of(count));
	for (; filled != 0; filled &= filled - 1) {
		unsigned bucket = bit_lowest(filled), tries = 0;
		struct chunk *best = NULL;
		list_each (&set->bucket[bucket], node) {
			struct chunk *first = container_of(node, struct chunk, link);
			if (fit_in_range(first, count, align) != NOWHERE &&
			    (best == NULL || first->run < best->run))
				best = first;
			if (best != NULL && ++tries == FIT_TRIES)
				break;
		}
		if (best != NULL)
			return cut_range(pool, best, fit_in_range(best, count, align), count);
	}
	return NULL;
}

/* Makes records for fresh memory at [base, base + count * CHUNK). */
static bool adopt(struct pool *pool, uintptr_t base, size_t count) REQUIRES(pool->lock) {
	if (!map_cover(base, count * CHUNK))
		return false;
	for (size_t i = 0; i < count; i++) {
		struct chunk *chunk = base_take(BASE_CHUNK, NULL);
		if (chunk == NULL) {
			while (i-- > 0) {
				base_give(BASE_CHUNK, map_chunk(base + i * CHUNK));
				map_set_chunk(base + i * CHUNK, NULL);
			}
			return false;
		}
		chunk_init(chunk, pool, base + i * CHUNK);
		map_set_chunk(chunk->base, chunk);
	}
	add_relaxed(&pool->mapped, count);
	enter_chunks(pool, map_chunk(base), count);
	return true;
}

/* Maps `size` bytes aligned to `align`: where the last mapping ended if possible, else with slack to cut off. */
static bool map_aligned(struct pool *pool, size_t size, size_t align, uintptr_t *out) REQUIRES(pool->lock) {
	void *memory;
	uintptr_t hint = round_up(pool->hint, align);
	if (os_map((void *)hint, size, &memory) != 0)
		return false;
	if (((uintptr_t)memory & (align - 1)) != 0) {
		(void)os_unmap(memory, size);
		if (size + align < size || os_map(NULL, size + align, &memory) != 0)
			return false;
		uintptr_t start = (uintptr_t)memory, aligned = round_up(start, align),
			  end = start + size + align;
		if (aligned > start)
			(void)os_unmap(memory, aligned - start);
		if (end > aligned + size)
			(void)os_unmap((void *)(aligned + size), end - aligned - size);
		memory = (void *)aligned;
	}
	*out = (uintptr_t)memory;
	return true;
}

/* Maps at least `count` chunks more. Asks for more than needed as the heap grows, for less when refused. */
static bool grow(struct pool *pool, size_t count, size_t align) REQUIRES(pool->lock) {
	size_t ahead = size_min(size_max(load_relaxed(&pool->mapped) / 4, 1), GROWTH_MAX);
	uintptr_t base;
	if (count > SIZE_LIMIT / CHUNK)
		return false;
	size_t asked = size_max(count, ahead);
	if (!map_aligned(pool, asked * CHUNK, align, &base)) {
		asked = count;
		if (!map_aligned(pool, asked * CHUNK, align, &base))
			return false;
	}
	if (!adopt(pool, base, asked)) {
		(void)os_unmap((void *)base, asked * CHUNK);
		return false;
	}
	pool->hint = base + asked * CHUNK;
	return true;
}

struct chunk *pool_take(struct pool *pool, size_t count, size_t align) {
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

/* Maps `count` chunks more where the last mapping ended. Not while resident memory waits to be used again: a block that
 * grows, is freed and grows anew would leave a trail of it behind. */
static bool extend(struct pool *pool, size_t count) REQUIRES(pool->lock) {
	uintptr_t fresh = pool->hint;
	if (pool->pages[PAGE_DIRTY] + pool->pages[PAGE_MUZZY] >= count * CHUNK_PAGES ||
	    map_chunk(fresh) != NULL)
		return false;
	if (os_map_at((void *)fresh, count * CHUNK) != 0)
		return false;
	if (!adopt(pool, fresh, count)) {
		(void)os_unmap((void *)fresh, count * CHUNK);
		return false;
	}
	pool->hint += count * CHUNK;
	return true;
}

bool pool_take_at(struct pool *pool, uintptr_t base, size_t count) {
	lock_take(&pool->lock);
	size_t have = 0;
	while (have < count && pooled_at(base + have * CHUNK) != NULL)
		have++;
	if (have < count && base + have * CHUNK == pool->hint && extend(pool, count - have))
		have = count;
	if (have == count) {
		struct chunk *first = map_chunk(base);
		while (pooled_at(first->base - CHUNK) != NULL)
			first = pooled_at(first->base - CHUNK);
		(void)cut_range(pool, first, (base - first->base) / CHUNK, count);
	}
	lock_drop(&pool->lock);
	return have == count;
}

void pool_give(struct pool *pool, struct chunk *first, size_t count) {
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
	size_t end = first->run;
	while (!is_unclean(next_chunk(first, end - 1)))
		end--;
	size_t start = end;
	while (start > 0 && end - start < most && is_unclean(next_chunk(first, start - 1)))
		start--;
	*count = end - start;
	return cut_range(pool, first, start, end - start);
}

/* Gives the memory of adjacent chunks back. Where the kernel moved pages, with a fresh mapping, so that mappings
 * merge again: *unmoved gets the number of such chunks. False: the system refused. */
static bool purge_chunks(struct chunk *first, size_t count, size_t *unmoved) {
	void *addr = (void *)first->base;
	size_t moved = 0;
	for (size_t i = 0; i < count; i++)
		moved += next_chunk(first, i)->moved;
	*unmoved = moved > 0 && os_refresh(addr, count * CHUNK) == 0 ? moved : 0;
	if (*unmoved == 0 && os_purge(addr, count * CHUNK) != 0)
		return false;
	map_forget_spans(first->base, count);
	for (size_t i = 0; i < count; i++) {
		struct chunk *chunk = next_chunk(first, i);
		if (*unmoved > 0)
			chunk->moved = false;
		memset(chunk->count, 0, sizeof chunk->count);
		memset(chunk->unclean, 0, sizeof chunk->unclean);
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
		lock_drop(&pool->lock);
		bool done = purge_chunks(first, count, &unmoved);
		lock_take(&pool->lock);
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
		purge_to(pool, limit);
		decay_note_left(&pool->decay, pool->pages[PAGE_DIRTY] + pool->pages[PAGE_MUZZY]);
	}
	lock_drop(&pool->lock);
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

void pool_init(struct pool *pool, uintptr_t hint, int64_t dirty_ms, uint64_t now) NO_LOCK_ANALYSIS {
	memset(pool, 0, sizeof *pool);
	lock_init(&pool->lock, RANK_POOL);
	for (unsigned i = 0; i < POOL_BUCKETS; i++) {
		list_init(&pool->clean.bucket[i]);
		list_init(&pool->unclean.bucket[i]);
	}
	pool->hint = hint;
	decay_init(&pool->decay, dirty_ms, now, (uintptr_t)pool ^ now);
}

void pool_note_fresh(struct pool *pool, size_t count) {
	lock_take(&pool->lock);
	pool->moved -= count;
	lock_drop(&pool->lock);
}

size_t pool_mapped(const struct pool *pool) {
	return load_relaxed(&pool->mapped) * CHUNK;
}

struct pool_stats pool_read_stats(struct pool *pool) {
	lock_take(&pool->lock);
	struct pool_stats stats = {
		.mapped = load_relaxed(&pool->mapped) * CHUNK,
		.pooled = pool->chunks * CHUNK,
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
	for (int s = 0; s < PAGE_STATES; s++)
		must(pages[s] == pool->pages[s], pool);
	lock_drop(&pool->lock);
}
