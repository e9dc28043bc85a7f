/* The page allocator of two arenas over one pool, on made-up memory and time, against the owner of every page. */
// ctest-timeout: 200
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fake_os.h"

#define STEPS  30000
#define BLOCKS 400
#define ARENAS 2
#define MS     ((uint64_t)1000000)

static uint64_t seed;
static struct pool pool;
static struct pages arena[ARENAS];
static const int64_t default_ms[PAGE_STATES] = {10000, 0};

static struct block {
	struct span *span; /* NULL: none */
	uintptr_t base;
	size_t pages;
	unsigned arena;
} block[BLOCKS];

static uint32_t number_of(const struct block *b) {
	return (uint32_t)(b - block) + 1;
}

static void own(uintptr_t base, size_t pages, uint32_t from, uint32_t to) {
	for (size_t i = fake_index(base); i < fake_index(base) + pages; i++) {
		assert_int_equal(fake.owner[i], from);
		assert_true(fake.page[i] & FAKE_MAPPED);
		fake.owner[i] = to;
	}
}

/* -- everything at once: each page is owned or free, and what is counted is there -- */

struct sums {
	size_t chunks, moved, pooled_unclean, pooled;
	size_t owned[ARENAS], state[ARENAS][PAGE_STATES];
};

static void check_page(const struct chunk *chunk, unsigned n, struct sums *sums) {
	size_t i = fake_index(chunk->base) + n;
	bool is_free = chunk->state != CHUNK_WHOLE && bitmap_get(chunk->free, n);
	assert_true(fake.page[i] & FAKE_MAPPED);
	assert_int_equal(is_free, fake.owner[i] == 0); /* nothing twice, nothing lost */
	if (!is_free) {
		sums->owned[block[fake.owner[i] - 1].arena]++;
		if (chunk->state == CHUNK_SHARED)
			assert_ptr_equal(chunk->owner, &arena[block[fake.owner[i] - 1].arena]);
	} else if (fake.page[i] & FAKE_WRITTEN) {
		assert_true(bitmap_get(chunk->unclean[PAGE_DIRTY], n) ||
		            bitmap_get(chunk->unclean[PAGE_MUZZY], n));
	}
}

static void check_chunk(const struct chunk *chunk, struct sums *sums) {
	sums->chunks++;
	sums->moved += (size_t)chunk->moved + (chunk->thp != CHUNK_THP_AS_ALL);
	chunk_audit(chunk);
	for (unsigned n = 0; n < CHUNK_PAGES; n++)
		check_page(chunk, n, sums);
	if (chunk->state == CHUNK_POOLED) {
		assert_int_equal(chunk->nfree, CHUNK_PAGES);
		sums->pooled++;
		sums->pooled_unclean += chunk->count[PAGE_DIRTY] + chunk->count[PAGE_MUZZY];
		return;
	}
	if (chunk->state == CHUNK_WHOLE) {
		assert_int_equal(chunk->nfree, CHUNK_PAGES); /* the record is as the chunk came */
		return;
	}
	for (int s = 0; s < PAGE_STATES; s++)
		sums->state[chunk->owner - arena][s] += chunk->count[s];
	bool unclean = chunk->count[PAGE_DIRTY] + chunk->count[PAGE_MUZZY] != 0;
	assert_int_equal(chunk->listed, chunk->state == CHUNK_SHARED);
	assert_int_equal(list_empty(&chunk->unclean_link), !unclean);
}

static void check_all(void) {
	struct sums sums = {0};
	for (size_t i = 0; i < FAKE_SIZE / CHUNK; i++) {
		const struct chunk *chunk = map_chunk(FAKE_BASE + i * CHUNK);
		assert_int_equal(chunk != NULL, fake.page[i * CHUNK_PAGES] & FAKE_MAPPED);
		if (chunk != NULL)
			check_chunk(chunk, &sums);
	}
	for (unsigned a = 0; a < ARENAS; a++) {
		struct page_stats stats = page_read_stats(&arena[a]);
		assert_int_equal(stats.active, sums.owned[a]);
		assert_int_equal(stats.dirty, sums.state[a][PAGE_DIRTY]);
		assert_int_equal(stats.muzzy, sums.state[a][PAGE_MUZZY]);
		pages_audit(&arena[a]);
	}
	struct pool_stats stats = pool_read_stats(&pool);
	assert_int_equal(stats.mapped, sums.chunks * CHUNK);
	assert_int_equal(stats.pooled, sums.pooled * CHUNK);
	assert_int_equal(stats.dirty, sums.pooled_unclean * PAGE);
	assert_int_equal(pool.moved, sums.moved);
	pool_audit(&pool);
}

/* -- steps -- */

static size_t random_count(void) {
	switch (random_below(&seed, 8)) {
	case 0:
		return 1 + random_below(&seed, 3000);
	case 1:
		return CHUNK_PAGES * (1 + random_below(&seed, 4));
	case 2:
		return 1 + random_below(&seed, CHUNK_PAGES + 40);
	case 3:
		return 1 + random_below(&seed, 64);
	default:
		return 1 + random_below(&seed, 16);
	}
}

static size_t random_align(void) {
	return random_below(&seed, 4) ? PAGE : PAGE << random_below(&seed, 13); /* up to 16 MiB */
}

static void check_span(const struct block *b) {
	assert_int_equal(b->span->base, b->base);
	assert_int_equal(b->span->pages, b->pages);
}

static bool take(struct block *b, unsigned from, size_t count, size_t align) {
	enum span_kind kind = random_below(&seed, 2) ? SPAN_SLAB : SPAN_LARGE;
	b->span = page_take(&arena[from], kind, count, align);
	if (b->span == NULL)
		return false;
	*b = (struct block){b->span, b->span->base, count, from};
	check_span(b);
	assert_int_equal(b->base % align, 0);
	own(b->base, count, 0, number_of(b));
	assert_true(!b->span->zeroed || fake_reads_zero(b->base, count));
	assert_true(b->span->link.next == &b->span->link);
	assert_int_equal(b->span->kind, kind);
	return true;
}

static void write_some(struct block *b) {
	if (random_below(&seed, 2))
		fake_write(b->base, 1 + random_below(&seed, b->pages));
}

static void give(struct block *b) {
	check_span(b);
	own(b->base, b->pages, number_of(b), 0);
	page_give(&arena[b->arena], b->span);
	b->span = NULL;
}

/* Are the `count` pages from addr on mapped and nobody's? */
static bool all_free(uintptr_t addr, size_t count) {
	for (size_t i = 0; i < count; i++)
		if (!fake_holds(addr, count * PAGE) || !(fake.page[fake_index(addr) + i] & FAKE_MAPPED) ||
		    fake.owner[fake_index(addr) + i] != 0)
			return false;
	return true;
}

static void resize(struct block *b, size_t count) {
	uintptr_t end = b->base + b->pages * PAGE, new_end = b->base + count * PAGE;
	bool same_chunk = round_down(end - 1, CHUNK) == round_down(new_end - 1, CHUNK);
	bool must_work = count <= b->pages || (same_chunk && all_free(end, count - b->pages));
	bool cannot = count > b->pages && same_chunk && !must_work;
	bool done = page_resize(&arena[b->arena], b->span, count);
	assert_true(!must_work || done);
	assert_true(!cannot || !done);
	if (!done) {
		check_span(b);
		return;
	}
	if (count > b->pages)
		own(end, count - b->pages, 0, number_of(b));
	else
		own(new_end, b->pages - count, number_of(b), 0);
	b->pages = count;
	check_span(b);
}

static void step_resize(struct block *b) {
	size_t count = random_count();
	if (random_below(&seed, 3) == 0)
		count = b->pages + 1 + random_below(&seed, 40);
	else if (random_below(&seed, 3) == 0)
		count = b->pages - random_below(&seed, b->pages);
	else if (random_below(&seed, 3) == 0) /* to the end of the chunk, or one off it */
		count = round_up(b->pages, CHUNK_PAGES) - 1 + random_below(&seed, 3);
	resize(b, count);
}

static void step_move(struct block *to, struct block *from) {
	if (to == from || to->span == NULL || from->span == NULL)
		return;
	size_t chunks = size_min(to->pages, from->pages) / CHUNK_PAGES;
	bool was_zero = chunks > 0 && fake_reads_zero(from->base, chunks * CHUNK_PAGES);
	fake.fail_move = random_below(&seed, 4) == 0;
	bool done = page_move(to->span, from->span, chunks * CHUNK);
	assert_int_equal(done, chunks > 0 && !fake.fail_move);
	if (done) {
		assert_true(fake_reads_zero(from->base, chunks * CHUNK_PAGES));
		assert_int_equal(fake_reads_zero(to->base, chunks * CHUNK_PAGES), was_zero);
		give(from);
	}
}

static void step_decay(void) {
	struct pages *pages = &arena[random_below(&seed, ARENAS)];
	bool all = random_below(&seed, 8) == 0;
	fake.now += random_below(&seed, 3000 * MS);
	fake.fail_purge = random_below(&seed, 8) == 0;
	fake.fail_lazy = random_below(&seed, 8) == 0;
	fake.fail_refresh = random_below(&seed, 8) == 0;
	fake.lazy_is_now = random_below(&seed, 2);
	struct page_stats before = page_read_stats(pages);
	page_decay(pages, fake.now, all);
	pool_decay(&pool, fake.now, all);
	struct page_stats after = page_read_stats(pages);
	assert_int_equal(after.active, before.active);
	assert_true(after.dirty <= before.dirty || os.page_size > PAGE);
	if (all && !fake.fail_purge && !fake.fail_lazy && os.page_size == PAGE) {
		assert_int_equal(after.dirty + after.muzzy, 0);
		assert_int_equal(pool_read_stats(&pool).dirty, 0);
	}
	fake.fail_purge = fake.fail_lazy = fake.fail_refresh = false;
}

static void step_zero(struct block *b) {
	if (b->base % os.page_size != 0 || b->pages * PAGE % os.page_size != 0)
		return; /* its edges would be cleared by hand */
	b->span->zeroed = false;
	fake.purges_owned = true;
	page_zero(b->span, b->pages * PAGE, 0);
	fake.purges_owned = false;
	assert_true(fake_reads_zero(b->base, b->pages));
}

static size_t live_pages(void) {
	return arena[0].active + arena[1].active;
}

static void step_on(struct block *b) {
	if (b->span == NULL) {
		if (live_pages() < FAKE_PAGES / 8)
			(void)take(b, (unsigned)random_below(&seed, ARENAS), random_count(), random_align());
		return;
	}
	switch (random_below(&seed, 8)) {
	case 0:
	case 1:
		step_resize(b);
		break;
	case 2:
		write_some(b);
		break;
	case 3:
		step_zero(b);
		break;
	default:
		write_some(b);
		give(b);
	}
}

static void run_steps(size_t steps) {
	for (size_t i = 0; i < steps; i++) {
		fake.fail_map = random_below(&seed, 32) == 0;
		fake.misaligned = random_below(&seed, 32) == 0;
		if (random_below(&seed, 12) == 0)
			step_decay();
		else if (random_below(&seed, 12) == 0)
			step_move(&block[random_below(&seed, BLOCKS)], &block[random_below(&seed, BLOCKS)]);
		else
			step_on(&block[random_below(&seed, BLOCKS)]);
		if (i % 200 == 0)
			check_all();
	}
	fake.fail_map = fake.misaligned = false;
	check_all();
}

/* All given back, all purged: nothing but the spare chunks is left in the arenas, all is clean. */
static void release_all(void) {
	for (size_t i = 0; i < BLOCKS; i++)
		if (block[i].span != NULL)
			give(&block[i]);
	check_all();
	for (unsigned a = 0; a < ARENAS; a++) {
		page_decay(&arena[a], fake.now, true);
		struct page_stats stats = page_read_stats(&arena[a]);
		assert_int_equal(stats.active + stats.dirty + stats.muzzy, 0);
	}
	pool_decay(&pool, fake.now, true);
	check_all();
	struct pool_stats stats = pool_read_stats(&pool);
	assert_int_equal(stats.dirty, 0);
	assert_true(stats.mapped - stats.pooled <= ARENAS * CHUNK);
	for (size_t i = 0; i < FAKE_PAGES; i++)
		assert_true((fake.page[i] & FAKE_WRITTEN) == 0);
}

static void set_muzzy(int64_t ms) {
	for (unsigned a = 0; a < ARENAS; a++)
		page_set_decay(&arena[a], PAGE_MUZZY, ms, fake.now);
}

static void test_random_steps(void **state) {
	(void)state;
	run_steps(test_scaled(STEPS));
	release_all();
}

static void test_with_muzzy(void **state) {
	(void)state;
	set_muzzy(5000);
	run_steps(test_scaled(STEPS / 2));
	set_muzzy(DECAY_NEVER);
	run_steps(test_scaled(STEPS / 4));
	release_all();
	set_muzzy(0);
}

static void with_os_page(size_t page_size, int64_t muzzy_ms) {
	os.page_size = page_size;
	set_muzzy(muzzy_ms);
	run_steps(test_scaled(STEPS / 3));
	release_all();
	set_muzzy(0);
	os.page_size = PAGE;
}

static void test_os_page_16k(void **state) {
	(void)state;
	with_os_page(16 * KIB, 0);
	with_os_page(16 * KIB, 3000);
}

static void test_os_page_64k(void **state) {
	(void)state;
	with_os_page(64 * KIB, 0);
	with_os_page(64 * KIB, 3000);
}

/* -- particular cases -- */

/* A block grows from small to huge in place, over the end of its chunk, and shrinks back. */
static void test_grow_and_shrink(void **state) {
	(void)state;
	struct block *b = &block[0], *small = &block[1];
	assert_true(take(b, 0, 100, CHUNK));
	for (size_t count = 100; count <= 5 * CHUNK_PAGES; count += 37)
		resize(b, count);
	if (b->pages < 2 * CHUNK_PAGES) { /* what lies behind was taken: make room elsewhere */
		give(b);
		assert_true(take(b, 0, 5 * CHUNK_PAGES, PAGE));
	}
	check_all();
	resize(b, 2 * CHUNK_PAGES + 10);
	check_all();
	/* The rest of the last chunk serves requests, best before a new chunk is begun; not those of more than half a chunk,
	 * which may begin the chunk that is kept spare. */
	uintptr_t tail = b->base + b->pages * PAGE;
	assert_true(take(small, 0, CHUNK_PAGES / 2, PAGE));
	assert_true(small->base >= tail && small->base < tail + CHUNK);
	resize(b, 2 * CHUNK_PAGES);
	check_all();
	resize(b, 7);
	check_all();
	give(small);
	resize(b, 1);
	give(b);
	release_all();
}

/* The fullest chunk that can serve does. */
static void test_fullest_first(void **state) {
	(void)state;
	struct block *b = block;
	for (int i = 0; i < 6; i++)
		assert_true(take(&b[i], 0, 200, PAGE)); /* two to a chunk: 112 pages left in each */
	assert_true(take(&b[6], 0, 60, PAGE));
	uintptr_t fullest = round_down(b[6].base, CHUNK);
	for (int i = 0; i < 6; i++)
		if (round_down(b[i].base, CHUNK) != fullest) {
			give(&b[i]); /* one of two: that chunk is now the emptiest of all */
			break;
		}
	for (int i = 7; i < 12; i++) {
		assert_true(take(&b[i], 0, 10, PAGE));
		assert_int_equal(round_down(b[i].base, CHUNK), fullest);
	}
	release_all();
}

/* An aligned request uses what is there, also when the first chunk tried turns out not to have it. */
static void test_aligned_reuse(void **state) {
	(void)state;
	struct block *b = block;
	for (int i = 0; i < 8; i++)
		assert_true(take(&b[i], 0, 256, 256 * PAGE));
	size_t pooled = pool_read_stats(&pool).pooled;
	for (int i = 0; i < 8; i += 2)
		give(&b[i]);
	for (int i = 8; i < 8 + 4; i++)
		assert_true(take(&b[i], 0, 128, 128 * PAGE));
	check_all();
	assert_true(pool_read_stats(&pool).pooled >= pooled);
	release_all();
}

/* A hole is found again by a request of its own size, whatever the size. */
static void test_exact_hole(void **state) {
	(void)state;
	for (size_t count = 1; count < CHUNK_PAGES - 1; count++) {
		struct block *b = block;
		assert_true(take(&b[0], 0, count, PAGE) && take(&b[1], 0, CHUNK_PAGES - count, PAGE));
		assert_int_equal(round_down(b[0].base, CHUNK), round_down(b[1].base, CHUNK));
		uintptr_t hole = b[0].base;
		give(&b[0]);
		assert_true(take(&b[0], 0, count, PAGE));
		assert_int_equal(b[0].base, hole);
		give(&b[0]);
		give(&b[1]);
	}
	release_all();
}

/* Freed memory of one arena serves another. */
static void test_shared_pool(void **state) {
	(void)state;
	assert_true(take(&block[0], 0, 40 * CHUNK_PAGES, PAGE));
	size_t mapped = fake.mapped;
	give(&block[0]);
	assert_true(take(&block[0], 1, 39 * CHUNK_PAGES + 3, PAGE));
	assert_int_equal(fake.mapped, mapped);
	release_all();
}

/* ms 0: all goes with the next decay. ms -1: nothing does, unless all is asked for. */
static void test_at_once_and_never(void **state) {
	(void)state;
	page_set_decay(&arena[0], PAGE_DIRTY, 0, fake.now);
	assert_true(take(&block[0], 0, 50, PAGE) && take(&block[1], 0, 50, PAGE));
	fake_write(block[0].base, 50);
	give(&block[0]);
	page_decay(&arena[0], fake.now, false);
	assert_int_equal(page_read_stats(&arena[0]).dirty, 0);
	page_set_decay(&arena[0], PAGE_DIRTY, DECAY_NEVER, fake.now);
	give(&block[1]);
	fake.now += 100000000 * MS;
	page_decay(&arena[0], fake.now, false);
	assert_int_equal(page_read_stats(&arena[0]).dirty, 50);
	page_decay(&arena[0], fake.now, true);
	assert_int_equal(page_read_stats(&arena[0]).dirty, 0);
	page_set_decay(&arena[0], PAGE_DIRTY, default_ms[PAGE_DIRTY], fake.now);
	release_all();
}

/* Purged pages and calls are counted as the system sees them; a refused purge counts no pages. */
static void test_purge_counts(void **state) {
	(void)state;
	struct page_stats before = page_read_stats(&arena[0]);
	size_t calls = fake.purges, purged = fake.purged;
	for (int i = 0; i < 20; i++)
		assert_true(take(&block[i], 0, 5, PAGE));
	for (int i = 0; i < 20; i += 2)
		give(&block[i]);
	fake.fail_purge = true;
	page_decay(&arena[0], fake.now, true);
	fake.fail_purge = false;
	struct page_stats failed = page_read_stats(&arena[0]);
	assert_int_equal(failed.purged[PAGE_DIRTY], before.purged[PAGE_DIRTY]);
	assert_int_equal(failed.dirty, 50);
	page_decay(&arena[0], fake.now, true);
	struct page_stats after = page_read_stats(&arena[0]);
	assert_int_equal(after.purged[PAGE_DIRTY] - before.purged[PAGE_DIRTY], fake.purged - purged);
	assert_int_equal(fake.purged - purged, 50);
	assert_int_equal(after.purges[PAGE_DIRTY] - before.purges[PAGE_DIRTY], fake.purges - calls);
	release_all();
}

/* Runs go to the system `batch` at a time; of a refused one the others know nothing, and its chunk's pages stay dirty. */
static void test_batches(void **state) {
	(void)state;
	enum { RUNS = 300, RUN = 3 };
	struct page_stats before = page_read_stats(&arena[0]);
	size_t purged = fake.purged;
	fake.batch = 64;
	for (int i = 0; i < RUNS; i++)
		assert_true(take(&block[i], 0, RUN, PAGE));
	for (int i = 0; i < RUNS; i += 2) {
		fake_write(block[i].base, RUN);
		give(&block[i]);
	}
	fake.fail_purge_in = 70;
	page_decay(&arena[0], fake.now, true);
	assert_int_equal(fake.fail_purge_in, 0);
	struct page_stats half = page_read_stats(&arena[0]);
	assert_int_equal(fake.purged - purged, (RUNS / 2 - 1) * RUN); /* all others were purged */
	assert_true(half.dirty > 0 && half.dirty <= CHUNK_PAGES);
	assert_int_equal(half.purged[PAGE_DIRTY] - before.purged[PAGE_DIRTY], RUNS / 2 * RUN - half.dirty);
	page_decay(&arena[0], fake.now, true);
	struct page_stats after = page_read_stats(&arena[0]);
	assert_int_equal(after.dirty, 0);
	assert_true(after.purges[PAGE_DIRTY] - before.purges[PAGE_DIRTY] <= 3 * (RUNS / 64 + 1));
	fake.batch = 0;
	release_all();
}

/* Is each page of the chunk marked so? */
static bool is_marked(uintptr_t base, int mark) {
	for (size_t i = 0; i < CHUNK_PAGES; i++)
		if ((fake.page[fake_index(base) + i] & (FAKE_NOT_HUGE | FAKE_HUGE)) != mark)
			return false;
	return true;
}

static void prepare_thp(enum os_thp system, bool of_dense) {
	os.thp = system;
	page_prepare(&(struct page_settings){.dss = PAGE_DSS_SECONDARY,
	                                     .thp_of_dense = of_dense,
	                                     .thp_threshold = CHUNK - 5 * PAGE,
	                                     .thp_delay = 10});
}

/* All buckets are looked at, one after the other. */
static void tend(void) {
	for (unsigned i = 0; i < 4 * PAGES_BUCKETS; i++)
		page_decay(&arena[0], fake.now, false);
}

/* Where the system makes huge pages, a chunk has none from its first partial purge until it is dense, or fresh. */
static void test_thp_comes(void **state) {
	(void)state;
	size_t moved = pool.moved;
	prepare_thp(OS_THP_ALWAYS, false);
	assert_true(take(&block[0], 0, 500, PAGE) && take(&block[1], 0, 5, PAGE) &&
	            take(&block[2], 0, 7, PAGE));
	uintptr_t base = round_down(block[0].base, CHUNK);
	assert_int_equal(round_down(block[2].base, CHUNK), base);
	assert_true(is_marked(base, 0));
	fake_write(block[1].base, 5);
	give(&block[1]);
	page_decay(&arena[0], fake.now, true);
	assert_true(is_marked(base, FAKE_NOT_HUGE));
	assert_int_equal(pool.moved, moved + 1);
	assert_true(take(&block[1], 0, 5, PAGE));
	tend();
	assert_true(is_marked(base, FAKE_NOT_HUGE)); /* not for long yet */
	fake.now += 12000 * MS;
	tend();
	assert_true(is_marked(base, FAKE_HUGE));
	give(&block[1]);
	page_decay(&arena[0], fake.now, true);
	assert_true(take(&block[1], 0, 5, PAGE));
	tend();
	assert_true(is_marked(base, FAKE_NOT_HUGE));
	give(&block[1]);
	page_decay(&arena[0], fake.now, true);
	assert_true(is_marked(base, FAKE_NOT_HUGE));
	assert_int_equal(pool.moved, moved + 1);
	assert_true(take(&block[3], 0, 511, PAGE));
	give(&block[3]); /* the spare chunk is this one */
	give(&block[0]);
	give(&block[2]);
	pool_decay(&pool, fake.now, true);
	assert_true(is_marked(base, 0));
	assert_true(pool.moved <= moved);
	prepare_thp(OS_THP_UNKNOWN, false);
	release_all();
}

/* A chunk marked so costs mappings: above an eighth of what there may be nothing is marked, but purged all the same. */
static void test_thp_bound(void **state) {
	(void)state;
	size_t max_maps = os.max_maps;
	prepare_thp(OS_THP_ALWAYS, false);
	os.max_maps = 8 * (pool.moved + 2);
	size_t allowed = pool.moved + 2;
	for (int i = 0; i < 8; i++)
		assert_true(take(&block[i], 0, 300, PAGE) && take(&block[i + 8], 0, 200, PAGE));
	for (int i = 0; i < 8; i++) {
		fake_write(block[i + 8].base, 200);
		give(&block[i + 8]);
	}
	page_decay(&arena[0], fake.now, true);
	assert_int_equal(page_read_stats(&arena[0]).dirty, 0);
	assert_int_equal(pool.moved, allowed);
	os.max_maps = max_maps;
	prepare_thp(OS_THP_UNKNOWN, false);
	release_all();
}

/* Dense chunks get huge pages where that is wanted, sparse ones never. */
static void test_thp_of_dense(void **state) {
	(void)state;
	prepare_thp(OS_THP_MADVISE, true);
	assert_true(take(&block[0], 0, 508, PAGE) && take(&block[1], 0, 400, PAGE));
	uintptr_t dense = round_down(block[0].base, CHUNK), sparse = round_down(block[1].base, CHUNK);
	tend();
	fake.now += 12000 * MS;
	tend();
	assert_true(is_marked(dense, FAKE_HUGE));
	assert_true(is_marked(sparse, 0));
	prepare_thp(OS_THP_UNKNOWN, false);
	release_all();
}

static void test_random_thp(void **state) {
	(void)state;
	prepare_thp(OS_THP_ALWAYS, false);
	run_steps(test_scaled(STEPS / 4));
	prepare_thp(OS_THP_UNKNOWN, false);
	release_all();
}

/* The k-th mapping from now on is refused, for every k, during the same series of requests. */
static void test_each_refusal(void **state) {
	(void)state;
	bool refused = true;
	for (uint64_t k = 1; refused && k < 200; k++) {
		size_t count = pool_read_stats(&pool).pooled / PAGE + 700;
		fake.fail_in = k;
		for (size_t i = 0; i < 40; i++)
			(void)take(&block[i], (unsigned)(i % ARENAS), i == 7 ? count : 1 + i * 9,
			           i == 9 ? 4 * CHUNK : PAGE);
		refused = fake.fail_in == 0;
		fake.fail_in = 0;
		check_all();
		for (size_t i = 0; i < 40; i++)
			if (block[i].span != NULL)
				give(&block[i]);
		check_all();
	}
	assert_false(refused);
	release_all();
}

static int start(void **state) {
	(void)state;
	base_define(BASE_SPAN, SPAN_SIZE(SPAN_LARGE));
	base_define(BASE_SLAB, SPAN_SIZE(SPAN_SLAB));
	base_define(BASE_CHUNK, sizeof(struct chunk));
	pool_init(&pool, FAKE_BASE + 3 * GIB / 2, default_ms[PAGE_DIRTY], fake.now);
	for (unsigned a = 0; a < ARENAS; a++)
		pages_init(&arena[a], &pool, default_ms, fake.now);
	return 0;
}

int main(void) {
	seed = test_seed();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_refusal),  cmocka_unit_test(test_random_steps),
		cmocka_unit_test(test_with_muzzy),    cmocka_unit_test(test_os_page_16k),
		cmocka_unit_test(test_os_page_64k),   cmocka_unit_test(test_grow_and_shrink),
		cmocka_unit_test(test_fullest_first), cmocka_unit_test(test_aligned_reuse),
		cmocka_unit_test(test_shared_pool),   cmocka_unit_test(test_at_once_and_never),
		cmocka_unit_test(test_batches),       cmocka_unit_test(test_thp_comes),
		cmocka_unit_test(test_thp_bound),     cmocka_unit_test(test_thp_of_dense),
		cmocka_unit_test(test_random_thp),    cmocka_unit_test(test_purge_counts),
		cmocka_unit_test(test_exact_hole),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}
