/* The pool of whole chunks against an array with one entry per chunk of the made-up window. */
// ctest-timeout: 120
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fake_os.h"

#define STEPS       6000
#define BLOCKS      100
#define FAKE_CHUNKS (FAKE_SIZE / CHUNK)
#define MS          ((uint64_t)1000000)

static uint64_t seed;
static struct pool pool;

enum { ABSENT, POOLED, LIVE };

static struct block {
	uintptr_t base;
	size_t count; /* 0: none */
} block[BLOCKS];

static size_t index_of(uintptr_t base) {
	return (base - FAKE_BASE) / CHUNK;
}
static uintptr_t base_of(size_t index) {
	return FAKE_BASE + index * CHUNK;
}

static bool is_unclean(size_t index) {
	const struct chunk *chunk = map_chunk(base_of(index));
	return chunk->count[PAGE_DIRTY] + chunk->count[PAGE_MUZZY] > 0;
}

/* -- the model: who has each chunk, by the blocks alone and by what is mapped -- */

static uint8_t who[FAKE_CHUNKS];

static void read_model(void) {
	for (size_t i = 0; i < FAKE_CHUNKS; i++)
		who[i] = (fake.page[i * CHUNK_PAGES] & FAKE_MAPPED) ? POOLED : ABSENT;
	for (size_t b = 0; b < BLOCKS; b++) {
		for (size_t i = 0; i < block[b].count; i++) {
			assert_int_equal(who[index_of(block[b].base) + i],
			                 POOLED); /* mapped, and nobody else's */
			who[index_of(block[b].base) + i] = LIVE;
		}
	}
}

/* End of the pooled run that begins at `index`; *unclean tells of any unclean chunk in it. */
static size_t run_end(size_t index, bool *unclean) {
	*unclean = false;
	while (index < FAKE_CHUNKS && who[index] == POOLED)
		*unclean |= is_unclean(index++);
	return index;
}

static void check_same(void) {
	size_t pooled = 0, live = 0, dirty = 0;
	read_model();
	for (size_t i = 0; i < FAKE_CHUNKS;) {
		if (who[i] != POOLED) {
			live += who[i] == LIVE;
			assert_true((map_chunk(base_of(i)) == NULL) == (who[i] == ABSENT));
			i++;
			continue;
		}
		bool unclean;
		size_t end = run_end(i, &unclean);
		assert_int_equal(map_chunk(base_of(i))->run, end - i); /* touching ranges are one */
		assert_int_equal(map_chunk(base_of(end - 1))->run, end - i);
		for (pooled += end - i; i < end; i++) {
			const struct chunk *chunk = map_chunk(base_of(i));
			dirty += chunk->count[PAGE_DIRTY] + chunk->count[PAGE_MUZZY];
			assert_true(is_unclean(i) || fake_reads_zero(base_of(i), CHUNK_PAGES));
		}
	}
	struct pool_stats stats = pool_read_stats(&pool);
	assert_int_equal(stats.mapped, (pooled + live) * CHUNK);
	assert_int_equal(stats.mapped, fake.mapped * PAGE);
	assert_int_equal(stats.pooled, pooled * CHUNK);
	assert_int_equal(stats.dirty, dirty * PAGE);
	pool_audit(&pool);
}

/* -- steps -- */

static void own(uintptr_t base, size_t count, uint32_t owner) {
	for (size_t i = 0; i < count * CHUNK_PAGES; i++)
		fake.owner[fake_index(base) + i] = owner;
}

/* What an arena does with chunks it got: all pages handed out; some get written. */
static void use_chunks(uintptr_t base, size_t count) {
	own(base, count, 1);
	for (size_t i = 0; i < count; i++) {
		struct chunk *chunk = map_chunk(base + i * CHUNK);
		assert_int_equal(chunk->base, base + i * CHUNK);
		assert_int_equal(chunk->state, CHUNK_WHOLE);
		assert_true(chunk_take_at(chunk, 0, CHUNK_PAGES));
	}
}

static void release_chunks(uintptr_t base, size_t count) {
	for (size_t i = 0; i < count; i++) {
		bool written = random_below(&seed, 3) != 0;
		size_t pages = written ? 1 + random_below(&seed, CHUNK_PAGES) : 0;
		struct chunk *chunk = map_chunk(base + i * CHUNK);
		if (written)
			fake_write(chunk->base, pages);
		bool was_clean = chunk_is_clean(chunk, 0, CHUNK_PAGES);
		chunk_give(chunk, 0, CHUNK_PAGES, written || !was_clean ? PAGE_DIRTY : PAGE_CLEAN);
	}
	own(base, count, 0);
	pool_give(&pool, map_chunk(base), count);
}

static unsigned bucket(size_t run) {
	unsigned n = 0;
	size_t top = 0;
	for (; top < run; n++)
		top += n < 8 ? 1 : (size_t)2 << (n - 8) / 4;
	return n;
}

/* Lowest bucket of pooled runs, all unclean or all clean, that hold `count` aligned chunks; 0: none. */
static unsigned best_bucket(size_t count, size_t align, bool want_unclean) {
	unsigned best = 0;
	for (size_t i = 0; i < FAKE_CHUNKS; i++) {
		if (who[i] != POOLED)
			continue;
		bool unclean;
		size_t end = run_end(i, &unclean), start = index_of(round_up(base_of(i), align));
		unsigned found = bucket(end - i);
		if (unclean == want_unclean && start + count <= end && (best == 0 || found < best))
			best = found;
		i = end - 1;
	}
	return best;
}

static void step_take(struct block *b) {
	size_t count = 1 + random_below(&seed, random_below(&seed, 4) == 0 ? 60 : 8);
	size_t align = random_below(&seed, 4) == 0 ? CHUNK << random_below(&seed, 6) : CHUNK;
	read_model();
	unsigned unclean = best_bucket(count, align, true), clean = best_bucket(count, align, false);
	size_t mapped = fake.mapped, calls = fake.maps;
	struct chunk *first = pool_take(&pool, count, align);
	if (unclean + clean != 0) {
		assert_non_null(first);
		assert_int_equal(fake.maps, calls);
		size_t start = index_of(first->base), end = start;
		while (start > 0 && who[start - 1] == POOLED)
			start--;
		end = run_end(start, &(bool){false});
		assert_int_equal(bucket(end - start), unclean != 0 ? unclean : clean);
	}
	if (first == NULL) {
		assert_true(fake.fail_map || fake.fail_in == 0);
		assert_int_equal(fake.mapped, mapped);
		return;
	}
	assert_int_equal(first->base % align, 0);
	*b = (struct block){first->base, count};
	use_chunks(b->base, count);
}

static void step_take_at(struct block *b) {
	size_t count = 1 + random_below(&seed, 6);
	uintptr_t at = b->base + b->count * CHUNK;
	read_model();
	size_t have = 0, mapped = fake.mapped;
	while (have < count && who[index_of(at) + have] == POOLED)
		have++;
	bool done = pool_take_at(&pool, at, count);
	if (have == count)
		assert_true(done);
	if (!done) {
		assert_int_equal(fake.mapped, mapped);
		return;
	}
	use_chunks(at, count);
	b->count += count;
}

/* Gives all of a block back, or its front or its end. */
static void step_give(struct block *b) {
	size_t part = random_below(&seed, 2) ? b->count : 1 + random_below(&seed, b->count);
	bool front = random_below(&seed, 2);
	uintptr_t from = front ? b->base : b->base + (b->count - part) * CHUNK;
	b->base += front ? part * CHUNK : 0;
	b->count -= part;
	release_chunks(from, part);
}

static void step_decay(void) {
	bool all = random_below(&seed, 10) == 0;
	size_t dirty = pool_read_stats(&pool).dirty, purged = pool_read_stats(&pool).purged;
	fake.now += random_below(&seed, 2000 * MS);
	fake.fail_purge = random_below(&seed, 10) == 0;
	fake.fail_refresh = random_below(&seed, 10) == 0;
	pool_decay(&pool, fake.now, all);
	struct pool_stats stats = pool_read_stats(&pool);
	if (!fake.fail_purge) {
		assert_true(stats.dirty <= dirty);
		assert_int_equal(stats.purged - purged, (dirty - stats.dirty) / PAGE);
		assert_true(!all || stats.dirty == 0);
	}
	fake.fail_purge = fake.fail_refresh = false;
}

static void release_all(void) {
	for (size_t b = 0; b < BLOCKS; b++) {
		if (block[b].count != 0)
			release_chunks(block[b].base, block[b].count);
		block[b].count = 0;
	}
	check_same();
}

static void run_steps(size_t steps) {
	for (size_t i = 0; i < steps; i++) {
		struct block *b = &block[random_below(&seed, BLOCKS)];
		fake.misaligned = random_below(&seed, 8) == 0;
		fake.fail_map = random_below(&seed, 16) == 0;
		uint64_t dice = random_below(&seed, 10);
		if (dice == 0)
			step_decay();
		else if (b->count == 0)
			step_take(b);
		else if (dice < 4)
			step_take_at(b);
		else
			step_give(b);
		if (i % 8 == 0)
			check_same();
	}
	fake.misaligned = fake.fail_map = false;
	check_same();
}

static void test_random_steps(void **state) {
	(void)state;
	run_steps(test_scaled(STEPS));
	release_all();
	pool_decay(&pool, fake.now, true);
	assert_int_equal(pool_read_stats(&pool).dirty, 0);
	check_same();
}

static void test_large_os_page(void **state) {
	(void)state;
	os.page_size = 65536;
	run_steps(test_scaled(STEPS / 4));
	release_all();
	os.page_size = 4096;
}

/* A few pages of a chunk are enough to have it purged when nothing is to stay. */
static void test_few_pages(void **state) {
	(void)state;
	pool_decay(&pool, fake.now, true);
	struct chunk *chunk = pool_take(&pool, 1, CHUNK);
	use_chunks(chunk->base, 1);
	fake_write(chunk->base, 3);
	chunk_give(chunk, 0, 3, PAGE_DIRTY);
	chunk_give(chunk, 3, CHUNK_PAGES - 3, PAGE_CLEAN);
	own(chunk->base, 1, 0);
	pool_give(&pool, chunk, 1);
	assert_int_equal(pool_read_stats(&pool).dirty, 3 * PAGE);
	pool_decay(&pool, fake.now, true);
	assert_int_equal(pool_read_stats(&pool).dirty, 0);
	check_same();
}

/* What was freed last second may stay, what was freed `dirty_ms` ago may not. */
static void test_decay(void **state) {
	(void)state;
	pool_decay(&pool, fake.now, true);
	pool_set_decay(&pool, 1000, fake.now);
	struct chunk *first = pool_take(&pool, 40, CHUNK);
	use_chunks(first->base, 40);
	fake_write(first->base, 40 * CHUNK_PAGES);
	for (size_t i = 0; i < 40; i++)
		chunk_give(map_chunk(first->base + i * CHUNK), 0, CHUNK_PAGES, PAGE_DIRTY);
	own(first->base, 40, 0);
	pool_give(&pool, first, 40);
	size_t before = 40 * CHUNK, calls = fake.purges;
	for (int i = 0; i < 110; i++) {
		fake.now += 10 * MS;
		pool_decay(&pool, fake.now, false);
		size_t now = pool_read_stats(&pool).dirty;
		assert_true(now <= before);
		assert_true(i > 5 || now == 40 * CHUNK);
		assert_true(i != 50 || (now >= 15 * CHUNK && now <= 25 * CHUNK));
		before = now;
	}
	assert_int_equal(before, 0);
	assert_true(fake.purges > calls && fake.purges <= calls + 40);
	check_same();
	pool_set_decay(&pool, 10000, fake.now);
}

/* Chunks whose pages were moved are purged with a fresh mapping, and then are as others. */
static void test_moved(void **state) {
	(void)state;
	struct chunk *first = pool_take(&pool, 4, CHUNK);
	size_t refreshes = fake.refreshes;
	assert_int_equal(pool.moved, 0);
	assert_true(pool_allow_move(&pool, 2));
	map_chunk(first->base + CHUNK)->moved = true;
	map_chunk(first->base + 2 * CHUNK)->moved = true;
	use_chunks(first->base, 4);
	for (size_t i = 0; i < 4; i++)
		chunk_give(map_chunk(first->base + i * CHUNK), 0, CHUNK_PAGES, PAGE_DIRTY);
	own(first->base, 4, 0);
	pool_give(&pool, first, 4);
	pool_decay(&pool, fake.now, true);
	assert_int_equal(fake.refreshes, refreshes + 1);
	assert_int_equal(pool.moved, 0);
	assert_false(map_chunk(first->base + CHUNK)->moved);
	assert_true(pool_allow_move(&pool, os.max_maps / 8));
	assert_false(pool_allow_move(&pool, 1));
	pool.moved = 0;
	check_same();
}

static void test_impossible(void **state) {
	(void)state;
	size_t mapped = fake.mapped;
	assert_null(pool_take(&pool, FAKE_CHUNKS + 1, CHUNK));
	assert_null(pool_take(&pool, SIZE_LIMIT / CHUNK, CHUNK));
	assert_null(pool_take(&pool, SIZE_MAX / CHUNK, CHUNK));
	assert_null(pool_take(&pool, 1, (size_t)1 << 62));
	assert_int_equal(fake.mapped, mapped);
	check_same();
}

/* The k-th mapping of a request is refused, for each k: nothing is taken, nothing is lost; the rest is as before. */
static void test_each_refusal(void **state) {
	(void)state;
	for (int misaligned = 0; misaligned < 2; misaligned++) {
		struct block *b = &block[misaligned];
		fake.misaligned = misaligned;
		for (uint64_t k = 1;; k++) {
			size_t count = pool.chunks + 1, calls = fake.maps;
			fake.fail_in = k;
			struct chunk *first = pool_take(&pool, count, CHUNK);
			bool refused = fake.fail_in == 0;
			fake.fail_in = 0;
			assert_true(fake.maps - calls >= 1);
			if (first != NULL) {
				*b = (struct block){first->base, count};
				use_chunks(first->base, count);
			}
			check_same();
			if (first != NULL)
				release_chunks(b->base, b->count);
			b->count = 0;
			if (!refused)
				break;
		}
	}
	fake.misaligned = false;
	check_same();
}

static struct chunk *take_and_give(size_t count) {
	struct chunk *first = pool_take(&pool, count, CHUNK);
	use_chunks(first->base, count);
	fake_write(first->base, count * CHUNK_PAGES);
	for (size_t i = 0; i < count; i++)
		chunk_give(map_chunk(first->base + i * CHUNK), 0, CHUNK_PAGES, PAGE_DIRTY);
	own(first->base, count, 0);
	pool_give(&pool, first, count);
	return first;
}

/* Without retaining, purged chunks go away, records and all; with too many holes, or when refused, only their pages. */
static void test_no_retain(void **state) {
	(void)state;
	pool_decay(&pool, fake.now, true);
	page_prepare(&(struct page_settings){.no_retain = true});
	struct chunk *first = take_and_give(5);
	uintptr_t base = first->base;
	size_t mapped = fake.mapped, before = pool_mapped(&pool), purges = fake.purges;
	pool_decay(&pool, fake.now, true);
	assert_int_equal(fake.mapped, mapped - 5 * CHUNK_PAGES);
	assert_int_equal(pool_mapped(&pool), before - 5 * CHUNK);
	assert_null(map_chunk(base));
	assert_int_equal(fake.purges, purges);
	check_same();
	pool.holes = os.max_maps;
	first = take_and_give(3);
	mapped = fake.mapped;
	pool_decay(&pool, fake.now, true);
	assert_int_equal(fake.mapped, mapped);
	assert_int_equal(pool_read_stats(&pool).dirty, 0);
	pool.holes = 0;
	fake.fail_unmap = true;
	first = take_and_give(3);
	mapped = fake.mapped;
	pool_decay(&pool, fake.now, true);
	fake.fail_unmap = false;
	assert_int_equal(fake.mapped, mapped);
	assert_int_equal(pool_read_stats(&pool).dirty, 0);
	check_same();
	page_prepare(&(struct page_settings){.dss = PAGE_DSS_SECONDARY});
}

static void test_thp(void **state) {
	(void)state;
	static const struct {
		enum page_thp wish;
		enum os_thp system;
		int advice; /* -1: none */
	} rows[] = {
		{PAGE_THP_DEFAULT, OS_THP_MADVISE, -1}, {PAGE_THP_DEFAULT, OS_THP_ALWAYS, -1},
		{PAGE_THP_ALWAYS, OS_THP_MADVISE, 1},   {PAGE_THP_ALWAYS, OS_THP_ALWAYS, -1},
		{PAGE_THP_ALWAYS, OS_THP_NEVER, -1},    {PAGE_THP_NEVER, OS_THP_MADVISE, 0},
		{PAGE_THP_NEVER, OS_THP_ALWAYS, 0},     {PAGE_THP_NEVER, OS_THP_NEVER, -1},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		page_prepare(&(struct page_settings){.thp = rows[i].wish});
		os.thp = rows[i].system;
		memset(fake.advised, 0, sizeof fake.advised);
		static struct pool own_pool[sizeof rows / sizeof rows[0]];
		size_t mapped = fake.mapped;
		pool_init(&own_pool[i], 0, 0, fake.now);
		assert_non_null(pool_take(&own_pool[i], 3, CHUNK));
		assert_true(fake.mapped > mapped);
		for (int wanted = 0; wanted < 2; wanted++)
			assert_int_equal(fake.advised[wanted],
			                 wanted == rows[i].advice ? fake.mapped - mapped : 0);
	}
	os.thp = OS_THP_UNKNOWN;
	page_prepare(&(struct page_settings){.dss = PAGE_DSS_SECONDARY});
}

/* The break: before mappings, after them, never; its memory is purged, not unmapped. */
static void test_dss(void **state) {
	(void)state;
	static struct pool own_pool;
	uintptr_t room = FAKE_BASE + FAKE_SIZE - 64 * CHUNK;
	while (!fake_is_free(room, 64 * CHUNK)) /* the tests before have mappings wherever chance put them */
		room -= CHUNK;
	fake.dss_first = fake.dss_end = room + PAGE;
	pool_init(&own_pool, 0, 0, fake.now);
	assert_int_equal(own_pool.dss, PAGE_DSS_SECONDARY);
	struct chunk *mapped = pool_take(&own_pool, 2, CHUNK);
	assert_false(os_dss_owns((void *)mapped->base));
	void *records[64]; /* which the refusal of mappings must not concern */
	for (size_t i = 0; i < COUNT_OF(records); i++)
		assert_non_null(records[i] = base_take(BASE_CHUNK, NULL));
	for (size_t i = 0; i < COUNT_OF(records); i++)
		base_give(BASE_CHUNK, records[i]);
	assert_true(map_cover(FAKE_BASE, FAKE_SIZE));
	fake.fail_map = true;
	store_relaxed(&own_pool.dss, PAGE_DSS_DISABLED);
	assert_null(pool_take(&own_pool, 20, CHUNK));
	store_relaxed(&own_pool.dss, PAGE_DSS_SECONDARY);
	struct chunk *first = pool_take(&own_pool, 20, CHUNK);
	assert_true(first != NULL && os_dss_owns((void *)first->base));
	fake.fail_map = false;
	store_relaxed(&own_pool.dss, PAGE_DSS_PRIMARY);
	struct chunk *second = pool_take(&own_pool, 20, CHUNK);
	assert_true(second != NULL && os_dss_owns((void *)second->base));
	page_prepare(&(struct page_settings){.no_retain = true});
	for (size_t i = 0; i < 20; i++) {
		(void)chunk_take_at(map_chunk(first->base + i * CHUNK), 0, CHUNK_PAGES);
		chunk_give(map_chunk(first->base + i * CHUNK), 0, CHUNK_PAGES, PAGE_DIRTY);
	}
	pool_give(&own_pool, first, 20);
	size_t there = fake.mapped;
	pool_decay(&own_pool, fake.now, true);
	assert_int_equal(fake.mapped, there);
	assert_int_equal(pool_read_stats(&own_pool).dirty, 0);
	page_prepare(&(struct page_settings){.dss = PAGE_DSS_SECONDARY});
	pool_audit(&own_pool);
	pool_give(&own_pool, second, 20);
	pool_give(&own_pool, mapped, 2);
	pool_audit(&own_pool);
}

static int start(void **state) {
	(void)state;
	base_define(BASE_CHUNK, sizeof(struct chunk));
	pool_init(&pool, FAKE_BASE + 3 * GIB / 2, 10000, fake.now);
	return 0;
}

int main(void) {
	seed = test_seed();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_steps), cmocka_unit_test(test_large_os_page),
		cmocka_unit_test(test_few_pages),    cmocka_unit_test(test_decay),
		cmocka_unit_test(test_moved),        cmocka_unit_test(test_impossible),
		cmocka_unit_test(test_no_retain),    cmocka_unit_test(test_each_refusal),
		cmocka_unit_test(test_dss),          cmocka_unit_test(test_thp),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}
