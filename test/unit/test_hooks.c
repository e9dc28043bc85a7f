/* Arenas whose memory comes from functions of the test: what is called, with what, in which order; and that any of
 * them may refuse, fail at random, give odd ranges or allocate, without a byte lost or changed. On real memory. */
// ctest-timeout: 200
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "quiet_heap.h"
#include "harness.h"
#include "os/os.h"
#include "page/page.h"
#include "thread/event.h"

#define STEPS  3000
#define BLOCKS 60
#define RANGES 8192
#define ARENA  7u
#define SPACE  (16 * GIB)
#define MS     ((uint64_t)1000000)

static uint64_t seed, now = 1000 * MS;
static struct pool shared, *pool;
static struct pages pages;  /* the arena under test */
static struct pages common; /* an ordinary one */
static const int64_t decay_ms[PAGE_STATES] = {1000, 0}, muzzy_ms[PAGE_STATES] = {1000, 1000};

static struct block {
	struct span *span;
	uint64_t mark;
} block[BLOCKS];

/* -- the source: a window of address space, and the ranges that are out -- */

enum member { ALLOC, DALLOC, DESTROY, COMMIT, DECOMMIT, LAZY, FORCED, SPLIT, MERGE, MEMBERS };
static const char letters[MEMBERS + 1] = "ADXCULFSM";

static struct range {
	uintptr_t base;
	size_t size;
	bool committed;
} range[RANGES];

static struct {
	uintptr_t space, next;
	size_t ranges;
	unsigned refuse[MEMBERS];  /* how many of 16 calls */
	size_t largest;            /* longer ranges are refused; 0: none */
	bool only_odd;             /* nothing aligned to a chunk */
	bool crooked;              /* a page beside what is aligned to a chunk */
	bool nested;               /* hooks allocate */
	bool pinned, zero, commit; /* what alloc says; */
	bool vary;                 /* or at random */
	unsigned depth;
	char log[256]; /* letters of the calls */
	size_t calls;
	extent_hooks_t *table; /* that must be passed; NULL: any */
} src;

static void forget_log(void) {
	memset(src.log, 0, sizeof src.log);
	src.calls = 0;
}

/* The start of every member. True: it is to refuse. */
static bool begin(enum member member, const extent_hooks_t *table, unsigned arena) {
	assert_true(lock_none_held());
	assert_true(event_suspended());
	assert_int_equal(arena, ARENA);
	assert_true(src.table == NULL || src.table == table);
	if (src.calls < sizeof src.log - 1)
		src.log[src.calls++] = letters[member];
	if (src.nested && src.depth++ == 0) {
		struct span *span = page_take(&common, SPAN_LARGE, 1 + random_below(&seed, 700), PAGE);
		assert_non_null(span);
		page_give(&common, span);
		page_decay(&common, now, random_below(&seed, 4) == 0);
	}
	src.depth = 0;
	return random_below(&seed, 16) < src.refuse[member];
}

static struct range *find(const void *addr, size_t size) {
	for (size_t i = 0; i < src.ranges; i++)
		if (range[i].base == (uintptr_t)addr && range[i].size == size)
			return &range[i];
	fail_msg("no such range: %p, %zu", addr, size);
	return NULL;
}

static void add(uintptr_t base, size_t size, bool committed) {
	assert_true(src.ranges < RANGES);
	range[src.ranges++] = (struct range){base, size, committed};
}

static void drop(struct range *r) {
	*r = range[--src.ranges];
}

static bool is_out(uintptr_t base, size_t size) {
	for (size_t i = 0; i < src.ranges; i++)
		if (base < range[i].base + range[i].size && range[i].base < base + size)
			return true;
	return false;
}

static void protect(uintptr_t base, size_t size, bool usable) {
	assert_int_equal(mprotect((void *)base, size, usable ? PROT_READ | PROT_WRITE : PROT_NONE), 0);
}

static void scribble(uintptr_t base, size_t size) {
	for (size_t i = 0; i < size; i += PAGE)
		*(uint64_t *)(base + i) = 0x5c5c5c5c5c5c5c5c;
}

static void *src_alloc(extent_hooks_t *table, void *new_addr, size_t size, size_t align, bool *zero,
                       bool *commit, unsigned arena) {
	bool refused = begin(ALLOC, table, arena);
	assert_null(new_addr);
	assert_true(size > 0 && size % PAGE == 0 && align >= PAGE && is_power_of_two(align));
	assert_false(*zero || *commit);
	if (refused || (src.largest != 0 && size > src.largest) || (src.only_odd && align == CHUNK))
		return NULL;
	uintptr_t base = round_up(src.next + (align < CHUNK ? PAGE : 0), align);
	for (unsigned tries = 0; base + size > src.space + SPACE || is_out(base, size); tries++) {
		base = base + size > src.space + SPACE ? round_up(src.space, align) : base + align;
		assert_true(tries < 1000000);
	}
	if (src.crooked && align == CHUNK)
		base += PAGE;
	src.next = base + size;
	bool zeroed = src.vary ? random_below(&seed, 2) : src.zero;
	bool committed = src.vary ? random_below(&seed, 2) : src.commit;
	(void)madvise((void *)base, size, MADV_DONTNEED);
	protect(base, size, true);
	if (!zeroed)
		scribble(base, size);
	protect(base, size, committed);
	add(base, size, committed);
	*zero = zeroed;
	*commit = committed;
	bool pinned = src.vary ? random_below(&seed, 8) == 0 : src.pinned;
	return (void *)(base + (pinned ? EXTENT_ALLOC_FLAG_PINNED : 0));
}

static void end(void *addr, size_t size, bool committed) {
	struct range *r = find(addr, size);
	assert_int_equal(r->committed, committed);
	(void)madvise(addr, size, MADV_DONTNEED);
	protect((uintptr_t)addr, size, false);
	drop(r);
}

static bool src_dalloc(extent_hooks_t *table, void *addr, size_t size, bool committed, unsigned arena) {
	if (begin(DALLOC, table, arena)) {
		assert_int_equal(find(addr, size)->committed, committed);
		return true;
	}
	end(addr, size, committed);
	return false;
}

static void src_destroy(extent_hooks_t *table, void *addr, size_t size, bool committed, unsigned arena) {
	(void)begin(DESTROY, table, arena);
	end(addr, size, committed);
}

static bool src_commit(extent_hooks_t *table, void *addr, size_t size, size_t offset, size_t length,
                       unsigned arena) {
	bool refused = begin(COMMIT, table, arena);
	struct range *r = find(addr, size);
	assert_true(offset == 0 && length == size && !r->committed);
	if (refused)
		return true;
	r->committed = true;
	protect(r->base, size, true);
	return false;
}

static bool src_decommit(extent_hooks_t *table, void *addr, size_t size, size_t offset, size_t length,
                         unsigned arena) {
	bool refused = begin(DECOMMIT, table, arena);
	struct range *r = find(addr, size);
	assert_true(offset == 0 && length == size && r->committed);
	if (refused)
		return true;
	(void)madvise(addr, size, MADV_DONTNEED);
	protect(r->base, size, false);
	r->committed = false;
	return false;
}

static bool src_lazy(extent_hooks_t *table, void *addr, size_t size, size_t offset, size_t length,
                     unsigned arena) {
	bool refused = begin(LAZY, table, arena);
	assert_true(find(addr, size)->committed && length > 0 && offset + length <= size);
	if (!refused)
		scribble((uintptr_t)addr + offset, length); /* which is allowed */
	return refused;
}

static bool src_forced(extent_hooks_t *table, void *addr, size_t size, size_t offset, size_t length,
                       unsigned arena) {
	bool refused = begin(FORCED, table, arena);
	assert_true(find(addr, size)->committed && length > 0 && offset + length <= size);
	if (!refused)
		(void)madvise((char *)addr + offset, length, MADV_DONTNEED);
	return refused;
}

static bool src_split(extent_hooks_t *table, void *addr, size_t size, size_t size_a, size_t size_b,
                      bool committed, unsigned arena) {
	bool refused = begin(SPLIT, table, arena);
	struct range *r = find(addr, size);
	assert_true(size_a > 0 && size_b > 0 && size_a + size_b == size && r->committed == committed);
	if (refused)
		return true;
	r->size = size_a;
	add((uintptr_t)addr + size_a, size_b, committed);
	return false;
}

static bool src_merge(extent_hooks_t *table, void *addr_a, size_t size_a, void *addr_b, size_t size_b,
                      bool committed, unsigned arena) {
	bool refused = begin(MERGE, table, arena);
	struct range *a = find(addr_a, size_a), *b = find(addr_b, size_b);
	assert_ptr_equal((char *)addr_a + size_a, addr_b);
	assert_true(a->committed == committed && b->committed == committed);
	if (refused)
		return true;
	a->size += size_b;
	drop(b);
	return false;
}

static extent_hooks_t recording = {src_alloc, src_dalloc, src_destroy, src_commit, src_decommit,
                                   src_lazy,  src_forced, src_split,   src_merge};

/* -- around each test -- */

static unsigned suspended;
static void *suspend(void) {
	suspended++;
	return &suspended;
}
static void resume(void *was) {
	assert_ptr_equal(was, &suspended);
	assert_true(suspended-- > 0);
}
static bool is_suspended(void) {
	return suspended > 0;
}

static void arena_begin(extent_hooks_t *table, const int64_t ms[PAGE_STATES]) {
	memset(block, 0, sizeof block);
	pool = pool_make(&(struct pool_source){.hooks = table, .arena = ARENA, .dss = page_default_dss()});
	assert_non_null(pool);
	pages_init(&pages, pool, ms, now);
	assert_ptr_equal(page_hooks(&pages), table != NULL ? table : &page_default_hooks);
	forget_log();
}

static void source_reset(void) {
	memset(src.refuse, 0, sizeof src.refuse);
	src.largest = 0;
	src.only_odd = src.crooked = src.nested = src.pinned = src.vary = false;
	src.zero = src.commit = true;
	src.table = &recording;
}

/* Everything out came back. */
static void arena_end(void) {
	pages_audit(&pages);
	pool_audit(pool);
	size_t mapped = pool_mapped(&shared);
	assert_true(page_destroy(&pages, &shared));
	assert_int_equal(src.ranges, 0);
	assert_int_equal(pool_mapped(&shared), mapped);
}

/* -- blocks with contents -- */

static uint64_t *word(const struct span *span, size_t page) {
	return (uint64_t *)(span->base + page * PAGE);
}

static void fill(struct block *b, size_t from) {
	for (size_t i = from; i < b->span->pages; i++)
		*word(b->span, i) = b->mark + i;
}

static void check(const struct block *b, size_t count) {
	for (size_t i = 0; i < count; i++)
		assert_int_equal(*word(b->span, i), b->mark + i);
}

static bool take(struct block *b, size_t count, size_t align) {
	b->span = page_take(&pages, random_below(&seed, 2) ? SPAN_SLAB : SPAN_LARGE, count, align);
	if (b->span == NULL)
		return false;
	assert_int_equal(b->span->pages, count);
	assert_int_equal(b->span->base % align, 0);
	if (b->span->zeroed)
		for (size_t i = 0; i < count; i++)
			assert_int_equal(*word(b->span, i), 0);
	b->mark = random_next(&seed) | 1;
	fill(b, 0);
	return true;
}

static void give(struct block *b) {
	check(b, b->span->pages);
	page_give(&pages, b->span);
	b->span = NULL;
}

static void resize(struct block *b, size_t count) {
	size_t old = b->span->pages;
	bool done = page_resize(&pages, b->span, count);
	assert_int_equal(b->span->pages, done ? count : old);
	check(b, size_min(old, b->span->pages));
	fill(b, 0);
}

static size_t random_count(void) {
	switch (random_below(&seed, 6)) {
	case 0:
		return 1 + random_below(&seed, 2500);
	case 1:
		return CHUNK_PAGES * (1 + random_below(&seed, 3));
	case 2:
		return 1 + random_below(&seed, CHUNK_PAGES + 20);
	default:
		return 1 + random_below(&seed, 32);
	}
}

static void check_stats(void) {
	static struct page_extent_stats rows[PAGE_CLASSES];
	struct page_stats stats = page_read_stats(&pages);
	size_t active = 0, sum[EXTENT_STATES] = {0};
	for (size_t i = 0; i < BLOCKS; i++)
		active += block[i].span != NULL ? block[i].span->pages : 0;
	assert_int_equal(stats.active, active);
	memset(rows, 0, sizeof rows);
	page_read_extents(&pages, rows);
	for (unsigned c = 0; c < PAGE_CLASSES; c++)
		for (unsigned s = 0; s < EXTENT_STATES; s++) {
			assert_true(rows[c].bytes[s] >= rows[c].count[s] * page_class_pages(c) * PAGE);
			sum[s] += rows[c].bytes[s];
		}
	assert_int_equal(sum[EXTENT_DIRTY], stats.dirty * PAGE);
	assert_int_equal(sum[EXTENT_MUZZY], stats.muzzy * PAGE);
	assert_int_equal(sum[EXTENT_PINNED], stats.pinned);
	assert_true(sum[EXTENT_RETAINED] <= stats.retained); /* the unused end of an odd block is in no run */
	pages_audit(&pages);
	pool_audit(load_relaxed(&pages.pool));
}

static void step(void) {
	struct block *b = &block[random_below(&seed, BLOCKS)];
	uint64_t dice = random_below(&seed, 16);
	now += random_below(&seed, 20) * MS;
	if (dice == 0)
		page_decay(&pages, now, random_below(&seed, 3) == 0);
	else if (b->span == NULL)
		(void)take(b, random_count(),
		           random_below(&seed, 4) ? PAGE : PAGE << random_below(&seed, 11));
	else if (dice < 5)
		resize(b, random_count());
	else
		give(b);
}

static void give_all(void) {
	for (size_t i = 0; i < BLOCKS; i++)
		if (block[i].span != NULL)
			give(&block[i]);
	check_stats();
}

static void run(size_t steps) {
	for (size_t i = 0; i < steps; i++) {
		step();
		if (i % 16 == 0)
			check_stats();
	}
	give_all();
}

/* -- tests -- */

/* A range goes by parts along the curve where its source lets it be cut, else whole when all of it is due. */
static void test_stepwise(void **state) {
	(void)state;
	static const int64_t second_ms[PAGE_STATES] = {1000, 0};
	for (unsigned refuse = 0; refuse < 2; refuse++) {
		source_reset();
		src.refuse[SPLIT] = refuse == 0 ? 0 : 16;
		arena_begin(&recording, second_ms);
		struct block *b = &block[0];
		assert_true(take(b, 40 * CHUNK_PAGES, PAGE));
		give(b);
		size_t before = page_read_stats(&pages).dirty, half = 0;
		assert_int_equal(before, 40 * CHUNK_PAGES);
		for (unsigned i = 0; i < 110; i++) {
			now += (uint64_t)10 * 1000000;
			page_decay(&pages, now, false);
			size_t dirty = page_read_stats(&pages).dirty;
			assert_true(dirty <= before);
			half = i == 50 ? dirty : half;
			before = dirty;
		}
		assert_int_equal(before, 0);
		assert_in_range(half, refuse ? 40 * CHUNK_PAGES : 15 * CHUNK_PAGES,
		                refuse ? 40 * CHUNK_PAGES : 25 * CHUNK_PAGES);
		arena_end();
	}
}

#define EXPECT_LOG(text) (assert_string_equal(src.log, text), forget_log())

static void test_order(void **state) {
	(void)state;
	source_reset();
	src.refuse[DALLOC] = src.refuse[DECOMMIT] = 16;
	arena_begin(&recording, decay_ms);
	struct block *b = &block[0];
	assert_true(take(b, 3, PAGE) && b->span->zeroed);
	EXPECT_LOG("A");
	give(b);
	page_decay(&pages, now, true);
	EXPECT_LOG("DUF");
	assert_true(take(b, 3, PAGE) && b->span->zeroed);
	give(b);
	page_decay(&pages, now, true);
	EXPECT_LOG("DUF");
	src.refuse[FORCED] = 16;
	assert_true(take(b, 3, PAGE));
	give(b);
	page_decay(&pages, now, true);
	EXPECT_LOG("DUFL");
	assert_int_equal(page_read_stats(&pages).dirty, 0);
	page_decay(&pages, now, true); /* once is enough */
	EXPECT_LOG("");
	assert_true(take(b, 3, PAGE) && !b->span->zeroed);
	give(b);
	src.refuse[DECOMMIT] = 0;
	page_decay(&pages, now, true);
	EXPECT_LOG("DU");
	assert_true(take(b, 3, PAGE) && b->span->zeroed);
	EXPECT_LOG("C");
	give(b);
	arena_end();
	EXPECT_LOG("DX");
}

static void test_split_and_merge(void **state) {
	(void)state;
	source_reset();
	arena_begin(&recording, decay_ms);
	struct block *b = &block[0], *c = &block[1];
	assert_true(take(b, 2 * CHUNK_PAGES + 5, PAGE));
	EXPECT_LOG("AS"); /* the tail's chunk serves others */
	assert_true(take(c, 7, PAGE));
	EXPECT_LOG("");
	assert_true(page_resize(&pages, b->span, CHUNK_PAGES));
	EXPECT_LOG("S");
	give(c);
	give(b);
	page_decay(&pages, now, true);
	assert_int_equal(src.ranges, 0);
	assert_int_equal(page_read_stats(&pages).mapped, 0);
	forget_log();
	src.refuse[SPLIT] = 16; /* then exactly what is needed */
	assert_true(take(b, 2 * CHUNK_PAGES + 5, PAGE));
	EXPECT_LOG("ASA");
	(void)find((void *)b->span->base, (2 * CHUNK_PAGES + 5) * PAGE);
	assert_false(page_resize(&pages, b->span, CHUNK_PAGES));
	give(b);
	arena_end();
}

static void test_refusals(void **state) {
	(void)state;
	for (unsigned round = 0; round < 3 * MEMBERS; round++) {
		source_reset();
		src.vary = round >= MEMBERS;
		if (round < 2 * MEMBERS)
			src.refuse[round % MEMBERS] = 16;
		for (unsigned m = 0; round >= 2 * MEMBERS && m < MEMBERS; m++)
			src.refuse[m] = m == ALLOC ? 2 : m == round % MEMBERS ? 0 : 16;
		arena_begin(&recording, round % 2 ? decay_ms : muzzy_ms);
		run(test_scaled(STEPS / 10));
		arena_end();
	}
}

static void test_faults(void **state) {
	(void)state;
	for (unsigned round = 0; round < 8; round++) {
		source_reset();
		src.vary = true;
		src.nested = round % 2;
		for (unsigned m = 0; m < MEMBERS; m++)
			src.refuse[m] = (unsigned)random_below(&seed, 9);
		arena_begin(&recording, round % 2 ? decay_ms : muzzy_ms);
		run(test_scaled(STEPS / 4));
		arena_end();
	}
}

/* Nothing but what is asked for, at odd places; and small sources. */
static void test_odd(void **state) {
	(void)state;
	for (unsigned round = 0; round < 6; round++) {
		source_reset();
		src.only_odd = round % 2;
		src.largest = round % 3 == 0 ? 0 : round % 3 == 1 ? MIB : 3 * MIB;
		src.vary = round >= 3;
		src.refuse[DALLOC] = round < 3 ? 0 : 8;
		arena_begin(&recording, decay_ms);
		run(test_scaled(STEPS / 4));
		arena_end();
	}
}

/* What is not aligned as asked goes back at once. */
static void test_crooked(void **state) {
	(void)state;
	source_reset();
	src.crooked = true;
	arena_begin(&recording, decay_ms);
	assert_true(take(&block[0], 3, PAGE));
	EXPECT_LOG("ADA");
	src.refuse[DALLOC] = 16;
	assert_true(take(&block[1], 3, PAGE));
	EXPECT_LOG("ADXA");
	assert_false(take(&block[2], 3, CHUNK));
	src.refuse[DALLOC] = 0;
	give(&block[0]);
	give(&block[1]);
	arena_end();
}

static void test_pinned(void **state) {
	(void)state;
	source_reset();
	src.pinned = true;
	arena_begin(&recording, decay_ms);
	struct block *b = &block[0];
	assert_true(take(b, 700, PAGE));
	struct page_stats stats = page_read_stats(&pages);
	assert_int_equal(stats.pinned, (2 * CHUNK_PAGES - 700) * PAGE);
	give(b);
	forget_log();
	page_decay(&pages, now, true);
	assert_null(strpbrk(src.log, "DULF")); /* never purged */
	stats = page_read_stats(&pages);
	assert_int_equal(stats.pinned, 2 * CHUNK);
	assert_int_equal(stats.mapped, 2 * CHUNK);
	assert_int_equal(stats.dirty + stats.muzzy + stats.retained, 0);
	assert_true(take(b, 700, PAGE) && !b->span->zeroed);
	run(test_scaled(STEPS / 10));
	arena_end();
}

/* A member that is NULL declines; what nobody takes back is counted. */
static void test_no_members(void **state) {
	(void)state;
	static extent_hooks_t bare = {.alloc = src_alloc};
	source_reset();
	src.table = &bare;
	arena_begin(&bare, decay_ms);
	run(test_scaled(STEPS / 10));
	page_decay(&pages, now, true);
	assert_int_equal(page_read_stats(&pages).dirty, 0);
	assert_true(page_destroy(&pages, &shared));
	size_t left = 0;
	while (src.ranges > 0) {
		left += range[0].size;
		end((void *)range[0].base, range[0].size, true);
	}
	assert_true(left > 0);
	/* The default alloc may be NULL as well: nothing to give. */
	static extent_hooks_t none;
	arena_begin(&none, decay_ms);
	assert_null(page_take(&pages, SPAN_LARGE, 1, PAGE));
	assert_null(page_take(&pages, SPAN_LARGE, 5000, PAGE));
	arena_end();
}

/* The default functions, called through tables of the program's. */
static size_t foreign_calls;
static void *foreign_alloc(extent_hooks_t *table, void *new_addr, size_t size, size_t align, bool *zero,
                           bool *commit, unsigned arena) {
	foreign_calls++;
	return page_default_hooks.alloc(table, new_addr, size, align, zero, commit, arena);
}

static void test_foreign(void **state) {
	(void)state;
	static extent_hooks_t foreign;
	foreign = page_default_hooks;
	foreign.alloc = foreign_alloc;
	source_reset();
	arena_begin(&foreign, decay_ms);
	run(test_scaled(STEPS / 4));
	assert_true(foreign_calls > 0);
	arena_end();
}

/* Default hooks in a private pool: its chunks serve others afterwards. */
static void test_inherited(void **state) {
	(void)state;
	source_reset();
	arena_begin(NULL, decay_ms);
	run(test_scaled(STEPS / 4));
	assert_true(take(&block[0], 3000, PAGE));
	assert_false(page_destroy(&pages, &shared)); /* a block is left */
	give(&block[0]);
	size_t mapped = pool_mapped(&shared), own = pool_mapped(pool);
	assert_true(own >= 3000 * PAGE);
	assert_true(page_destroy(&pages, &shared));
	assert_int_equal(pool_mapped(&shared), mapped + own);
	pool_audit(&shared);
}

/* Tables come and go while blocks live, also in an arena that began with the shared pool. */
static void test_exchange(void **state) {
	(void)state;
	static extent_hooks_t other;
	extent_hooks_t *before;
	other = recording;
	source_reset();
	src.table = NULL;
	memset(&pages, 0, sizeof pages);
	pages.index = ARENA;
	pages_init(&pages, &shared, decay_ms, now);
	assert_ptr_equal(page_hooks(&pages), &page_default_hooks);
	for (size_t i = 0; i < test_scaled(STEPS); i++) {
		step();
		if (i % 100 == 50) {
			assert_true(page_set_hooks(&pages, i % 200 == 50 ? &other : &recording, &before));
			assert_ptr_equal(page_hooks(&pages), i % 200 == 50 ? &other : &recording);
			assert_true(before == &page_default_hooks || before == &other ||
			            before == &recording);
		}
	}
	assert_true(src.calls > 0);
	assert_true(page_set_hooks(&pages, &recording, NULL));
	give_all();
	pool_audit(&shared);
	assert_true(page_read_stats(&pages).active == 0);
	page_decay(&pages, now, true);
	assert_int_equal(src.ranges, 0); /* dalloc took all of it, whichever table it came from */
	assert_true(page_set_hooks(&pages, &page_default_hooks, NULL));
	assert_true(take(&block[0], 5000, PAGE));
	give(&block[0]);
	assert_int_equal(src.ranges, 0);
}

static void test_classes(void **state) {
	(void)state;
	static const size_t first[] = {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32};
	for (unsigned i = 0; i < COUNT_OF(first); i++) {
		assert_int_equal(page_class_pages(i), first[i]);
		assert_int_equal(page_class_of(first[i]), i);
	}
	for (unsigned i = 1; i < PAGE_CLASSES; i++) {
		assert_int_equal(page_class_of(page_class_pages(i)), i);
		assert_int_equal(page_class_of(page_class_pages(i) - 1), i - 1);
	}
	assert_int_equal(page_class_pages(PAGE_CLASSES - 1) * PAGE, PAGE_GROW_LIMIT_DEFAULT);
	arena_begin(NULL, decay_ms);
	assert_int_equal(page_grow_limit(&pages), PAGE_GROW_LIMIT_DEFAULT);
	assert_false(page_set_grow_limit(&pages, PAGE - 1));
	assert_true(page_set_grow_limit(&pages, 5 * MIB + 123));
	assert_int_equal(page_grow_limit(&pages), 5 * MIB);
	assert_int_equal(page_dss(&pages), PAGE_DSS_SECONDARY);
	page_set_dss(&pages, PAGE_DSS_DISABLED);
	assert_int_equal(page_dss(&pages), PAGE_DSS_DISABLED);
	arena_end();
}

/* Takes chunks of the common arena until more is mapped. Returns how much at once. */
static size_t growth(void) {
	size_t before = pool_mapped(&shared), count = 0;
	struct span *spans[4096];
	do {
		assert_true(count < COUNT_OF(spans));
		assert_non_null(spans[count] = page_take(&common, SPAN_LARGE, CHUNK_PAGES, PAGE));
		count++;
	} while (pool_mapped(&shared) == before);
	size_t grown = pool_mapped(&shared) - before;
	while (count-- > 0)
		page_give(&common, spans[count]);
	return grown;
}

/* The first arena's settings are those of the pool that arenas share. */
static void test_first_arena(void **state) {
	(void)state;
	while (pool_mapped(&shared) < 32 * CHUNK)
		assert_true(growth() > 0);
	assert_int_equal(common.index, 0);
	assert_true(page_set_grow_limit(&common, CHUNK));
	assert_int_equal(growth(), CHUNK);
	assert_true(page_set_grow_limit(&common, 3 * CHUNK));
	assert_int_equal(growth(), 3 * CHUNK);
	assert_true(page_set_grow_limit(&common, PAGE_GROW_LIMIT_DEFAULT));
	assert_true(growth() > 3 * CHUNK);
	pool_audit(&shared);
}

/* Memory of the break: used, given back, never unmapped. */
static void test_dss(void **state) {
	(void)state;
	source_reset();
	arena_begin(NULL, decay_ms);
	page_set_dss(&pages, PAGE_DSS_PRIMARY);
	assert_true(take(&block[0], 600, PAGE));
	assert_true(os_dss_owns((void *)block[0].span->base));
	give(&block[0]);
	run(test_scaled(STEPS / 10));
	assert_true(page_destroy(&pages, &shared));
	pool_audit(&shared);
}

static int start(void **state) {
	(void)state;
	os_start();
	event_hooks.suspend = suspend;
	event_hooks.resume = resume;
	event_hooks.suspended = is_suspended;
	base_define(BASE_SPAN, SPAN_SIZE(SPAN_LARGE));
	base_define(BASE_SLAB, SPAN_SIZE(SPAN_SLAB));
	base_define(BASE_CHUNK, sizeof(struct chunk));
	base_define(BASE_POOL, sizeof(struct pool));
	pool_init(&shared, 0, 10000, now);
	pages_init(&common, &shared, decay_ms, now);
	void *space = mmap(NULL, SPACE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	src.space = src.next = (uintptr_t)space;
	return space == MAP_FAILED;
}

int main(void) {
	seed = test_seed();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),           cmocka_unit_test(test_stepwise),
		cmocka_unit_test(test_split_and_merge), cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_faults),          cmocka_unit_test(test_odd),
		cmocka_unit_test(test_pinned),          cmocka_unit_test(test_no_members),
		cmocka_unit_test(test_foreign),         cmocka_unit_test(test_inherited),
		cmocka_unit_test(test_classes),         cmocka_unit_test(test_dss),
		cmocka_unit_test(test_crooked),         cmocka_unit_test(test_first_arena),
		cmocka_unit_test(test_exchange),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}
