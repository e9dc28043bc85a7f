/*
 * Heap profiling, switched on while the program runs. With prof.reset 0 every allocation is sampled, so that counts are
 * exact: each way to allocate and free is one sample more and one less.
 */
#define _GNU_SOURCE
#include "ctl.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define KIB 1024
#define MIB (1024 * 1024)

struct batch {
	void **slots;
	size_t count, size;
	int flags;
};

/* -- what the profiler tells ------------------------------------------------------------------------------- */

/* The compiler knows that malloc calls nobody. */
static volatile uint64_t taken, taken_bytes, taken_asked, freed, freed_bytes;
static const void *volatile last_taken, *volatile last_freed;
static void *volatile last_frames[256];
static volatile unsigned last_depth;

static void note_sample(const void *ptr, size_t size, void **frames, unsigned depth, size_t usable) {
	taken++;
	taken_bytes += usable;
	taken_asked += size;
	last_taken = ptr;
	last_depth = depth;
	for (unsigned i = 0; i < depth; i++)
		last_frames[i] = frames[i];
	free(malloc(100)); /* allowed, and not sampled */
}

static void note_free(const void *ptr, size_t usable) {
	freed++;
	freed_bytes += usable;
	last_freed = ptr;
}

typedef void prof_reader(void **frames, unsigned *length, unsigned most);

struct text {
	char data[1 << 20];
	size_t used;
};

static void collect(void *opaque, const void *data, size_t size) {
	struct text *text = opaque;
	CHECK(text->used + size < sizeof text->data);
	memcpy(text->data + text->used, data, size);
	text->used += size;
	text->data[text->used] = 0;
}

static const struct text *dump_all(void) {
	static struct text text;
	text.used = 0;
	struct {
		void (*write)(void *, const void *, size_t);
		void *opaque;
	} receiver = {collect, &text};
	CHECK(ctl_write("prof.dump_call", &receiver, sizeof receiver) == 0);
	return &text;
}

static const char *dump(void) {
	return dump_all()->data;
}

struct live {
	uint64_t objects, bytes;
};

static struct live live(void) {
	const char *text = dump();
	unsigned long objects, bytes, all, all_bytes, rate;
	CHECK(sscanf(text, "heap_v2/%lu\n  t*: %lu: %lu [%lu: %lu]\n", &rate, &objects, &bytes, &all,
	             &all_bytes) == 5);
	CHECK(all == 0 && all_bytes == 0);
	return (struct live){objects, bytes};
}

/* What happens in between is `more` samples of so many bytes together. */
static struct live before;
#define BEGIN() (before = live())
#define GREW(more, by) \
	do { \
		struct live now_ = live(); \
		CHECK(now_.objects == before.objects + (uint64_t)(more)); \
		CHECK(now_.bytes == before.bytes + (uint64_t)(by)); \
	} while (0)

static int setup(void **state) {
	(void)state;
	CHECK(CTL_SET(bool, "prof.active", true) == 0);
	CHECK(CTL_SET(size_t, "prof.reset", 0) == 0);
	free(malloc(1)); /* the thread follows when it next comes to the full lane */
	CHECK(ctl_do("thread.tcache.flush") == 0);
	free(malloc(5 * MIB));
	return 0;
}

static int teardown(void **state) {
	(void)state;
	CHECK(CTL_SET(bool, "prof.active", false) == 0);
	CHECK(CTL_SET(size_t, "prof.reset", 19) == 0);
	CHECK(live().objects == 0);
	return 0;
}

/* -- before it is on ---------------------------------------------------------------------------------------- */

static void off_at_first(void **state) {
	const char *name = "/nowhere";
	(void)state;
	CHECK(!CTL_GET(bool, "opt.prof") && !CTL_GET(bool, "prof.active"));
	CHECK(CTL_GET(size_t, "prof.lg_sample") == 0 && CTL_GET(uint64_t, "prof.interval") == 0);
	CHECK(CTL_SET(const char *, "prof.dump", name) == ENOENT);
	CHECK(CTL_SET(const char *, "prof.log_start", name) == ENOENT);
	CHECK(ctl_do("prof.log_stop") == ENOENT);
	ssize_t most = 1;
	CHECK(ctl_write("experimental.prof_recent.alloc_max", &most, sizeof most) == ENOENT);
	CHECK(CTL_SET(bool, "prof.active", false) == 0);
	CHECK(CTL_SET(bool, "prof.gdump", false) == 0);
}

enum { EARLY = 4 };
static pthread_barrier_t all_named;

static void *name_early(void *argument) {
	char name[16];
	(void)snprintf(name, sizeof name, "early %d", (int)(intptr_t)argument);
	CHECK(CTL_SET(const char *, "thread.prof.name", name) == 0);
	CHECK(CTL_SET(bool, "thread.prof.active", argument != NULL) == 0);
	(void)pthread_barrier_wait(&all_named);
	for (size_t i = 0; i < 2000; i++)
		free(malloc(i * 10));
	CHECK(strcmp(CTL_GET(const char *, "thread.prof.name"), name) == 0);
	CHECK(CTL_GET(bool, "thread.prof.active") == (argument != NULL));
	(void)pthread_barrier_wait(&all_named); /* it is on now */
	(void)pthread_barrier_wait(&all_named);
	free(malloc(1));
	CHECK(ctl_do("thread.tcache.flush") == 0);
	free(malloc(5 * MIB));
	void *block = malloc(1000);
	(void)pthread_barrier_wait(&all_named);
	(void)pthread_barrier_wait(&all_named); /* dumped */
	free(block);
	return NULL;
}

/* What a thread says of itself while profiling was never on holds when it is. */
static void named_early(void **state) {
	pthread_t threads[EARLY];
	CHECK(pthread_barrier_init(&all_named, NULL, EARLY + 1) == 0);
	for (intptr_t i = 0; i < EARLY; i++)
		CHECK(pthread_create(&threads[i], NULL, name_early, (void *)i) == 0);
	(void)pthread_barrier_wait(&all_named);
	(void)pthread_barrier_wait(&all_named);
	CHECK(setup(state) == 0);
	(void)pthread_barrier_wait(&all_named);
	(void)pthread_barrier_wait(&all_named);
	const char *text = dump();
	CHECK(strstr(text, " early 1\n") != NULL && strstr(text, " early 3\n") != NULL);
	CHECK(strstr(text, " early 0\n") == NULL);
	(void)pthread_barrier_wait(&all_named);
	for (int i = 0; i < EARLY; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(CTL_SET(bool, "prof.active", false) == 0);
	CHECK(ctl_do("prof.reset") == 0);
}

/* -- ways to allocate --------------------------------------------------------------------------------------- */

static const size_t sizes[] = {1, 8, 16, 100, 1000, 4096, 14336, 14337, 20000, 32768, 32769, 100000, 3 * MIB};

static void each_size(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		for (int round = 0; round < 3; round++) {
			BEGIN();
			char *one = malloc(sizes[i]), *other = calloc(1, sizes[i]);
			CHECK(one != NULL && other != NULL);
			for (size_t at = 0; at < sizes[i]; at++)
				CHECK(other[at] == 0);
			memset(one, 1, sizes[i]);
			memset(other, 1, sizes[i]);
			size_t usable = malloc_usable_size(one);
			CHECK(usable >= sizes[i] && malloc_usable_size(other) == usable);
			GREW(2, 2 * usable);
			free(one);
			GREW(1, usable);
			free(other);
			GREW(0, 0);
		}
	}
}

static void aligned(void **state) {
	(void)state;
	for (size_t align = 16; align <= 64 * KIB; align *= 2) {
		BEGIN();
		void *block = aligned_alloc(align, 5000);
		CHECK(block != NULL && (uintptr_t)block % align == 0);
		GREW(1, malloc_usable_size(block));
		free(block);
		GREW(0, 0);
	}
}

static void realloc_counts(void **state) {
	(void)state;
	BEGIN();
	char *block = malloc(10);
	strcpy(block, "contents");
	for (size_t size = 10; size < 2 * MIB; size += size / 3 + 1) {
		block = realloc(block, size);
		CHECK(block != NULL && strcmp(block, "contents") == 0);
		GREW(1, malloc_usable_size(block));
	}
	for (size_t size = MIB; size >= 10; size -= size / 3 + 1) {
		block = realloc(block, size);
		CHECK(block != NULL && strcmp(block, "contents") == 0);
		GREW(1, malloc_usable_size(block));
	}
	free(block);
	GREW(0, 0);
}

static void resize_in_place(void **state) {
	(void)state;
	BEGIN();
	void *block = malloc(64 * KIB);
	size_t now = SUT_CTL(xallocx)(block, 40 * KIB, 0, 0);
	CHECK(now == 40 * KIB);
	GREW(1, now);
	now = SUT_CTL(xallocx)(block, 20 * KIB, 0, 0);
	GREW(1, now);
	now = SUT_CTL(xallocx)(block, 28 * KIB, 100 * KIB, 0);
	CHECK(now >= 20 * KIB);
	GREW(1, now);
	free(block);
	GREW(0, 0);
}

static void flagged(void **state) {
	(void)state;
	unsigned cache, arena;
	size_t size = sizeof cache;
	CHECK(ctl("tcache.create", &cache, &size, NULL, 0) == 0);
	size = sizeof arena;
	CHECK(ctl("arenas.create", &arena, &size, NULL, 0) == 0);
	const int flags[] = {FLAG_TCACHE_NONE, FLAG_TCACHE(cache), FLAG_ARENA(arena) | FLAG_TCACHE_NONE};
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		for (size_t bytes = 100; bytes < MIB; bytes *= 10) {
			BEGIN();
			void *block = t_mallocx(bytes, flags[i]);
			GREW(1, malloc_usable_size(block));
			t_dallocx(block, flags[i] & FLAG_TCACHE_MASK);
			GREW(0, 0);
		}
	}
	CHECK(CTL_SET(unsigned, "tcache.destroy", cache) == 0);
	BEGIN();
	size_t sum = 0;
	for (size_t bytes = 10; bytes < MIB; bytes *= 10)
		sum += malloc_usable_size(t_mallocx(bytes, FLAG_ARENA(arena) | FLAG_TCACHE_NONE));
	GREW(6, sum);
	char name[32];
	(void)snprintf(name, sizeof name, "arena.%u.reset", arena);
	freed = 0;
	CHECK(ctl_do(name) == 0);
	CHECK(freed == 6);
	GREW(0, 0);
	(void)t_mallocx(500, FLAG_ARENA(arena) | FLAG_TCACHE_NONE);
	(void)snprintf(name, sizeof name, "arena.%u.destroy", arena);
	CHECK(ctl_do(name) == 0);
	GREW(0, 0);
}

static void batches(void **state) {
	(void)state;
	static void *slots[1000];
	for (size_t bytes = 50; bytes <= 50000; bytes *= 10) {
		BEGIN();
		struct batch batch = {slots, 300, bytes, 0};
		size_t filled = 0, size = sizeof filled;
		CHECK(ctl("experimental.batch_alloc", &filled, &size, &batch, sizeof batch) == 0 &&
		      filled == 300);
		GREW(300, 300 * malloc_usable_size(slots[0]));
		for (size_t i = 0; i < filled; i++)
			free(slots[i]);
		GREW(0, 0);
	}
}

static void hooks(void **state) {
	(void)state;
	taken = freed = 0;
	taken_bytes = freed_bytes = taken_asked = 0;
	void *block = malloc(1000);
	CHECK(taken == 1 && taken_bytes == 1024 && taken_asked == 1000 && last_taken == block);
	void *other = t_mallocx(3000, 0);
	CHECK(taken == 2 && taken_asked == 4000);
	free(block);
	CHECK(freed == 1 && freed_bytes == 1024 && last_freed == block);
	free(other);
	CHECK(freed == 2 && taken == 2);
}

/* -- pages with samples ------------------------------------------------------------------------------------- */

static void *free_all(void *argument) {
	void **blocks = argument;
	for (size_t i = 0; i < 600; i++)
		free(blocks[i]);
	return NULL;
}

/* Blocks of one page, some sampled, are all freed, here and by another thread, in any order. */
static void marked_pages(void **state) {
	static void *blocks[600];
	uint64_t random = test_seed();
	(void)state;
	CHECK(CTL_SET(size_t, "prof.reset", 9) == 0);
	BEGIN();
	for (int round = 0; round < 50; round++) {
		for (size_t i = 0; i < 600; i++) {
			blocks[i] = malloc(48);
			CHECK(malloc_usable_size(blocks[i]) == 48);
			memset(blocks[i], (int)i, 48);
		}
		for (size_t i = 600; i > 1; i--) {
			size_t at = test_below(&random, i);
			void *swap = blocks[i - 1];
			blocks[i - 1] = blocks[at];
			blocks[at] = swap;
		}
		pthread_t thread;
		if (round % 2 == 0) {
			(void)free_all(blocks);
		} else {
			CHECK(pthread_create(&thread, NULL, free_all, blocks) == 0);
			CHECK(pthread_join(thread, NULL) == 0);
		}
	}
	/* but for what creating threads allocates and the C library keeps */
	CHECK(live().bytes < before.bytes + 4096);
}

/* -- files -------------------------------------------------------------------------------------------------- */

static char dumped[100];

static void note_dump(const char *name) {
	(void)snprintf(dumped, sizeof dumped, "%s", name);
}

static void dumps(void **state) {
	char expected[100];
	void *block = malloc(1000);
	(void)state;
	CHECK(CTL_SET(const char *, "prof.prefix", NULL) == EFAULT);
	CHECK(CTL_SET(const char *, "prof.prefix", "") == 0);
	CHECK(ctl_do("prof.dump") == EFAULT);
	CHECK(CTL_SET(const char *, "prof.prefix", "prof-test") == 0);
	CHECK(CTL_SET(void *, "experimental.hooks.prof_dump", (void *)(uintptr_t)note_dump) == 0);
	for (int i = 0; i < 2; i++) {
		CHECK(CTL_SET(const char *, "prof.dump", NULL) == 0);
		(void)snprintf(expected, sizeof expected, "prof-test.%d.%d.m%d.heap", (int)getpid(), i, i);
		CHECK(strcmp(dumped, expected) == 0 && access(expected, R_OK) == 0 && unlink(expected) == 0);
	}
	static char prefix[PATH_MAX];
	for (size_t i = 0; i < sizeof prefix - 10; i++)
		prefix[i] = i % 2 == 0 ? '.' : '/';
	CHECK(CTL_SET(const char *, "prof.prefix", prefix) ==
	      0); /* what follows would not be part of the name */
	CHECK(CTL_SET(const char *, "prof.dump", NULL) == EFAULT);
	CHECK(CTL_SET(const char *, "prof.dump", "prof-named") == 0);
	CHECK(strcmp(dumped, "prof-named") == 0 && unlink("prof-named") == 0);
	CHECK(CTL_SET(const char *, "prof.dump", "/no/such/place") == EFAULT);
	CHECK(CTL_SET(void *, "experimental.hooks.prof_dump", NULL) == 0);
	int pipes[2];
	char text[8];
	CHECK(pipe(pipes) == 0);
	CHECK(CTL_SET(unsigned, "prof.dump_fd", (unsigned)pipes[1]) == 0);
	CHECK(read(pipes[0], text, 8) == 8 && memcmp(text, "heap_v2/", 8) == 0);
	CHECK(close(pipes[0]) == 0 && close(pipes[1]) == 0);
	CHECK(CTL_SET(unsigned, "prof.dump_fd", 999) == EBADF);
	CHECK(CTL_SET(bool, "prof.gdump", true) == 0 && CTL_GET(bool, "prof.gdump"));
	CHECK(CTL_SET(bool, "prof.gdump", false) == 0 && !CTL_GET(bool, "prof.gdump"));
	free(block);
}

/* The greatest of the labels of ages, in milliseconds: label { key: 12, number, unit: 13 }. */
static uint64_t greatest_age(const struct text *profile) {
	const char *at = profile->data, *end = at + profile->used;
	uint64_t greatest = 0;
	while ((at = memmem(at, (size_t)(end - at), "\x08\x0c\x18", 3)) != NULL) {
		uint64_t age = 0;
		unsigned shift = 0;
		for (at += 3; at < end && (*at & 0x80) != 0; shift += 7)
			age |= (uint64_t)(*at++ & 0x7f) << shift;
		age |= (uint64_t)(unsigned char)*at++ << shift;
		if (end - at >= 2 && memcmp(at, "\x20\x0d", 2) == 0 && age > greatest)
			greatest = age;
	}
	return greatest;
}

static uint64_t now_ms(void) {
	struct timespec now;
	CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* No dump adds to the ages that the one before found. */
static void ages_of_samples(void **state) {
	const uint64_t pause = 40, tick = 20; /* milliseconds */
	uint64_t began = now_ms();
	void *block = malloc(1000);
	(void)state;
	CHECK(usleep((unsigned)pause * 1000) == 0);
	CHECK(CTL_SET(const char *, "prof_format", "proto") == 0);
	for (int i = 0; i < 10; i++) {
		uint64_t age = greatest_age(dump_all());
		CHECK(age + tick >= pause && age <= now_ms() - began + tick);
	}
	CHECK(CTL_SET(const char *, "prof_format", "text") == 0);
	free(block);
}

static void reset_forgets(void **state) {
	(void)state;
	void *small = malloc(100), *large = malloc(100000);
	CHECK(live().objects >= 2);
	CHECK(ctl_do("prof.reset") == 0);
	CHECK(live().objects == 0 && CTL_GET(size_t, "prof.lg_sample") == 0);
	freed = 0;
	free(small);
	free(large);
	CHECK(freed == 0 && live().objects == 0);
	CHECK(CTL_SET(size_t, "prof.reset", 100) == 0);
	CHECK(CTL_GET(size_t, "prof.lg_sample") == 63);
	CHECK(strncmp(dump(), "heap_v2/9223372036854775808\n", 28) == 0);
}

/* -- switches ----------------------------------------------------------------------------------------------- */

static void *in_other_thread(void *argument) {
	uint64_t *seen = argument;
	void *warm[] = {malloc(100), malloc(100), malloc(100)};
	for (int i = 0; i < 3; i++)
		free(warm[i]);
	uint64_t at = taken;
	void *block = malloc(100);
	seen[0] = taken - at;
	CHECK(CTL_SET(bool, "thread.prof.active", !CTL_GET(bool, "thread.prof.active")) == 0);
	at = taken;
	void *other = malloc(100);
	seen[1] = taken - at;
	free(block);
	free(other);
	return NULL;
}

static void switches(void **state) {
	uint64_t seen[2];
	pthread_t thread;
	(void)state;
	for (int init = 1; init >= 0; init--) {
		CHECK(CTL_SET(bool, "prof.thread_active_init", init) == 0);
		CHECK(CTL_GET(bool, "prof.thread_active_init") == init);
		CHECK(pthread_create(&thread, NULL, in_other_thread, seen) == 0);
		CHECK(pthread_join(thread, NULL) == 0);
		CHECK(seen[init == 0] == 1 && seen[init != 0] == 0);
	}
	CHECK(CTL_SET(bool, "prof.thread_active_init", true) == 0);
	CHECK(CTL_SET(bool, "prof.active", false) == 0);
	taken = freed = 0;
	for (size_t i = 0; i < 1000; i++)
		free(malloc(i * 50));
	CHECK(taken == 0);
	CHECK(CTL_SET(bool, "prof.active", true) == 0);
	free(malloc(5 * MIB));
	taken = 0;
	for (size_t i = 0; i < 1000; i++)
		free(malloc(i * 50));
	CHECK(taken == 1000);
}

static void names_of_threads(void **state) {
	(void)state;
	CHECK(CTL_SET(const char *, "thread.prof.name", "the one") == 0);
	void *block = malloc(10);
	CHECK(strstr(dump(), "] the one\n") != NULL);
	free(block);
	CHECK(CTL_SET(const char *, "thread.prof.name", "") == 0);
}

/* -- stacks ------------------------------------------------------------------------------------------------- */

__attribute__((noinline)) static void *outer_call(size_t size) {
	void *block = malloc(size);
	TEST_HIDE(block);
	return block;
}

static bool inside(const void *frame, const void *function) {
	return (uintptr_t)frame - (uintptr_t)function < 200;
}

static void stack_begins_at_the_caller(void **state) {
	(void)state;
	for (size_t size = 10; size < MIB; size *= 20) {
		free(outer_call(size));
		CHECK(last_depth >= 3);
		CHECK(inside(last_frames[0], (void *)(uintptr_t)t_malloc));
		CHECK(inside(last_frames[1], (void *)(uintptr_t)outer_call));
	}
	free(calloc(3, 30));
	CHECK(inside(last_frames[0], (void *)(uintptr_t)t_calloc));
}

static void own_reader(void **frames, unsigned *length, unsigned most) {
	CHECK(most >= 3);
	frames[0] = (void *)0x1111;
	frames[1] = (void *)0x2222;
	*length = 2;
}

static void reader_of_the_program(void **state) {
	(void)state;
	void *old = CTL_GET(void *, "experimental.hooks.prof_backtrace");
	CHECK(old != NULL);
	CHECK(CTL_SET(void *, "experimental.hooks.prof_backtrace", NULL) == EINVAL);
	CHECK(CTL_SET(void *, "experimental.hooks.prof_backtrace", (void *)(uintptr_t)own_reader) == 0);
	void *block = malloc(100);
	CHECK(last_depth == 2 && last_frames[0] == (void *)0x1111 && last_frames[1] == (void *)0x2222);
	CHECK(strstr(dump(), "@ 0x1111 0x2222\n") != NULL);
	CHECK(CTL_SET(void *, "experimental.hooks.prof_backtrace", old) == 0);
	free(block);
	CHECK(strstr(dump(), "@ 0x1111 0x2222\n") == NULL);
}

static prof_reader *usual_reader;
static unsigned most_read;

/* Asks for more than anybody keeps. */
static void greedy_reader(void **frames, unsigned *length, unsigned most) {
	static void *many[2000];
	unsigned got = 0;
	usual_reader(many, &got, 2000);
	most_read = got > most_read ? got : most_read;
	*length = got < most ? got : most;
	memcpy(frames, many, *length * sizeof *frames);
}

__attribute__((noinline)) static void *deep_call(unsigned more) {
	void *block = more == 0 ? malloc(3000) : deep_call(more - 1);
	TEST_HIDE(block);
	return block;
}

static void reader_that_wants_more(void **state) {
	(void)state;
	usual_reader = CTL_GET(prof_reader *, "experimental.hooks.prof_backtrace");
	CHECK(CTL_SET(prof_reader *, "experimental.hooks.prof_backtrace", greedy_reader) == 0);
	free(deep_call(1000));
	CHECK(CTL_SET(prof_reader *, "experimental.hooks.prof_backtrace", usual_reader) == 0);
	CHECK(most_read >= 128 && most_read < 1000);
}

/* Whatever the program was compiled for, it ends. */
static void frame_pointers(void **state) {
	(void)state;
	CHECK(CTL_SET(const char *, "prof_unwinder", "frame") == 0);
	for (size_t i = 0; i < 1000; i++) {
		free(outer_call(i * 10));
		CHECK(last_depth >= 1);
	}
	CHECK(CTL_SET(const char *, "prof_unwinder", "dwarf") == 0);
}

/* -- one by one --------------------------------------------------------------------------------------------- */

static void collect_text(void *opaque, const char *text) {
	collect(opaque, text, strlen(text));
}

static const char *recent(void) {
	static struct text text;
	text.used = 0;
	struct {
		void (*write)(void *, const char *);
		void *opaque;
	} receiver = {collect_text, &text};
	CHECK(ctl_write("experimental.prof_recent.alloc_dump", &receiver, sizeof receiver) == 0);
	return text.data;
}

static size_t count_of(const char *text, const char *what) {
	size_t count = 0;
	for (; (text = strstr(text, what)) != NULL; text++)
		count++;
	return count;
}

static void recent_list(void **state) {
	(void)state;
	ssize_t most = 3, old = 4711;
	size_t size = sizeof old;
	CHECK(ctl("experimental.prof_recent.alloc_max", &old, &size, &most, sizeof most) == 0 && old == 0);
	void *blocks[5];
	for (size_t i = 0; i < 5; i++)
		blocks[i] = malloc(1000 + i);
	const char *text = recent();
	CHECK(strstr(text, "{\"sample_interval\":1,\"recent_alloc_max\":3,\"recent_alloc\":[{\"size\":1002,"
	                   "\"usize\":1024,"
	                   "\"released\":false,\"alloc_thread_uid\":") == text);
	CHECK(count_of(text, "\"size\":") == 3 && count_of(text, "dalloc") == 0);
	free(blocks[2]);
	free(blocks[0]);
	text = recent();
	CHECK(count_of(text, "\"released\":true") == 1 && count_of(text, "\"dalloc_trace\":[\"0x") == 1);
	most = 1;
	CHECK(ctl_write("experimental.prof_recent.alloc_max", &most, sizeof most) == 0);
	CHECK(count_of(recent(), "\"size\":1004") == 1 && count_of(recent(), "\"size\":") == 1);
	most = -1;
	CHECK(ctl_write("experimental.prof_recent.alloc_max", &most, sizeof most) == 0);
	for (size_t i = 0; i < 100; i++)
		free(malloc(10));
	CHECK(count_of(recent(), "\"released\":true") == 100);
	most = -2;
	CHECK(ctl_write("experimental.prof_recent.alloc_max", &most, sizeof most) == EINVAL);
	most = 0;
	CHECK(ctl_write("experimental.prof_recent.alloc_max", &most, sizeof most) == 0);
	CHECK(count_of(recent(), "\"size\":") == 0);
	free(blocks[1]);
	free(blocks[3]);
	free(blocks[4]);
}

static void log_of_samples(void **state) {
	char name[64];
	static char text[1 << 16];
	(void)state;
	(void)snprintf(name, sizeof name, "prof-%d.json", (int)getpid());
	void *earlier = malloc(77);
	CHECK(CTL_SET(const char *, "prof.log_start", name) == 0);
	CHECK(CTL_SET(const char *, "prof.log_start", name) == EFAULT);
	void *stays = malloc(60), *goes = malloc(50), *goes_too = calloc(1, 200000);
	free(goes);
	free(goes_too);
	free(earlier);
	CHECK(ctl_do("prof.log_stop") == 0 && ctl_do("prof.log_stop") == EFAULT);
	free(stays);
	FILE *file = fopen(name, "r");
	CHECK(file != NULL);
	text[fread(text, 1, sizeof text - 1, file)] = 0;
	(void)fclose(file);
	(void)unlink(name);
	CHECK(strncmp(text, "{\"info\":{\"duration\":", 20) == 0);
	CHECK(count_of(text, "\"usize\":") == 2 && count_of(text, "\"usize\":64}") == 1);
	CHECK(count_of(text, "\"thr_uid\":") == 1);
	CHECK(CTL_SET(const char *, "prof.log_start", "/no/such/place") == 0);
	CHECK(ctl_do("prof.log_stop") == EFAULT);
}

/* -- logs that end otherwise ----------------------------------------------------------------------------------- */

static const char *read_file(const char *name) {
	static char text[1 << 16];
	FILE *file = fopen(name, "r");
	CHECK(file != NULL);
	text[fread(text, 1, sizeof text - 1, file)] = 0;
	CHECK(fclose(file) == 0 && unlink(name) == 0);
	return text;
}

static int status_of(pid_t child) {
	int status;
	CHECK(waitpid(child, &status, 0) == child);
	return status;
}

static void log_without_a_name(void **state) {
	(void)state;
	CHECK(CTL_SET(const char *, "prof.prefix", "") == 0);
	CHECK(CTL_SET(const char *, "prof.log_start", NULL) == EFAULT);
	CHECK(ctl_do("prof.log_start") == EFAULT && ctl_do("prof.log_stop") == EFAULT);
	CHECK(CTL_SET(const char *, "prof.prefix", "prof-test") == 0);
	CHECK(ctl_do("prof.log_start") == 0 && ctl_do("prof.log_stop") == 0);
	char name[64];
	(void)snprintf(name, sizeof name, "prof-test.%d.0.json", (int)getpid());
	CHECK(count_of(read_file(name), "\"allocations\":[]") == 1);
}

static void log_at_exit(void **state) {
	char name[64];
	(void)state;
	(void)snprintf(name, sizeof name, "prof-exit-%d.json", (int)getpid());
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		CHECK(CTL_SET(const char *, "prof.log_start", name) == 0);
		free(malloc(1000));
		exit(0);
	}
	CHECK(status_of(child) == 0);
	CHECK(count_of(read_file(name), "\"usize\":1024}") == 1);
}

/* A child that ends while its parent keeps a log leaves the file alone, and may begin one of its own. */
static void log_of_a_parent(void **state) {
	char name[64], own[64];
	(void)state;
	(void)snprintf(name, sizeof name, "prof-parent-%d.json", (int)getpid());
	(void)snprintf(own, sizeof own, "prof-child-%d.json", (int)getpid());
	CHECK(CTL_SET(const char *, "prof.log_start", name) == 0);
	free(malloc(1000));
	void *earlier = malloc(1000);
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		CHECK(ctl_do("prof.log_stop") == EFAULT);
		if (fork() == 0)
			exit(0);
		CHECK(CTL_SET(const char *, "prof.log_start", own) == 0);
		free(earlier);
		free(malloc(3000));
		exit(0);
	}
	CHECK(status_of(child) == 0);
	CHECK(access(name, F_OK) != 0);
	const char *text = read_file(own);
	CHECK(count_of(text, "\"usize\":") == 1 && count_of(text, "\"usize\":3072}") == 1);
	free(earlier);
	CHECK(ctl_do("prof.log_stop") == 0);
	CHECK(count_of(read_file(name), "\"usize\":1024}") == 2);
}

static void *stop_log(void *argument) {
	(void)argument;
	CHECK(ctl_do("prof.log_stop") == 0);
	return NULL;
}

/* The writer waits for a reader of its pipe, which is longer than the pipe holds, while the process forks. */
static void fork_while_a_log_is_written(void **state) {
	enum { ENTRIES = 3000 };
	char name[64], data[4096];
	pthread_t thread;
	size_t entries = 0;
	(void)state;
	(void)snprintf(name, sizeof name, "prof-pipe-%d", (int)getpid());
	CHECK(mkfifo(name, 0600) == 0);
	CHECK(CTL_SET(const char *, "prof.log_start", name) == 0);
	for (int i = 0; i < ENTRIES; i++)
		free(malloc(100));
	CHECK(pthread_create(&thread, NULL, stop_log, NULL) == 0);
	int file = open(name, O_RDONLY);
	CHECK(file >= 0 && read(file, data, 1) == 1);
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0)
		_exit(CTL_SET(const char *, "prof.log_start", "/dev/null") == 0 &&
		                      ctl_do("prof.log_stop") == 0
		              ? 0
		              : 1);
	CHECK(CTL_SET(const char *, "prof.log_start", "/dev/null") == EFAULT);
	CHECK(status_of(child) == 0);
	for (ssize_t got; (got = read(file, data, sizeof data)) > 0;)
		for (ssize_t i = 0; i < got; i++)
			entries += data[i] == '}';
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(close(file) == 0 && unlink(name) == 0);
	CHECK(entries >= ENTRIES);
}

/* -- arenas that end -------------------------------------------------------------------------------------------- */

static unsigned make_arena(size_t blocks) {
	unsigned arena;
	size_t size = sizeof arena;
	CHECK(ctl("arenas.create", &arena, &size, NULL, 0) == 0);
	for (size_t i = 0; i < blocks; i++)
		CHECK(t_mallocx(200, FLAG_ARENA(arena) | FLAG_TCACHE_NONE) != NULL);
	return arena;
}

static int end_arena(unsigned arena, const char *how) {
	char name[32];
	(void)snprintf(name, sizeof name, "arena.%u.%s", arena, how);
	return ctl_do(name);
}

static void ends_are_frees(void **state) {
	const char *const ways[] = {"reset", "destroy"};
	char name[64];
	(void)state;
	(void)snprintf(name, sizeof name, "prof-arena-%d.json", (int)getpid());
	for (size_t i = 0; i < 2; i++) {
		ssize_t most = 3;
		CHECK(CTL_SET(const char *, "prof.log_start", name) == 0);
		CHECK(ctl_write("experimental.prof_recent.alloc_max", &most, sizeof most) == 0);
		unsigned arena = make_arena(3);
		CHECK(end_arena(arena, ways[i]) == 0);
		const char *text = recent();
		CHECK(count_of(text, "\"size\":200,\"usize\":224,\"released\":true") == 3);
		CHECK(count_of(text, "\"dalloc_trace\":[\"0x") == 3);
		CHECK(ctl_do("prof.log_stop") == 0);
		CHECK(count_of(read_file(name), "\"usize\":224}") == 3);
		most = 0;
		CHECK(ctl_write("experimental.prof_recent.alloc_max", &most, sizeof most) == 0);
	}
}

static unsigned nested;

/* What it allocates is not sampled; it may use the heap in any way, and fork, as no lock is held. */
static void end_another(const void *ptr, size_t usable) {
	note_free(ptr, usable);
	free(malloc(1000));
	CHECK(ctl_do("arena.0.purge") == 0);
	if (nested == 0)
		return;
	unsigned other = nested;
	nested = 0;
	CHECK(end_arena(other, "destroy") == 0);
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0)
		_exit(ctl_do("arena.0.purge"));
	CHECK(status_of(child) == 0);
}

static void hook_of_ends(void **state) {
	const char *const ways[] = {"reset", "destroy"};
	(void)state;
	void *hook = (void *)(uintptr_t)end_another, *old = (void *)(uintptr_t)note_free;
	CHECK(CTL_SET(void *, "experimental.hooks.prof_sample_free", hook) == 0);
	for (size_t i = 0; i < 2; i++) {
		BEGIN();
		unsigned arena = make_arena(5);
		nested = make_arena(7);
		taken = freed = 0;
		CHECK(end_arena(arena, ways[i]) == 0);
		CHECK(taken == 0 && freed == 12 && nested == 0);
		GREW(0, 0);
	}
	CHECK(CTL_SET(void *, "experimental.hooks.prof_sample_free", old) == 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_size, setup, teardown),
		cmocka_unit_test_setup_teardown(aligned, setup, teardown),
		cmocka_unit_test_setup_teardown(realloc_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(resize_in_place, setup, teardown),
		cmocka_unit_test_setup_teardown(flagged, setup, teardown),
		cmocka_unit_test_setup_teardown(batches, setup, teardown),
		cmocka_unit_test_setup_teardown(hooks, setup, teardown),
		cmocka_unit_test_setup_teardown(marked_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(dumps, setup, teardown),
		cmocka_unit_test_setup_teardown(ages_of_samples, setup, teardown),
		cmocka_unit_test_setup_teardown(reset_forgets, setup, teardown),
		cmocka_unit_test_setup_teardown(switches, setup, teardown),
		cmocka_unit_test_setup_teardown(names_of_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(stack_begins_at_the_caller, setup, teardown),
		cmocka_unit_test_setup_teardown(reader_of_the_program, setup, teardown),
		cmocka_unit_test_setup_teardown(reader_that_wants_more, setup, teardown),
		cmocka_unit_test_setup_teardown(frame_pointers, setup, teardown),
		cmocka_unit_test_setup_teardown(recent_list, setup, teardown),
		cmocka_unit_test_setup_teardown(log_of_samples, setup, teardown),
		cmocka_unit_test_setup_teardown(log_without_a_name, setup, teardown),
		cmocka_unit_test_setup_teardown(log_at_exit, setup, teardown),
		cmocka_unit_test_setup_teardown(log_of_a_parent, setup, teardown),
		cmocka_unit_test_setup_teardown(fork_while_a_log_is_written, setup, teardown),
		cmocka_unit_test_setup_teardown(ends_are_frees, setup, teardown),
		cmocka_unit_test_setup_teardown(hook_of_ends, setup, teardown),
	};
	off_at_first(NULL);
	named_early(NULL);
	CHECK(CTL_SET(void *, "experimental.hooks.prof_sample", (void *)(uintptr_t)note_sample) == 0);
	CHECK(CTL_SET(void *, "experimental.hooks.prof_sample_free", (void *)(uintptr_t)note_free) == 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
