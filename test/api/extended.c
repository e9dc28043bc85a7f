/* mallocx and its relatives: one row for each edge of what they promise, and random calls against a model. */
// ctest-timeout: 120
#define _GNU_SOURCE
#include <jemalloc/jemalloc.h>

#include "api.h"

#include <sys/resource.h>
#include <sys/wait.h>

#define ZERO MALLOCX_ZERO
#define NONE MALLOCX_TCACHE_NONE
#define LG   MALLOCX_LG_ALIGN
#define MOST ((size_t)0x7000000000000000u)

/* Some sizes below are to be refused at run time, not by the compiler. */
static size_t opaque(size_t size) {
	TEST_HIDE(size);
	return size;
}

/* An explicit cache, for rows that say so with MALLOCX_TCACHE(0). */
static int own_cache;

static int resolve(int flags) {
	return (flags & 0xfff00) == MALLOCX_TCACHE(0) ? (flags & ~0xfff00) | own_cache : flags;
}

static int make_cache(void **state) {
	unsigned id;
	size_t size = sizeof id;
	(void)state;
	if (SUT(mallctl)("tcache.create", &id, &size, NULL, 0) != 0)
		return -1;
	own_cache = MALLOCX_TCACHE((int)id);
	return 0;
}

static bool all_bytes(const unsigned char *at, size_t count, int value) {
	for (size_t i = 0; i < count; i++)
		if (at[i] != value)
			return false;
	return true;
}

/* -- mallocx and nallocx --------------------------------------------------------------------------------- */

struct take_row {
	size_t size;
	int flags;
	size_t usable; /* 0: fails with ENOMEM */
};

static const struct take_row take_rows[] = {
	{0, 0, 8},
	{0, NONE, 8},
	{0, LG(0), 8},
	{0, LG(6), 64},
	{0, LG(12), 4096},
	{0, LG(13), 16384},
	{1, 0, 8},
	{8, 0, 8},
	{9, 0, 16},
	{1, LG(3), 8},
	{1, LG(4), 16},
	{100, 0, 112},
	{100, LG(0), 112},
	{100, LG(4), 112},
	{100, LG(5), 128},
	{100, LG(6), 128},
	{100, LG(12), 4096},
	{100, LG(13), 16384},
	{1, LG(21), 16384},
	{1, LG(62), 0}, /* no address space has room for it */
	{1, LG(63), 0},
	{12288, LG(12), 12288},
	{12289, LG(12), 16384},
	{14336, 0, 14336},
	{14336, LG(11), 14336},
	{14337, 0, 16384},
	{14337, LG(4), 16384},
	{16384, LG(12), 16384},
	{20000, LG(6), 20480},
	{32768, 0, 32768},
	{32768, LG(12), 32768},
	{32769, 0, 36864},
	{32769, LG(3), 36864},
	{33000, LG(20), 36864},
	{100000, ZERO, 102400},
	{(size_t)5 << 20, ZERO | NONE | LG(21), (size_t)5 << 20},
	{200, ZERO, 224},
	{200, NONE, 224},
	{200, ZERO | NONE, 224},
	{200, ZERO | LG(8), 256},
	{200, MALLOCX_TCACHE(0), 224},
	{200, MALLOCX_TCACHE(0) | ZERO | LG(7), 256},
	{30000, MALLOCX_TCACHE(0) | ZERO, 32768},
	{200, MALLOCX_ARENA(0), 224},
	{200, MALLOCX_ARENA(0) | NONE, 224},
	{200, MALLOCX_ARENA(0) | MALLOCX_TCACHE(0), 224},
	{200000, MALLOCX_ARENA(0) | ZERO, 200704},
	{MOST, 0, 0},
	{MOST, NONE, 0},
	{MOST + 1, 0, 0},
	{MOST + 1, LG(12), 0},
	{PTRDIFF_MAX, 0, 0},
	{SIZE_MAX - 63, LG(6), 0},
	{SIZE_MAX - 62, LG(6), 0},
	{SIZE_MAX, LG(6), 0},
	{SIZE_MAX, 0, 0},
	{SIZE_MAX, LG(12) | NONE, 0},
	{SIZE_MAX - 4095, LG(13), 0},
};

static void take_one(const struct take_row *row) {
	int flags = resolve(row->flags);
	size_t align = (size_t)1 << (flags & 63);
	errno = 0;
	unsigned char *block = SUT(mallocx)(opaque(row->size), flags);
	if (row->usable == 0) {
		assert_null(block);
		assert_int_equal(errno, ENOMEM);
		return;
	}
	assert_non_null(block);
	assert_true(test_aligned(block, align));
	assert_int_equal(SUT(sallocx)(block, flags), row->usable);
	assert_int_equal(SUT(nallocx)(row->size, flags), row->usable);
	if ((flags & ZERO) != 0)
		assert_true(all_bytes(block, row->usable, 0));
	memset(block, 0xEE, row->usable);
	SUT(sdallocx)(block, row->size, flags);
}

/* Each row several times: the first from the slab, later ones out of a cache that held something else. */
static void mallocx_rows(void **state) {
	(void)state;
	for (size_t i = 0; i < COUNT_OF(take_rows); i++)
		for (int round = 0; round < 5; round++)
			take_one(&take_rows[i]);
}

static void nallocx_rows(void **state) {
	static const struct take_row rows[] = {
		{0, 0, 8},
		{0, LG(12), 4096},
		{1, LG(12), 4096},
		{1, LG(13), 16384},
		{1, LG(62), 16384},
		{1, LG(63), 0},
		{33000, 0, 36864},
		{100000, 0, 102400},
		{MOST, 0, MOST},
		{MOST, ZERO | NONE | MALLOCX_ARENA(7), MOST},
		{MOST + 1, 0, 0},
		{SIZE_MAX, 0, 0},
		{SIZE_MAX, LG(12), 0},
	};
	(void)state;
	assert_int_equal(SUT(nallocx)(100, MALLOCX_ALIGN(64)), 128);
	assert_int_equal(SUT(nallocx)(100, MALLOCX_ALIGN((size_t)1 << 13)), 16384);
	assert_int_equal(SUT(nallocx)(100, MALLOCX_ALIGN((size_t)1 << 63)), 0);
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		assert_int_equal(SUT(nallocx)(rows[i].size, rows[i].flags), rows[i].usable);
}

/* A block that two calls hand out at once would be seen here: every flagged way shares one heap. */
static void ways_do_not_overlap(void **state) {
	enum { EACH = 40 };
	static const int ways[] = {0, NONE, MALLOCX_TCACHE(0), LG(6), ZERO, MALLOCX_ARENA(0) | NONE};
	unsigned char *blocks[COUNT_OF(ways)][EACH];
	(void)state;
	for (size_t w = 0; w < COUNT_OF(ways); w++) {
		for (size_t i = 0; i < EACH; i++) {
			blocks[w][i] = SUT(mallocx)(64, resolve(ways[w]));
			assert_non_null(blocks[w][i]);
			memset(blocks[w][i], (int)(w * EACH + i), 64);
		}
	}
	for (size_t w = 0; w < COUNT_OF(ways); w++) {
		for (size_t i = 0; i < EACH; i++) {
			assert_true(all_bytes(blocks[w][i], 64, (unsigned char)(w * EACH + i)));
			SUT(dallocx)
			(blocks[w][i], resolve(ways[COUNT_OF(ways) - 1 - w])); /* to another place */
		}
	}
}

/* -- rallocx --------------------------------------------------------------------------------------------- */

enum place { SAME, MOVED, EITHER };

struct resize_row {
	size_t before;
	int flags_before;
	size_t size;
	int flags;
	size_t usable; /* 0: fails, everything as before */
	enum place place;
};

static const struct resize_row resize_rows[] = {
	{100, 0, 112, 0, 112, SAME},
	{100, 0, 97, 0, 112, SAME},
	{100, 0, 96, 0, 96, MOVED},
	{100, 0, 113, 0, 128, MOVED},
	{100, 0, 0, 0, 8, MOVED},
	{100, 0, 0, LG(6), 64, MOVED},
	{100, 0, 200, ZERO, 224, MOVED},
	{100, 0, 50000, ZERO, 53248, MOVED},
	{100, NONE, 200, NONE, 224, MOVED},
	{100, NONE, 200, NONE | ZERO, 224, MOVED},
	{100, MALLOCX_TCACHE(0), 200, MALLOCX_TCACHE(0), 224, MOVED},
	{100, 0, 3000, MALLOCX_ARENA(0), 3072, MOVED},
	{4096, LG(12), 4096, LG(12), 4096, SAME},
	{4096, 0, 4000, 0, 4096, SAME},
	{20000, 0, 20480, 0, 20480, SAME},
	{20000, 0, 20480, LG(12), 20480, SAME},
	{100000, 0, 50000, 0, 53248, SAME},
	{100000, 0, 16000, 0, 16384, SAME},
	{100000, 0, 14336, 0, 14336, MOVED},
	{100000, 0, 200000, ZERO, 200704, EITHER},
	{(size_t)3 << 20, 0, (size_t)9 << 20, ZERO, (size_t)9 << 20, EITHER},
	{(size_t)9 << 20, 0, (size_t)3 << 20, 0, (size_t)3 << 20, SAME},
	{100, 0, MOST + 1, 0, 0, SAME},
	{100, 0, MOST, 0, 0, SAME},
	{100, 0, SIZE_MAX, ZERO, 0, SAME},
	{100, 0, SIZE_MAX - 3, LG(6), 0, SAME},
	{100, 0, 100, LG(63), 0, SAME},
	{100000, 0, SIZE_MAX, NONE, 0, SAME},
};

static void resize_one(const struct resize_row *row) {
	int flags = resolve(row->flags);
	size_t align = (size_t)1 << (flags & 63);
	unsigned char *ptr = SUT(mallocx)(row->before, resolve(row->flags_before));
	assert_non_null(ptr);
	size_t old = SUT(sallocx)(ptr, 0);
	test_fill(ptr, old, 5);
	errno = 0;
	unsigned char *block = SUT(rallocx)(ptr, opaque(row->size), flags);
	if (row->usable == 0) {
		assert_null(block);
		assert_int_equal(errno, ENOMEM);
		assert_int_equal(SUT(sallocx)(ptr, 0), old);
		assert_true(test_holds(ptr, old, old, 5));
		SUT(dallocx)(ptr, 0);
		return;
	}
	assert_non_null(block);
	if (row->place == SAME)
		assert_ptr_equal(block, ptr);
	if (row->place == MOVED)
		assert_ptr_not_equal(block, ptr);
	assert_true(test_aligned(block, align));
	assert_int_equal(SUT(sallocx)(block, 0), row->usable);
	assert_true(test_holds(block, old, old < row->size ? old : row->size, 5));
	if ((flags & ZERO) != 0 && row->usable > old)
		assert_true(all_bytes(block + old, row->usable - old, 0));
	memset(block, 0xEE, row->usable);
	SUT(dallocx)(block, flags);
}

static void rallocx_rows(void **state) {
	(void)state;
	for (size_t i = 0; i < COUNT_OF(resize_rows); i++)
		for (int round = 0; round < 3; round++)
			resize_one(&resize_rows[i]);
}

/* A block that happens to lie wrong moves, though its size would do; one that lies right stays. */
static void rallocx_alignment(void **state) {
	void *blocks[64];
	size_t moved = 0;
	(void)state;
	for (size_t i = 0; i < 64; i++)
		blocks[i] = SUT(mallocx)(4096 + 1024, 0);
	for (size_t i = 0; i < 64; i++) {
		bool fine = test_aligned(blocks[i], 16384);
		void *block = SUT(rallocx)(blocks[i], 16384, LG(14));
		assert_true(block != NULL && test_aligned(block, 16384));
		void *again = SUT(rallocx)(block, 16384, LG(14));
		assert_ptr_equal(again, block);
		moved += !fine;
		SUT(dallocx)(again, 0);
	}
	assert_true(moved > 0);
	void *null = SUT(rallocx)(NULL, 100, LG(7));
	assert_true(null != NULL && test_aligned(null, 128));
	SUT(dallocx)(null, 0);
}

/* -- xallocx --------------------------------------------------------------------------------------------- */

struct in_place_row {
	size_t before, size, extra;
	int flags;
	size_t least, most; /* bounds of the result */
};

static const struct in_place_row in_place_rows[] = {
	/* small blocks have their one size */
	{100, 100, 0, 0, 112, 112},
	{100, 112, 0, 0, 112, 112},
	{100, 113, 0, 0, 112, 112},
	{100, 1, 0, 0, 112, 112},
	{100, 50, 1000, 0, 112, 112},
	{100, 0, 0, 0, 112, 112},
	{100, 20000, 0, 0, 112, 112},
	{100, SIZE_MAX, 0, 0, 112, 112},
	{100, 100, SIZE_MAX, 0, 112, 112},
	{14336, 16384, 0, 0, 14336, 14336},
	/* large ones stay large */
	{100000, 14336, 0, 0, 102400, 102400},
	{100000, 1, 0, 0, 102400, 102400},
	{100000, 0, 0, 0, 102400, 102400},
	{100000, 100, 14000, 0, 102400, 102400},
	{100000, 100, 16284, 0, 16384, 16384},
	{100000, 14337, 0, 0, 16384, 16384},
	{100000, 50000, 0, 0, 53248, 53248},
	{100000, 50000, 10000, 0, 61440, 61440},
	{100000, 102400, 0, 0, 102400, 102400},
	{100000, 50000, 1000000, 0, 102400, 1052672},
	{100000, 110000, 0, 0, 102400, 110592},
	{100000, 110000, 50000, ZERO, 102400, 163840},
	{100000, 50000, SIZE_MAX, 0, 102400, 102400}, /* extra is cut, and cannot be had: nothing shrinks */
	{100000, 50000, SIZE_MAX - 50000, 0, 102400, 102400},
	{100000, MOST, SIZE_MAX, 0, 102400, 102400},
	{100000, MOST + 1, 0, 0, 102400, 102400},
	{100000, SIZE_MAX, SIZE_MAX, 0, 102400, 102400},
	{100000, 50000, 0, LG(12), 53248, 53248},
	{100000, 50000, 0, LG(40), 102400, 102400}, /* not aligned so: nothing changes */
	{(size_t)9 << 20, (size_t)3 << 20, 5000, 0, ((size_t)3 << 20) + 8192, ((size_t)3 << 20) + 8192},
};

static void xallocx_rows(void **state) {
	(void)state;
	for (size_t i = 0; i < COUNT_OF(in_place_rows); i++) {
		const struct in_place_row *row = &in_place_rows[i];
		unsigned char *ptr = SUT(mallocx)(row->before, 0);
		size_t old = SUT(sallocx)(ptr, 0);
		test_fill(ptr, old, i);
		size_t usable = SUT(xallocx)(ptr, opaque(row->size), opaque(row->extra), row->flags);
		if (usable < row->least || usable > row->most)
			fail_msg("row %zu: %zu is not in [%zu, %zu]", i, usable, row->least, row->most);
		assert_int_equal(SUT(sallocx)(ptr, 0), usable);
		assert_true(test_holds(ptr, old, usable, i));
		if ((row->flags & ZERO) != 0 && usable > old)
			assert_true(all_bytes(ptr + old, usable - old, 0));
		SUT(dallocx)(ptr, 0);
	}
	assert_int_equal(SUT(xallocx)(NULL, 100, 0, 0), 0);
}

/* With the pages behind it free again, a block grows; with ZERO they read as zero though they were written to. */
static void xallocx_grows(void **state) {
	unsigned char *ptr = SUT(mallocx)(200000, NONE);
	(void)state;
	memset(ptr, 0xEE, 200704);
	assert_int_equal(SUT(xallocx)(ptr, 50000, 0, 0), 53248);
	assert_int_equal(SUT(xallocx)(ptr, 200000, 0, ZERO), 200704);
	assert_true(all_bytes(ptr, 53248, 0xEE));
	assert_true(all_bytes(ptr + 53248, 200704 - 53248, 0));
	/* the least is taken when the most cannot be had */
	assert_int_equal(SUT(xallocx)(ptr, 50000, 0, 0), 53248);
	assert_int_equal(SUT(xallocx)(ptr, 100000, SIZE_MAX, 0), 102400);
	SUT(dallocx)(ptr, NONE);
}

/* -- sallocx, dallocx, sdallocx -------------------------------------------------------------------------- */

static void sallocx_rows(void **state) {
	(void)state;
	assert_int_equal(SUT(sallocx)(NULL, 0), 0);
	assert_int_equal(SUT(sallocx)(NULL, ZERO | NONE | LG(5)), 0);
	void *ptr = malloc(100);
	assert_int_equal(SUT(sallocx)(ptr, -1), 112);
	assert_int_equal(SUT(sallocx)(ptr, MALLOCX_TCACHE(4000) | MALLOCX_ARENA(4000)), 112);
	free(ptr);
}

static void free_rows(void **state) {
	static const int flags[] = {
		0, NONE, MALLOCX_TCACHE(0), MALLOCX_ARENA(3000), LG(6), MALLOCX_ARENA(3000) | NONE, ZERO};
	static const size_t sizes[] = {0, 1, 100, 5000, 14336, 20000, 100000, (size_t)5 << 20};
	(void)state;
	for (size_t f = 0; f < COUNT_OF(flags); f++) {
		ERRNO_KEPT(SUT(dallocx)(NULL, resolve(flags[f])));
		ERRNO_KEPT(SUT(sdallocx)(NULL, 0, resolve(flags[f])));
		ERRNO_KEPT(SUT(sdallocx)(NULL, 100, resolve(flags[f])));
		for (size_t s = 0; s < COUNT_OF(sizes); s++) {
			void *ptr = malloc(sizes[s]);
			ERRNO_KEPT(SUT(dallocx)(ptr, resolve(flags[f])));
			ptr = SUT(mallocx)(sizes[s], flags[f] & 63);
			ERRNO_KEPT(SUT(sdallocx)(ptr, sizes[s], resolve(flags[f])));
			ptr = SUT(mallocx)(sizes[s], flags[f] & 63);
			size_t most = SUT(nallocx)(sizes[s], flags[f] & 63);
			ERRNO_KEPT(SUT(sdallocx)(ptr, most, resolve(flags[f])));
		}
	}
}

/* -- what is counted ------------------------------------------------------------------------------------- */

static uint64_t counter(const char *name) {
	uint64_t value = 0;
	size_t size = sizeof value;
	assert_int_equal(SUT(mallctl)(name, &value, &size, NULL, 0), 0);
	return value;
}

#define COUNTS(allocated, freed, statement) \
	do { \
		uint64_t a_ = counter("thread.allocated"), f_ = counter("thread.deallocated"); \
		statement; \
		assert_int_equal(counter("thread.allocated") - a_, allocated); \
		assert_int_equal(counter("thread.deallocated") - f_, freed); \
	} while (0)

static void counted(void **state) {
	void *ptr = NULL;
	(void)state;
	for (int round = 0; round < 2; round++) {
		int flags = round == 0 ? 0 : NONE;
		COUNTS(112, 0, ptr = SUT(mallocx)(100, flags));
		COUNTS(112, 112, ptr = SUT(rallocx)(ptr, 105, flags)); /* also where nothing moves */
		COUNTS(224, 112, ptr = SUT(rallocx)(ptr, 200, flags));
		COUNTS(0, 0, (void)SUT(xallocx)(ptr, 300, 0, flags));
		COUNTS(102400, 224, ptr = SUT(rallocx)(ptr, 100000, flags));
		COUNTS(53248, 102400, (void)SUT(xallocx)(ptr, 50000, 0, flags));
		COUNTS(0, 53248, SUT(dallocx)(ptr, flags));
	}
	COUNTS(224, 0, ptr = SUT(mallocx)(200, own_cache | ZERO));
	COUNTS(0, 224, SUT(dallocx)(ptr, own_cache));
}

/* -- misuse ---------------------------------------------------------------------------------------------- */

static void bad_tcache_of_mallocx(void) {
	(void)SUT(mallocx)(100, MALLOCX_TCACHE(77));
}
static void bad_tcache_of_rallocx(void) {
	(void)SUT(rallocx)(malloc(100), 1000, MALLOCX_TCACHE(4093));
}
static void bad_tcache_of_dallocx(void) {
	SUT(dallocx)(malloc(100), MALLOCX_TCACHE(78));
}
static void bad_tcache_of_sdallocx(void) {
	SUT(sdallocx)(malloc(100), 100, MALLOCX_TCACHE(79));
}
static void bad_arena_of_mallocx(void) {
	(void)SUT(mallocx)(100, MALLOCX_ARENA(4094));
}
static void bad_arena_of_rallocx(void) {
	(void)SUT(rallocx)(malloc(100), 1000, MALLOCX_ARENA(3999) | NONE);
}
static void foreign_to_rallocx(void) {
	static _Alignas(64) char place[64];
	(void)SUT(rallocx)(place, 1000, 0);
}
static void foreign_to_dallocx(void) {
	static _Alignas(64) char place[64];
	SUT(dallocx)(place, NONE);
}

/* Runs it in a child, which must abort after one message that begins so. */
static void expect_abort(void (*misuse)(void), const char *message) {
	int ends[2];
	char text[512] = {0};
	int status;
	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0) {
		struct rlimit none = {0, 0};
		setrlimit(RLIMIT_CORE, &none);
		signal(SIGABRT, SIG_DFL); /* cmocka's handler would go on */
		dup2(ends[1], 2);
		misuse();
		_exit(0);
	}
	close(ends[1]);
	size_t used = 0;
	ssize_t got;
	while ((got = read(ends[0], text + used, sizeof text - 1 - used)) > 0)
		used += (size_t)got;
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT ||
	    strncmp(text, message, strlen(message)) != 0)
		fail_msg("status %d, message '%s' instead of '%s'", status, text, message);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void misuse_rows(void **state) {
	static const struct {
		void (*misuse)(void);
		const char *message;
	} rows[] = {
		{bad_tcache_of_mallocx, "<ashlar>: invalid tcache id (77)."},
		{bad_tcache_of_rallocx, "<ashlar>: invalid tcache id (4093)."},
		{bad_tcache_of_dallocx, "<ashlar>: invalid tcache id (78)."},
		{bad_tcache_of_sdallocx, "<ashlar>: invalid tcache id (79)."},
		{bad_arena_of_mallocx, "<ashlar>: invalid arena index (4094).\n"},
		{bad_arena_of_rallocx, "<ashlar>: invalid arena index (3999)."},
		{foreign_to_rallocx, "<ashlar>: rallocx("},
		{foreign_to_dallocx, "<ashlar>: dallocx("},
	};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		expect_abort(rows[i].misuse, rows[i].message);
}

static char received[512];

static void receive(const char *text) {
	snprintf(received, sizeof received, "%s", text);
}

static void set_receiver(void (*function)(const char *)) {
	assert_int_equal(
		SUT(mallctl)("experimental.hooks.safety_check_abort", NULL, NULL, &function, sizeof function),
		0);
}

/* With a receiver the program goes on, and the block is what it was. */
static void reports_can_be_received(void **state) {
	static _Alignas(64) char place[64];
	(void)state;
	set_receiver(receive);
	SUT(dallocx)(place, NONE);
	assert_non_null(strstr(received, "<ashlar>: dallocx("));
	received[0] = 0;
	assert_null(SUT(rallocx)(place, 100, 0));
	assert_non_null(strstr(received, "<ashlar>: rallocx("));
	received[0] = 0;
	assert_null(realloc(place, 100));
	assert_non_null(strstr(received, "<ashlar>: realloc("));
	char *ptr = SUT(mallocx)(100, NONE), *beside = SUT(mallocx)(100, NONE);
	memset(ptr, 7, 112);
	received[0] = 0;
	SUT(dallocx)(ptr + 16, NONE);
	assert_non_null(strstr(received, "interior pointer"));
	assert_true(all_bytes((unsigned char *)ptr, 112, 7));
	SUT(dallocx)(ptr, NONE);
	received[0] = 0;
	SUT(dallocx)(ptr, NONE);
	assert_non_null(strstr(received, "double free"));
	SUT(dallocx)(beside, NONE);
	char *large = SUT(mallocx)(100000, 0);
	received[0] = 0;
	SUT(dallocx)(large + 4096, 0);
	assert_non_null(strstr(received, "interior pointer"));
	SUT(dallocx)(large, 0);
	set_receiver(NULL);
	expect_abort(foreign_to_dallocx, "<ashlar>: dallocx(");
}

/* -- random calls against the model ---------------------------------------------------------------------- */

enum { SLOTS = 64 };

static struct slot {
	unsigned char *start;
	size_t usable;
	uint64_t tag;
} slots[SLOTS];

static int random_flags(uint64_t word) {
	static const int caches[] = {0, 0, 0, NONE, MALLOCX_TCACHE(0)};
	int flags = resolve(caches[word % COUNT_OF(caches)]);
	word >>= 8;
	flags |= word % 3 == 0 ? ZERO : 0;
	flags |= word % 7 == 0 ? MALLOCX_ARENA(0) : 0;
	word >>= 8;
	return flags | (word % 2 == 0 ? (int)((word >> 1) % 15) : 0);
}

static size_t random_size(uint64_t word) {
	return (size_t)((word >> 8) & (((uint64_t)1 << (word % 20)) - 1));
}

static size_t model_flagged(size_t size, int flags) {
	size_t align = (size_t)1 << (flags & 63);
	return align == 1 ? model_usable(size) : model_aligned(align, size);
}

static void check_slot(const struct slot *slot) {
	assert_true(test_holds(slot->start, slot->usable, slot->usable, slot->tag));
}

static void keep(struct slot *slot, unsigned char *start, size_t usable, int flags) {
	assert_non_null(start);
	assert_true(test_aligned(start, (size_t)1 << (flags & 63)));
	assert_int_equal(SUT(sallocx)(start, flags), usable);
	slot->start = start;
	slot->usable = usable;
	slot->tag++;
	test_fill(start, usable, slot->tag);
}

static void random_take(struct slot *slot, size_t size, int flags) {
	unsigned char *start = SUT(mallocx)(size, flags);
	size_t usable = model_flagged(size, flags);
	assert_true((flags & ZERO) == 0 || all_bytes(start, usable, 0));
	keep(slot, start, usable, flags);
}

static void random_resize(struct slot *slot, size_t size, int flags) {
	size_t usable = model_flagged(size, flags), kept = size < slot->usable ? size : slot->usable;
	unsigned char *start = SUT(rallocx)(slot->start, size, flags);
	assert_true(test_holds(start, slot->usable, kept, slot->tag));
	if ((flags & ZERO) != 0 && usable > slot->usable)
		assert_true(all_bytes(start + slot->usable, usable - slot->usable, 0));
	keep(slot, start, usable, flags);
}

static void random_in_place(struct slot *slot, size_t size, size_t extra, int flags) {
	size_t usable = SUT(xallocx)(slot->start, size, extra, flags), old = slot->usable;
	size_t most = model_usable(size + extra);
	assert_true(usable == old || (old >= MODEL_LARGE_MIN && usable >= MODEL_LARGE_MIN && usable <= most));
	assert_true(test_holds(slot->start, old, usable < old ? usable : old, slot->tag));
	if ((flags & ZERO) != 0 && usable > old)
		assert_true(all_bytes(slot->start + old, usable - old, 0));
	keep(slot, slot->start, usable, 0);
}

static void random_calls(void **state) {
	uint64_t random = test_seed();
	(void)state;
	for (size_t step = 0; step < test_scaled(60000); step++) {
		struct slot *slot = &slots[test_random(&random) % SLOTS];
		size_t size = random_size(test_random(&random));
		int flags = random_flags(test_random(&random));
		uint64_t what = test_random(&random) % 8;
		if (slot->start == NULL) {
			random_take(slot, size, flags);
			continue;
		}
		check_slot(slot);
		if (what < 3) {
			random_resize(slot, size, flags);
		} else if (what < 5) {
			random_in_place(slot, size, random_size(test_random(&random)), flags);
		} else {
			SUT(dallocx)(slot->start, flags & 0xfff00);
			slot->start = NULL;
		}
	}
	for (size_t i = 0; i < SLOTS; i++)
		SUT(dallocx)(slots[i].start, 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mallocx_rows),        cmocka_unit_test(nallocx_rows),
		cmocka_unit_test(ways_do_not_overlap), cmocka_unit_test(rallocx_rows),
		cmocka_unit_test(rallocx_alignment),   cmocka_unit_test(xallocx_rows),
		cmocka_unit_test(xallocx_grows),       cmocka_unit_test(sallocx_rows),
		cmocka_unit_test(free_rows),           cmocka_unit_test(counted),
		cmocka_unit_test(misuse_rows),         cmocka_unit_test(reports_can_be_received),
		cmocka_unit_test(random_calls),
	};
	return cmocka_run_group_tests(tests, make_cache, NULL);
}
