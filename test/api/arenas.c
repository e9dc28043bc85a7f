/* The names arena.*, arenas.* and experimental.arenas*: values, effects, and each error; arenas made, reset, destroyed,
 * and made again. */
// ctest: MALLOC_CONF=narenas:4,bin_shards:100-200:3,slab_sizes:1000-1100:7
// ctest-timeout: 120
#define _GNU_SOURCE
#include <jemalloc/jemalloc.h>

#include "api.h"

#include <inttypes.h>
#include <pthread.h>
#include <sys/mman.h>

enum { AUTOMATIC = 4, OVERSIZE = 4, FIRST = 5, ALL = 4096, DESTROYED = 4097, HIGHEST = 4094 };
#define NO_OVERSIZE ((size_t)0x7000000000001000u)

#define DIRECT(arena) (MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE)

/* "arena.<index>.<leaf>" with the four arguments of mallctl. */
static int of_arena(unsigned index, const char *leaf, void *old, size_t *old_size, void *new,
                    size_t new_size) {
	char name[64];
	snprintf(name, sizeof name, "arena.%u.%s", index, leaf);
	return SUT(mallctl)(name, old, old_size, new, new_size);
}

static int act(unsigned index, const char *leaf) {
	return of_arena(index, leaf, NULL, NULL, NULL, 0);
}

#define READ_OF(type, index, leaf) \
	({ \
		type value_; \
		size_t size_ = sizeof value_; \
		assert_int_equal(of_arena(index, leaf, &value_, &size_, NULL, 0), 0); \
		assert_int_equal(size_, sizeof value_); \
		value_; \
	})
#define GET(type, name) \
	({ \
		type value_; \
		size_t size_ = sizeof value_; \
		assert_int_equal(SUT(mallctl)(name, &value_, &size_, NULL, 0), 0); \
		value_; \
	})
#define WRITE_OF(type, index, leaf, expression) \
	({ \
		type new_ = (expression); \
		of_arena(index, leaf, NULL, NULL, &new_, sizeof new_); \
	})
#define SET(type, name, expression) \
	({ \
		type new_ = (expression); \
		SUT(mallctl)(name, NULL, NULL, &new_, sizeof new_); \
	})

static unsigned create(void) {
	return GET(unsigned, "arenas.create");
}

static unsigned narenas(void) {
	return GET(unsigned, "arenas.narenas");
}

/* An index whose arena was destroyed. */
static unsigned gone(void) {
	unsigned index = create();
	assert_int_equal(act(index, "destroy"), 0);
	return index;
}

static unsigned lookup(void *block) {
	unsigned index;
	size_t size = sizeof index;
	assert_int_equal(SUT(mallctl)("arenas.lookup", &index, &size, &block, sizeof block), 0);
	return index;
}

static size_t active_of(unsigned index) {
	char name[64];
	snprintf(name, sizeof name, "experimental.arenas.%u.pactivep", index);
	return *GET(size_t *, name);
}

/* -- figures of the table ------------------------------------------------------------------------------------ */

static void facts(void **state) {
	(void)state;
	assert_int_equal(narenas(), AUTOMATIC + 1);
	assert_int_equal(GET(size_t, "arenas.quantum"), 16);
	assert_int_equal(GET(size_t, "arenas.page"), 4096);
	assert_int_equal(GET(size_t, "arenas.hugepage"), 2 << 20);
	assert_int_equal(GET(size_t, "arenas.tcache_max"), 32768);
	assert_int_equal(GET(unsigned, "arenas.nbins"), 36);
	assert_int_equal(GET(unsigned, "arenas.nhbins"), 41);
	assert_int_equal(GET(unsigned, "arenas.nlextents"), 196);
	assert_int_equal(GET(size_t, "arenas.lextent.0.size"), 16384);
	assert_int_equal(GET(size_t, "arenas.lextent.195.size"), (size_t)7 << 60);
	size_t last = 0, size = sizeof last;
	assert_int_equal(SUT(mallctl)("arenas.lextent.196.size", &last, &size, NULL, 0), ENOENT);
	assert_int_equal(SUT(mallctl)("arenas.bin.36.size", &last, &size, NULL, 0), ENOENT);
	assert_int_equal(SUT(mallctl)("arenas.nbins", NULL, NULL, &last, sizeof last), EPERM);
}

static void bins(void **state) {
	(void)state;
	for (unsigned bin = 0; bin < 36; bin++) {
		char name[64];
		snprintf(name, sizeof name, "arenas.bin.%u.size", bin);
		size_t size = GET(size_t, name);
		snprintf(name, sizeof name, "arenas.bin.%u.nregs", bin);
		uint32_t regions = GET(uint32_t, name);
		snprintf(name, sizeof name, "arenas.bin.%u.slab_size", bin);
		size_t slab = GET(size_t, name);
		snprintf(name, sizeof name, "arenas.bin.%u.nshards", bin);
		uint32_t shards = GET(uint32_t, name);
		assert_int_equal(size, model_usable(size));
		assert_true(slab % 4096 == 0 && regions == slab / size && regions <= 512);
		/* the classes that 100 and 200 bytes are of */
		assert_int_equal(shards, size > 100 && size <= 224 ? 3 : 1);
		if (size == 1024)
			assert_int_equal(slab, 7 * 4096);
	}
}

/* -- making and unmaking --------------------------------------------------------------------------------------- */

static void creating(void **state) {
	(void)state;
	unsigned index = create();
	assert_int_equal(index, FIRST);
	assert_int_equal(narenas(), FIRST + 1);
	assert_true(READ_OF(bool, index, "initialized"));
	char buffer[32], *to = buffer;
	size_t size = sizeof to;
	assert_int_equal(of_arena(index, "name", &to, &size, NULL, 0), 0);
	assert_string_equal(buffer, "manual_5");
	assert_int_equal(READ_OF(ssize_t, index, "dirty_decay_ms"), 10000);
	assert_int_equal(act(index, "destroy"), 0);
	assert_int_equal(narenas(), FIRST + 1);
	assert_false(READ_OF(bool, index, "initialized"));
	assert_true(READ_OF(bool, DESTROYED, "initialized"));
	assert_int_equal(act(index, "destroy"), EFAULT);
	assert_int_equal(act(index, "reset"), EFAULT);
}

static void creating_wrongly(void **state) {
	(void)state;
	static const char *const names[] = {"arenas.create", "experimental.arenas_create_ext"};
	unsigned before = narenas();
	for (unsigned i = 0; i < COUNT_OF(names); i++) {
		unsigned char old[8];
		size_t size = 8;
		void *hooks = NULL;
		assert_int_equal(SUT(mallctl)(names[i], old, &size, NULL, 0), EINVAL);
		assert_int_equal(size, 0);
		size = 1;
		assert_int_equal(SUT(mallctl)(names[i], old, &size, NULL, 0), EINVAL);
		assert_int_equal(size, 0);
		size = 4;
		assert_int_equal(SUT(mallctl)(names[i], NULL, &size, NULL, 0), EINVAL);
		assert_int_equal(size, 0);
		assert_int_equal(SUT(mallctl)(names[i], old, NULL, NULL, 0), EINVAL);
		assert_int_equal(SUT(mallctl)(names[i], NULL, NULL, NULL, 0), EINVAL);
		size = 4;
		assert_int_equal(SUT(mallctl)(names[i], old, &size, &hooks, 7), EINVAL);
	}
	assert_int_equal(narenas(), before);
}

/* The one destroyed last comes back first. */
static void recycling(void **state) {
	(void)state;
	unsigned made[4], before;
	for (unsigned i = 0; i < COUNT_OF(made); i++)
		made[i] = create();
	before = narenas();
	assert_int_equal(act(made[2], "destroy"), 0);
	assert_int_equal(act(made[0], "destroy"), 0);
	assert_int_equal(act(made[3], "destroy"), 0);
	assert_int_equal(narenas(), before);
	assert_int_equal(create(), made[3]);
	assert_int_equal(create(), made[0]);
	assert_int_equal(create(), made[2]);
	assert_int_equal(narenas(), before);
	for (unsigned i = 0; i < COUNT_OF(made); i++)
		assert_int_equal(act(made[i], "destroy"), 0);
}

/* As many as there can be, each used; then they all go, and come again. */
static void every_index(void **state) {
	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		unsigned index = 0, highest = 0;
		size_t size = sizeof index;
		while (SUT(mallctl)("arenas.create", &index, &size, NULL, 0) == 0) {
			highest = index > highest ? index : highest;
			void *block = SUT(mallocx)(100, DIRECT(index));
			assert_non_null(block);
			if (index % 100 == 0)
				assert_int_equal(lookup(block), index);
		}
		assert_int_equal(SUT(mallctl)("arenas.create", &index, &size, NULL, 0), EAGAIN);
		assert_int_equal(highest, HIGHEST);
		assert_int_equal(narenas(), HIGHEST + 1);
		for (unsigned i = FIRST; i <= HIGHEST; i++)
			assert_int_equal(act(i, "destroy"), 0);
		assert_int_equal(narenas(), HIGHEST + 1);
		assert_false(READ_OF(bool, HIGHEST, "initialized"));
	}
}

static void destroying_wrongly(void **state) {
	(void)state;
	const unsigned wrong[] = {0, AUTOMATIC - 1, OVERSIZE, ALL, DESTROYED, gone()};
	static const char *const leaves[] = {"reset", "destroy"};
	for (unsigned i = 0; i < COUNT_OF(wrong); i++)
		for (unsigned leaf = 0; leaf < COUNT_OF(leaves); leaf++)
			assert_int_equal(act(wrong[i], leaves[leaf]), EFAULT);
	assert_int_equal(act(narenas(), "reset"), EFAULT);
	assert_int_equal(act(narenas() + 1, "reset"), narenas() + 1 == ALL ? EFAULT : ENOENT);
	assert_int_equal(act(DESTROYED + 1, "reset"), ENOENT);
	unsigned index = create(), zero = 0;
	for (unsigned leaf = 0; leaf < COUNT_OF(leaves); leaf++) {
		size_t size = sizeof zero;
		assert_int_equal(of_arena(index, leaves[leaf], &zero, &size, NULL, 0), EPERM);
		assert_int_equal(of_arena(index, leaves[leaf], NULL, NULL, &zero, sizeof zero), EPERM);
	}
	assert_true(READ_OF(bool, index, "initialized"));
	assert_int_equal(act(index, "destroy"), 0);
}

/* -- blocks ---------------------------------------------------------------------------------------------------- */

static const size_t sizes[] = {1,     8,     100,   1000,    4096,    14336,  16384,
                               20000, 32768, 40000, 1 << 20, 3 << 20, 9 << 20};

static void fill_arena(unsigned index, int flags) {
	for (unsigned i = 0; i < COUNT_OF(sizes); i++)
		for (unsigned n = 0; n < (sizes[i] < 4096 ? 2000u : 20u); n++) {
			char *block = SUT(mallocx)(sizes[i], flags);
			assert_non_null(block);
			block[0] = block[sizes[i] - 1] = (char)i;
			if (n == 0)
				assert_int_equal(lookup(block), index);
			if (n % 3 == 1)
				SUT(dallocx)(block, MALLOCX_TCACHE_NONE);
			else if (n % 5 == 2 && sizes[i] > 32768)
				(void)SUT(xallocx)(block, sizes[i] / 2, sizes[i], MALLOCX_TCACHE_NONE);
		}
}

static void resetting(void **state) {
	(void)state;
	unsigned index = create();
	char *other = malloc(1000);
	memset(other, 'x', 1000);
	for (unsigned round = 0; round < 3; round++) {
		fill_arena(index, DIRECT(index));
		assert_true(active_of(index) > 200);
		assert_int_equal(act(index, "reset"), 0);
		assert_int_equal(active_of(index), 0);
	}
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(other[i], 'x');
	free(other);
	assert_int_equal(act(index, "purge"), 0);
	fill_arena(index, DIRECT(index));
	assert_int_equal(act(index, "destroy"), 0);
	assert_int_equal(create(), index);
	assert_int_equal(active_of(index), 0);
	fill_arena(index, DIRECT(index));
	assert_int_equal(act(index, "destroy"), 0);
}

/* Blocks of the arena that this thread freed into its cache are not handed out after the reset. */
static void resetting_what_is_cached(void **state) {
	(void)state;
	unsigned index = create();
	for (unsigned round = 0; round < 50; round++) {
		void *blocks[40];
		for (unsigned i = 0; i < COUNT_OF(blocks); i++)
			assert_non_null(blocks[i] = SUT(mallocx)(300, DIRECT(index)));
		for (unsigned i = 0; i < COUNT_OF(blocks); i++)
			free(blocks[i]);
		assert_int_equal(act(index, "reset"), 0);
		for (unsigned i = 0; i < COUNT_OF(blocks); i++) {
			assert_non_null(blocks[i] = malloc(300));
			assert_true(lookup(blocks[i]) < AUTOMATIC);
		}
		for (unsigned i = 0; i < COUNT_OF(blocks); i++)
			free(blocks[i]);
	}
	assert_int_equal(act(index, "destroy"), 0);
}

/* Nor are those in an explicit cache. */
static void resetting_what_is_kept(void **state) {
	(void)state;
	unsigned index = create(), cache = GET(unsigned, "tcache.create");
	int flags = MALLOCX_TCACHE(cache);
	for (unsigned round = 0; round < 10; round++) {
		void *blocks[40];
		for (unsigned i = 0; i < COUNT_OF(blocks); i++)
			assert_non_null(blocks[i] = SUT(mallocx)(300, flags | MALLOCX_ARENA(index)));
		for (unsigned i = 0; i < COUNT_OF(blocks); i++)
			SUT(dallocx)(blocks[i], flags);
		assert_int_equal(act(index, "reset"), 0);
		for (unsigned i = 0; i < COUNT_OF(blocks); i++) {
			assert_non_null(blocks[i] = SUT(mallocx)(300, flags));
			assert_true(lookup(blocks[i]) < AUTOMATIC);
		}
		for (unsigned i = 0; i < COUNT_OF(blocks); i++)
			SUT(dallocx)(blocks[i], MALLOCX_TCACHE_NONE);
		assert_int_equal(SET(unsigned, "tcache.flush", cache), 0);
	}
	assert_int_equal(SET(unsigned, "tcache.destroy", cache), 0);
	assert_int_equal(act(index, "destroy"), 0);
}

static void looking_up(void **state) {
	(void)state;
	unsigned index;
	size_t size = sizeof index;
	void *block = malloc(100), *nothing = NULL, *wild = &index;
	assert_true(lookup(block) < AUTOMATIC);
	assert_int_equal(SUT(mallctl)("arenas.lookup", &index, &size, NULL, 0), EINVAL);
	assert_int_equal(SUT(mallctl)("arenas.lookup", &index, &size, &nothing, sizeof nothing), EINVAL);
	assert_int_equal(SUT(mallctl)("arenas.lookup", &index, &size, &wild, sizeof wild), EINVAL);
	assert_int_equal(SUT(mallctl)("arenas.lookup", &index, &size, &block, 4), EINVAL);
	size = 2;
	assert_int_equal(SUT(mallctl)("arenas.lookup", &index, &size, &block, sizeof block), EINVAL);
	free(block);
}

static void oversize(void **state) {
	(void)state;
	assert_int_equal(READ_OF(size_t, 0, "oversize_threshold"), 8 << 20);
	void *below = malloc((8 << 20) - 4096), *above = malloc(8 << 20),
	     *named = SUT(mallocx)(9 << 20, DIRECT(1));
	assert_true(lookup(below) < AUTOMATIC);
	assert_int_equal(lookup(above), OVERSIZE);
	assert_int_equal(lookup(named), 1);
	char buffer[32], *to = buffer;
	size_t size = sizeof to;
	assert_int_equal(of_arena(OVERSIZE, "name", &to, &size, NULL, 0), 0);
	assert_string_equal(buffer, "auto_oversize");
	free(below);
	free(named);
	free(above);
	unsigned own = GET(unsigned, "thread.arena");
	assert_int_equal(WRITE_OF(size_t, own, "oversize_threshold", 1 << 20), 0);
	above = malloc(1 << 20);
	assert_int_equal(lookup(above), OVERSIZE);
	free(above);
	assert_int_equal(WRITE_OF(size_t, own, "oversize_threshold", 8 << 20), 0);
	assert_int_equal(WRITE_OF(size_t, gone(), "oversize_threshold", 1), EFAULT);
	assert_int_equal(WRITE_OF(size_t, ALL, "oversize_threshold", 1), EFAULT);
}

/* -- one arena's settings -------------------------------------------------------------------------------------- */

static void initialized(void **state) {
	(void)state;
	assert_true(READ_OF(bool, 0, "initialized"));
	assert_true(READ_OF(bool, ALL, "initialized"));
	assert_true(READ_OF(bool, narenas(), "initialized"));
	assert_false(READ_OF(bool, gone(), "initialized"));
	bool value = true;
	assert_int_equal(of_arena(0, "initialized", NULL, NULL, &value, sizeof value), EPERM);
}

static void giving_back(void **state) {
	(void)state;
	const unsigned right[] = {0, AUTOMATIC - 1, OVERSIZE, ALL, gone()};
	for (unsigned i = 0; i < COUNT_OF(right); i++) {
		assert_int_equal(act(right[i], "decay"), 0);
		assert_int_equal(act(right[i], "purge"), 0);
	}
	assert_int_equal(act(narenas(), "purge"), 0);
	assert_int_equal(act(DESTROYED, "purge"), EFAULT);
	assert_int_equal(act(DESTROYED + 1, "purge"), ENOENT);
}

static void decay_times(void **state) {
	(void)state;
	static const char *const leaves[] = {"dirty_decay_ms", "muzzy_decay_ms"};
	unsigned index = create();
	for (unsigned i = 0; i < COUNT_OF(leaves); i++) {
		ssize_t before = READ_OF(ssize_t, index, leaves[i]), value = 5000, old;
		size_t size = sizeof old;
		assert_int_equal(of_arena(index, leaves[i], &old, &size, &value, sizeof value), 0);
		assert_int_equal(old, before);
		assert_int_equal(READ_OF(ssize_t, index, leaves[i]), 5000);
		assert_int_equal(WRITE_OF(ssize_t, index, leaves[i], -1), 0);
		assert_int_equal(WRITE_OF(ssize_t, index, leaves[i], -2), EFAULT);
		assert_int_equal(WRITE_OF(ssize_t, index, leaves[i], SSIZE_MAX), EFAULT);
		assert_int_equal(WRITE_OF(int, index, leaves[i], 1), EINVAL);
		assert_int_equal(READ_OF(ssize_t, index, leaves[i]), -1);
		assert_int_equal(WRITE_OF(ssize_t, ALL, leaves[i], 1), EFAULT);
		assert_int_equal(of_arena(ALL, leaves[i], &old, &size, NULL, 0), EFAULT);
		assert_int_equal(of_arena(gone(), leaves[i], &old, &size, NULL, 0), EFAULT);
	}
	assert_int_equal(act(index, "destroy"), 0);
}

static uint64_t figure(unsigned index, const char *leaf) {
	char name[64];
	snprintf(name, sizeof name, "stats.arenas.%u.%s", index, leaf);
	return GET(uint64_t, name);
}

static void refresh(void) {
	assert_int_equal(SET(uint64_t, "epoch", 1), 0);
}

/* Nobody calls malloc or free between the writing and the look. */
static void decay_at_once(void **state) {
	(void)state;
	unsigned index = create();
	void *part = SUT(mallocx)(1 << 20, DIRECT(index)), *chunks = SUT(mallocx)(6 << 20, DIRECT(index));
	SUT(dallocx)(part, MALLOCX_TCACHE_NONE);
	SUT(dallocx)(chunks, MALLOCX_TCACHE_NONE);
	assert_int_equal(WRITE_OF(ssize_t, index, "muzzy_decay_ms", 0), 0);
	refresh();
	assert_true(figure(index, "pdirty") >= 7 * 256);
	assert_int_equal(WRITE_OF(ssize_t, index, "dirty_decay_ms", 0), 0);
	refresh();
	assert_int_equal(figure(index, "pdirty"), 0);
	assert_int_equal(act(index, "destroy"), 0);
}

/* An arena that was destroyed leaves nothing to the next one of its index. */
static void counting_anew(void **state) {
	(void)state;
	enum { MOVED = 14 }; /* those that are not zero in the first one's life */
	static const char *const leaves[] = {
		"small.nmalloc", "small.ndalloc", "small.nrequests", "small.nfills",   "small.nflushes",
		"large.nmalloc", "large.ndalloc", "large.nrequests", "bins.7.nslabs",  "bins.7.curregs",
		"dirty_npurge",  "dirty_purged",  "dirty_nmadvise",  "pactive",        "pdirty",
		"tcache_bytes",  "abandoned_vm",  "small.allocated", "large.allocated"};
	unsigned index = create(), cache = GET(unsigned, "tcache.create");
	for (unsigned i = 0; i < 1000; i++) {
		assert_non_null(SUT(mallocx)(100, MALLOCX_ARENA(index) | MALLOCX_TCACHE(cache)));
		assert_non_null(SUT(mallocx)(20000, DIRECT(index)));
		SUT(dallocx)(SUT(mallocx)(100, DIRECT(index)), MALLOCX_TCACHE_NONE);
	}
	SUT(dallocx)(SUT(mallocx)(1 << 20, DIRECT(index)), MALLOCX_TCACHE_NONE);
	assert_int_equal(act(index, "purge"), 0);
	assert_int_equal(SET(unsigned, "tcache.destroy", cache), 0);
	refresh();
	for (unsigned i = 0; i < MOVED; i++)
		if (figure(index, leaves[i]) == 0)
			fail_msg("%s was not moved", leaves[i]);
	assert_int_equal(act(index, "destroy"), 0);
	assert_int_equal(create(), index);
	refresh();
	for (unsigned i = 0; i < COUNT_OF(leaves); i++)
		if (figure(index, leaves[i]) != 0)
			fail_msg("%s is %llu", leaves[i], (unsigned long long)figure(index, leaves[i]));
	assert_int_equal(act(index, "destroy"), 0);
}

/* What it counted is in the figures of those destroyed. */
static void counting_for_ever(void **state) {
	(void)state;
	static const char *const leaves[] = {
		"small.nmalloc",    "small.ndalloc",   "small.nrequests",   "small.nfills",
		"small.nflushes",   "large.nmalloc",   "large.ndalloc",     "large.nrequests",
		"bins.7.nmalloc",   "bins.7.nslabs",   "bins.7.ndalloc",    "lextents.1.nmalloc",
		"dirty_npurge",     "dirty_purged",    "dirty_nmadvise",    "lextents.1.nrequests",
		"bins.7.nrequests", "bins.7.nreslabs", "lextents.1.ndalloc"};
	uint64_t past[COUNT_OF(leaves)], own[COUNT_OF(leaves)], all[COUNT_OF(leaves)];
	(void)gone();
	unsigned index = create();
	for (unsigned round = 0; round < 3; round++) {
		fill_arena(index, DIRECT(index));
		assert_int_equal(act(index, "reset"), 0);
		assert_int_equal(act(index, "purge"), 0);
	}
	void *first = SUT(mallocx)(100, DIRECT(index)); /* in a slab that others come after */
	for (unsigned i = 0; i < 1000; i++)
		assert_non_null(SUT(mallocx)(100, DIRECT(index)));
	SUT(dallocx)(first, MALLOCX_TCACHE_NONE);
	assert_ptr_equal(SUT(mallocx)(100, DIRECT(index)), first);
	assert_int_equal(act(index, "reset"), 0);
	refresh();
	for (unsigned i = 0; i < COUNT_OF(leaves); i++) {
		past[i] = figure(DESTROYED, leaves[i]);
		own[i] = figure(index, leaves[i]);
		all[i] = figure(ALL, leaves[i]);
		if (own[i] == 0)
			fail_msg("%s was not moved", leaves[i]);
	}
	assert_int_equal(act(index, "destroy"), 0);
	refresh();
	for (unsigned i = 0; i < COUNT_OF(leaves); i++) {
		if (figure(DESTROYED, leaves[i]) != past[i] + own[i])
			fail_msg("%s: %llu", leaves[i], (unsigned long long)figure(DESTROYED, leaves[i]));
		if (figure(ALL, leaves[i]) < all[i])
			fail_msg("%s of all: %llu", leaves[i], (unsigned long long)figure(ALL, leaves[i]));
	}
}

/* What a thread was served counts where it was served. */
static void counting_before_a_move(void **state) {
	(void)state;
	enum { REQUESTS = 500 };
	unsigned index = create(), own = GET(unsigned, "thread.arena");
	if (SET(unsigned, "thread.arena", index) == EPERM)
		skip();
	refresh();
	uint64_t before = figure(own, "bins.7.nrequests");
	for (unsigned i = 0; i < REQUESTS; i++) {
		free(malloc(100));
		free(malloc(20000));
	}
	assert_int_equal(SET(unsigned, "thread.arena", own), 0);
	refresh();
	assert_int_equal(figure(index, "bins.7.nrequests"), REQUESTS);
	assert_int_equal(figure(index, "lextents.1.nrequests"), REQUESTS);
	assert_int_equal(figure(own, "bins.7.nrequests"), before);
	assert_int_equal(SUT(mallctl)("thread.tcache.flush", NULL, NULL, NULL, 0), 0);
	assert_int_equal(act(index, "destroy"), 0);
	assert_int_equal(create(), index); /* and not in the life of the next one */
	refresh();
	assert_int_equal(figure(index, "bins.7.nrequests"), 0);
	assert_int_equal(figure(index, "lextents.1.nrequests"), 0);
	assert_int_equal(act(index, "destroy"), 0);
}

/* A slab is used again when it comes after another one, not with each block. */
static void reusing_slabs(void **state) {
	(void)state;
	unsigned index = create();
	void *first = SUT(mallocx)(100, DIRECT(index));
	for (unsigned i = 0; i < 10; i++)
		assert_non_null(SUT(mallocx)(100, DIRECT(index)));
	refresh();
	assert_int_equal(figure(index, "bins.7.nslabs"), 1);
	assert_int_equal(figure(index, "bins.7.nreslabs"), 0);
	while (figure(index, "bins.7.nslabs") == 1) {
		assert_non_null(SUT(mallocx)(100, DIRECT(index)));
		refresh();
	}
	SUT(dallocx)(first, MALLOCX_TCACHE_NONE);
	assert_ptr_equal(SUT(mallocx)(100, DIRECT(index)), first); /* fullest first */
	refresh();
	assert_int_equal(figure(index, "bins.7.nreslabs"), 1);
	assert_int_equal(figure(index, "bins.7.curslabs"), 2);
	assert_int_equal(act(index, "destroy"), 0);
}

static void default_decay_times(void **state) {
	(void)state;
	static const char *const names[] = {"arenas.dirty_decay_ms", "arenas.muzzy_decay_ms"};
	for (unsigned i = 0; i < COUNT_OF(names); i++) {
		ssize_t before = GET(ssize_t, names[i]);
		assert_int_equal(before, i == 0 ? 10000 : 0);
		assert_int_equal(SET(ssize_t, names[i], -2), EFAULT);
		assert_int_equal(SET(ssize_t, names[i], SSIZE_MAX), EFAULT);
		assert_int_equal(SET(ssize_t, names[i], 123), 0);
		assert_int_equal(GET(ssize_t, names[i]), 123);
		unsigned index = create();
		assert_int_equal(READ_OF(ssize_t, index, names[i] + strlen("arenas.")), 123);
		assert_int_equal(READ_OF(ssize_t, 0, names[i] + strlen("arenas.")), before);
		assert_int_equal(act(index, "destroy"), 0);
		assert_int_equal(SET(ssize_t, names[i], before), 0);
	}
}

static void dss(void **state) {
	(void)state;
	static const char *const words[] = {"disabled", "primary", "secondary"};
	unsigned index = create();
	const char *before = READ_OF(const char *, ALL, "dss");
	assert_string_equal(before, "secondary");
	for (unsigned i = 0; i < COUNT_OF(words); i++) {
		assert_int_equal(WRITE_OF(const char *, index, "dss", words[i]), 0);
		assert_string_equal(READ_OF(const char *, index, "dss"), words[i]);
	}
	assert_int_equal(WRITE_OF(const char *, ALL, "dss", "disabled"), 0);
	assert_string_equal(READ_OF(const char *, narenas(), "dss"), "disabled");
	unsigned later = create();
	assert_string_equal(READ_OF(const char *, later, "dss"), "disabled");
	assert_string_equal(READ_OF(const char *, index, "dss"), "secondary");
	assert_int_equal(WRITE_OF(const char *, ALL, "dss", before), 0);
	assert_int_equal(WRITE_OF(const char *, index, "dss", "N/A"), EINVAL);
	assert_int_equal(WRITE_OF(const char *, index, "dss", "prim"), EINVAL);
	assert_int_equal(WRITE_OF(const char *, index, "dss", NULL), EINVAL);
	assert_int_equal(WRITE_OF(const char *, gone(), "dss", "primary"), EFAULT);
	size_t size = sizeof before;
	assert_int_equal(of_arena(gone(), "dss", &before, &size, NULL, 0), EFAULT);
	assert_int_equal(act(index, "destroy"), 0);
	assert_int_equal(act(later, "destroy"), 0);
}

/* The most address space that a new arena has beside its blocks while it grows. */
static uint64_t most_ahead(size_t limit, unsigned blocks) {
	unsigned index = create();
	uint64_t most = 0;
	assert_int_equal(WRITE_OF(size_t, index, "retain_grow_limit", limit), 0);
	for (unsigned i = 0; i < blocks; i++) {
		assert_non_null(SUT(mallocx)(2 << 20, DIRECT(index)));
		refresh();
		uint64_t now = figure(index, "retained");
		most = now > most ? now : most;
	}
	assert_int_equal(act(index, "destroy"), 0);
	return most;
}

static void growing(void **state) {
	(void)state;
	assert_int_equal(most_ahead(4096, 400), 0);
	assert_true(most_ahead((size_t)1 << 40, 900) !=
	            0); /* more than the first one left in the common pool */
}

static void grow_limit(void **state) {
	(void)state;
	unsigned index = create();
	size_t value, size = sizeof value;
	assert_int_equal(READ_OF(size_t, index, "retain_grow_limit"), (size_t)0x7000000000000000u);
	assert_int_equal(WRITE_OF(size_t, index, "retain_grow_limit", 4095), EFAULT);
	assert_int_equal(WRITE_OF(size_t, index, "retain_grow_limit", (4 << 20) + 4097), 0);
	assert_int_equal(READ_OF(size_t, index, "retain_grow_limit"), 4 << 20); /* rounded down to a class */
	assert_int_equal(WRITE_OF(size_t, gone(), "retain_grow_limit", 1 << 20), EFAULT);
	assert_int_equal(of_arena(ALL, "retain_grow_limit", &value, &size, NULL, 0), EFAULT);
	assert_int_equal(act(index, "destroy"), 0);
}

static void names(void **state) {
	(void)state;
	unsigned index = create();
	char buffer[40], *to = buffer;
	const char *name = "my arena";
	size_t size = sizeof to;
	memset(buffer, 'z', sizeof buffer);
	assert_int_equal(of_arena(0, "name", &to, &size, NULL, 0), 0);
	assert_string_equal(buffer, "auto_0");
	assert_int_equal(of_arena(index, "name", &to, &size, &name, sizeof name), 0);
	assert_string_equal(buffer, "manual_5");
	assert_int_equal(of_arena(index, "name", &to, &size, NULL, 0), 0);
	assert_string_equal(buffer, "my arena");
	name = "0123456789012345678901234567890123456789";
	assert_int_equal(of_arena(index, "name", NULL, NULL, &name, sizeof name), 0);
	assert_int_equal(of_arena(index, "name", &to, &size, NULL, 0), 0);
	assert_string_equal(buffer, "0123456789012345678901234567890");
	assert_int_equal(buffer[32], 'z');
	static const unsigned wrong[] = {ALL, DESTROYED};
	for (unsigned i = 0; i < COUNT_OF(wrong); i++)
		assert_int_equal(of_arena(wrong[i], "name", &to, &size, NULL, 0), EINVAL);
	assert_int_equal(of_arena(narenas(), "name", &to, &size, NULL, 0), EINVAL);
	assert_int_equal(of_arena(gone(), "name", &to, &size, NULL, 0), EFAULT);
	size = 4;
	assert_int_equal(of_arena(index, "name", &to, &size, NULL, 0), EINVAL);
	assert_int_equal(of_arena(index, "name", NULL, NULL, &name, 4), EINVAL);
	assert_int_equal(act(index, "destroy"), 0);
	assert_int_equal(create(), index); /* with a name of its own again */
	size = sizeof to;
	assert_int_equal(of_arena(index, "name", &to, &size, NULL, 0), 0);
	assert_string_equal(buffer, "manual_5");
	assert_int_equal(act(index, "destroy"), 0);
}

static void active_pages(void **state) {
	(void)state;
	unsigned index = create();
	char name[64];
	snprintf(name, sizeof name, "experimental.arenas.%u.pactivep", index);
	const size_t *active = GET(size_t *, name);
	assert_int_equal(*active, 0);
	void *block = SUT(mallocx)(1 << 20, DIRECT(index));
	assert_int_equal(*active, 256);
	SUT(dallocx)(block, MALLOCX_TCACHE_NONE);
	assert_int_equal(*active, 0);
	assert_int_equal(act(index, "destroy"), 0);
	size_t size = sizeof active;
	assert_int_equal(SUT(mallctl)(name, &active, &size, NULL, 0), EFAULT);
	assert_int_equal(SUT(mallctl)("experimental.arenas.4096.pactivep", &active, &size, NULL, 0), EINVAL);
}

/* -- hooks ----------------------------------------------------------------------------------------------------- */

/* As RocksDB makes its arenas: the table of arena 0 with another alloc, which calls the first one with its own table. */
static extent_hooks_t *original, own_hooks;
static unsigned hook_calls, hook_arena;

static void *hook_alloc(extent_hooks_t *hooks, void *at, size_t size, size_t align, bool *zero, bool *commit,
                        unsigned arena) {
	assert_ptr_equal(hooks, &own_hooks);
	hook_calls++;
	hook_arena = arena;
	return original->alloc(hooks, at, size, align, zero, commit, arena);
}

static void sequence_of_rocksdb(void **state) {
	(void)state;
	unsigned index = create(), cache;
	original = READ_OF(extent_hooks_t *, index, "extent_hooks");
	assert_ptr_equal(original, READ_OF(extent_hooks_t *, 0, "extent_hooks"));
	assert_non_null(original->alloc);
	assert_true(original->dalloc && original->destroy && original->commit && original->decommit);
	assert_true(original->purge_lazy && original->purge_forced && original->split && original->merge);
	own_hooks = *original;
	own_hooks.alloc = hook_alloc;
	extent_hooks_t *wanted = &own_hooks, *old;
	size_t size = sizeof old;
	assert_int_equal(of_arena(index, "extent_hooks", &old, &size, &wanted, sizeof wanted), 0);
	assert_ptr_equal(old, original);
	assert_ptr_equal(READ_OF(extent_hooks_t *, index, "extent_hooks"), &own_hooks);
	size = sizeof cache;
	int flags = DIRECT(index);
	bool caches = SUT(mallctl)("tcache.create", &cache, &size, NULL, 0) == 0;
	if (caches)
		flags = MALLOCX_ARENA(index) | MALLOCX_TCACHE(cache);
	for (unsigned i = 0; i < 300; i++) {
		char *block = SUT(mallocx)(20000, flags);
		assert_int_equal(lookup(block), index);
		memset(block, 1, 20000);
		SUT(dallocx)(block, flags);
		block = SUT(mallocx)(1 << 20, flags);
		memset(block, 1, 1 << 20);
		if (i % 3 == 0)
			SUT(dallocx)(block, flags);
	}
	assert_true(hook_calls > 0);
	assert_int_equal(hook_arena, index);
	if (caches)
		assert_int_equal(SET(unsigned, "tcache.destroy", cache), 0);
	assert_int_equal(act(index, "destroy"), 0);
}

/* Memory that hooks brought is theirs to purge, also within a slab. */
static void hooks_and_slabs(void **state) {
	(void)state;
	enum { SLAB = 64, SIZE = 448 };
	static char *block[8 * SLAB];
	unsigned index, away = 0;
	size_t size = sizeof index;
	extent_hooks_t *hooks = &own_hooks;
	assert_int_equal(SUT(mallctl)("arenas.create", &index, &size, &hooks, sizeof hooks), 0);
	for (size_t i = 0; i < 8 * SLAB; i++)
		memset(block[i] = SUT(mallocx)(SIZE, DIRECT(index)), 1, SIZE);
	char *first = (char *)((uintptr_t)block[0] & ~(uintptr_t)4095);
	for (size_t i = 0; i < 8 * SLAB; i++)
		if (i % SLAB != 0)
			SUT(dallocx)(block[i], DIRECT(index));
	assert_int_equal(act(index, "purge"), 0);
	unsigned char there[7] = {0};
	assert_int_equal(mincore(first, sizeof there * 4096, there), 0);
	for (size_t i = 0; i < sizeof there; i++)
		away += (there[i] & 1) == 0;
	assert_int_equal(away, 0);
	assert_int_equal(act(index, "destroy"), 0);
}

static void hooks_at_creation(void **state) {
	(void)state;
	struct {
		extent_hooks_t *hooks;
		bool metadata_use_hooks;
	} config = {&own_hooks, false};
	unsigned index;
	size_t size = sizeof index;
	extent_hooks_t *hooks = &own_hooks;
	original = READ_OF(extent_hooks_t *, 0, "extent_hooks");
	own_hooks = *original;
	own_hooks.alloc = hook_alloc;
	for (unsigned round = 0; round < 2; round++) {
		if (round == 0)
			assert_int_equal(SUT(mallctl)("arenas.create", &index, &size, &hooks, sizeof hooks),
			                 0);
		else
			assert_int_equal(SUT(mallctl)("experimental.arenas_create_ext", &index, &size,
			                              &config, sizeof config),
			                 0);
		assert_ptr_equal(READ_OF(extent_hooks_t *, index, "extent_hooks"), &own_hooks);
		unsigned before = hook_calls;
		assert_int_equal(lookup(SUT(mallocx)(100000, DIRECT(index))), index);
		assert_true(hook_calls > before);
		assert_int_equal(hook_arena, index);
		assert_int_equal(act(index, "destroy"), 0);
	}
}

/* Memory that may not be purged, and that nobody takes back. */
static void *give_pinned(extent_hooks_t *hooks, void *at, size_t size, size_t align, bool *zero, bool *commit,
                         unsigned arena) {
	(void)hooks;
	(void)arena;
	char *memory = at != NULL ? MAP_FAILED
	                          : mmap(NULL, size + align, PROT_READ | PROT_WRITE,
	                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return NULL;
	memory += (align - ((uintptr_t)memory & (align - 1))) & (align - 1);
	*zero = *commit = true;
	return memory + EXTENT_ALLOC_FLAG_PINNED;
}

static void pinned_memory(void **state) {
	(void)state;
	static extent_hooks_t table = {.alloc = give_pinned};
	extent_hooks_t *hooks = &table;
	unsigned index;
	size_t size = sizeof index;
	assert_int_equal(SUT(mallctl)("arenas.create", &index, &size, &hooks, sizeof hooks), 0);
	assert_int_equal(READ_OF(size_t, index, "oversize_threshold"),
	                 READ_OF(size_t, 0, "oversize_threshold"));
	assert_non_null(SUT(mallocx)(100000, DIRECT(index)));
	SUT(dallocx)(SUT(mallocx)(500000, DIRECT(index)), MALLOCX_TCACHE_NONE);
	refresh();
	assert_true(figure(index, "pinned") >= 500000);
	assert_int_equal(figure(index, "resident"),
	                 figure(index, "pinned") +
	                         (figure(index, "pactive") + figure(index, "pdirty")) * 4096);
	uint64_t before = figure(DESTROYED, "abandoned_vm"), mapped = figure(index, "mapped");
	assert_int_equal(act(index, "destroy"), 0);
	refresh();
	assert_true(figure(DESTROYED, "abandoned_vm") >= before + mapped);
}

static void hooks_of_others(void **state) {
	(void)state;
	extent_hooks_t *table, *none = NULL;
	size_t size = sizeof table;
	assert_false(READ_OF(bool, AUTOMATIC - 1, "initialized"));
	table = READ_OF(extent_hooks_t *, AUTOMATIC - 1, "extent_hooks"); /* reading makes nothing... */
	assert_false(READ_OF(bool, AUTOMATIC - 1, "initialized"));
	assert_int_equal(WRITE_OF(extent_hooks_t *, AUTOMATIC - 1, "extent_hooks", none), EINVAL);
	assert_false(
		READ_OF(bool, AUTOMATIC - 1, "initialized")); /* ...and neither does what is refused... */
	assert_int_equal(WRITE_OF(extent_hooks_t *, AUTOMATIC - 1, "extent_hooks", table), 0);
	assert_true(READ_OF(bool, AUTOMATIC - 1, "initialized")); /* ...writing does */
	assert_int_equal(of_arena(0, "extent_hooks", NULL, NULL, &none, sizeof none), EINVAL);
	assert_int_equal(of_arena(gone(), "extent_hooks", &table, &size, NULL, 0), EFAULT);
	assert_int_equal(of_arena(ALL, "extent_hooks", &table, &size, NULL, 0), EFAULT);
	assert_int_equal(WRITE_OF(extent_hooks_t *, ALL, "extent_hooks", table), EFAULT);
}

/* Whole chunks are purged by the arena's own pool: that counts, and the decay time set before the hooks holds there. */
static void purging_own_chunks(void **state) {
	(void)state;
	static extent_hooks_t table;
	unsigned index = create(), automatic = AUTOMATIC - 2;
	SUT(dallocx)(SUT(mallocx)(4 << 20, DIRECT(index)), MALLOCX_TCACHE_NONE);
	assert_int_equal(act(index, "purge"), 0);
	refresh();
	assert_true(figure(index, "dirty_purged") >= 1024);
	assert_true(figure(index, "dirty_npurge") > 0 && figure(index, "dirty_nmadvise") > 0);
	assert_int_equal(act(index, "destroy"), 0);
	table = *READ_OF(extent_hooks_t *, 0, "extent_hooks");
	SUT(dallocx)(SUT(mallocx)(100000, DIRECT(automatic)), MALLOCX_TCACHE_NONE);
	assert_int_equal(WRITE_OF(ssize_t, automatic, "dirty_decay_ms", 0), 0);
	assert_int_equal(WRITE_OF(extent_hooks_t *, automatic, "extent_hooks", &table), 0);
	SUT(dallocx)(SUT(mallocx)(8 << 20, DIRECT(automatic)), MALLOCX_TCACHE_NONE);
	refresh();
	assert_int_equal(figure(automatic, "pdirty"), 0);
	assert_true(figure(automatic, "dirty_purged") >= 2048);
}

/* -- threads --------------------------------------------------------------------------------------------------- */

static void *stay_in(void *data) {
	unsigned *index = data, own;
	size_t size = sizeof own;
	CHECK(SUT(mallctl)("thread.arena", &own, &size, index, sizeof *index) == 0);
	CHECK(act(*index, "destroy") == EFAULT);
	void *block = malloc(100);
	CHECK(block != NULL);
	free(block);
	return NULL;
}

static void destroying_with_threads(void **state) {
	(void)state;
	unsigned index = create(), unwanted = index;
	if (SUT(mallctl)("thread.arena", NULL, NULL, &unwanted, sizeof unwanted) == EPERM)
		skip();
	unwanted = 0;
	assert_int_equal(SUT(mallctl)("thread.arena", NULL, NULL, &unwanted, sizeof unwanted), 0);
	unwanted = gone();
	assert_int_equal(SET(unsigned, "thread.arena", unwanted), EFAULT);
	assert_int_equal(SET(unsigned, "thread.arena", narenas()), EFAULT);
	assert_int_equal(GET(unsigned, "thread.arena"), 0);
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, stay_in, &index), 0);
	pthread_join(thread, NULL);
	assert_int_equal(act(index, "destroy"), 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(facts),
		cmocka_unit_test(bins),
		cmocka_unit_test(hooks_of_others),
		cmocka_unit_test(initialized),
		cmocka_unit_test(creating),
		cmocka_unit_test(names),
		cmocka_unit_test(creating_wrongly),
		cmocka_unit_test(recycling),
		cmocka_unit_test(destroying_wrongly),
		cmocka_unit_test(resetting),
		cmocka_unit_test(resetting_what_is_cached),
		cmocka_unit_test(resetting_what_is_kept),
		cmocka_unit_test(looking_up),
		cmocka_unit_test(oversize),
		cmocka_unit_test(giving_back),
		cmocka_unit_test(decay_times),
		cmocka_unit_test(decay_at_once),
		cmocka_unit_test(counting_anew),
		cmocka_unit_test(counting_for_ever),
		cmocka_unit_test(reusing_slabs),
		cmocka_unit_test(counting_before_a_move),
		cmocka_unit_test(default_decay_times),
		cmocka_unit_test(dss),
		cmocka_unit_test(growing),
		cmocka_unit_test(grow_limit),
		cmocka_unit_test(active_pages),
		cmocka_unit_test(sequence_of_rocksdb),
		cmocka_unit_test(hooks_and_slabs),
		cmocka_unit_test(hooks_at_creation),
		cmocka_unit_test(pinned_memory),
		cmocka_unit_test(purging_own_chunks),
		cmocka_unit_test(destroying_with_threads),
		cmocka_unit_test(every_index),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
