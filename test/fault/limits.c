/*
 * Under ulimit -v, under limits on data, stacks and locked memory, and with nearly all of the kernel's map count
 * used up, the heap gives what there is, then NULL with ENOMEM, and works on when memory is free again; with some
 * mappings left it refuses nothing.  The limits are set before the process starts anew, so that starting under them
 * is tried too.
 */
// ctest-timeout: 500
#define _GNU_SOURCE
#include "../harness.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { MOST = 300000 };

static void *blocks[MOST];

/* Takes blocks until there are no more or `most` of them; each refusal must be a clean one. */
static size_t take_all(size_t size, size_t most) {
	size_t count = 0;
	while (count < most) {
		errno = 0;
		void *ptr = count % 3 == 0 ? calloc(1, size) : malloc(size);
		if (ptr == NULL) {
			CHECK(errno == ENOMEM);
			break;
		}
		test_fill(ptr, size, count);
		blocks[count++] = ptr;
	}
	return count;
}

static void drop_all(size_t size, size_t count) {
	for (size_t i = 0; i < count; i++) {
		CHECK(test_holds(blocks[i], size, size, i));
		free(blocks[i]);
	}
}

/* Fills the room with blocks of one size after another: each size must get at least `least` bytes. */
static void exhaust(size_t least) {
	static const size_t sizes[] = {1u << 20, 3000, 100000, 1000, 16384, 6u << 20, 4096, 1u << 20};
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		size_t count = take_all(sizes[i], MOST);
		if (count * sizes[i] < least)
			fprintf(stderr, "size %zu: only %zu blocks\n", sizes[i], count);
		CHECK(count * sizes[i] >= least);
		drop_all(sizes[i], count);
		SUT(malloc_trim)(0);
	}
}

/* realloc that cannot grow leaves the block as it is. */
static void grow_until_refused(void) {
	size_t size = 1000;
	unsigned char *ptr = malloc(size);
	CHECK(ptr != NULL);
	test_fill(ptr, size, 1);
	for (;;) {
		errno = 0;
		unsigned char *moved = realloc(ptr, size * 2);
		if (moved == NULL)
			break;
		ptr = moved;
		CHECK(test_holds(ptr, size, size, 1));
		size *= 2;
		test_fill(ptr, size, 1);
		CHECK(size < (size_t)1 << 40);
	}
	CHECK(errno == ENOMEM);
	CHECK(size >= (size_t)16 << 20);
	CHECK(test_holds(ptr, size, size, 1));
	free(ptr);
}

static void *small_life(void *argument) {
	void *own[200];
	for (size_t i = 0; i < 200; i++) {
		errno = 0;
		own[i] = malloc(i * 11);
		CHECK(own[i] != NULL || errno == ENOMEM);
	}
	for (size_t i = 0; i < 200; i++)
		free(own[i]);
	return argument;
}

/* Address space the heap keeps for itself may be what a stack would need: then threads are refused, no more. */
static void start_threads(bool must) {
	pthread_attr_t attributes;
	CHECK(pthread_attr_init(&attributes) == 0);
	CHECK(pthread_attr_setstacksize(&attributes, 64 * 1024) == 0);
	for (int round = 0; round < 20; round++) {
		pthread_t threads[8];
		size_t started = 0;
		while (started < 8 && pthread_create(&threads[started], &attributes, small_life, NULL) == 0)
			started++;
		CHECK(started == 8 || !must);
		for (size_t i = 0; i < started; i++)
			CHECK(pthread_join(threads[i], NULL) == 0);
	}
}

/* ---- demanding work, none of which may be refused ---- */

static size_t read_number(const char *path) {
	FILE *file = fopen(path, "r");
	CHECK(file != NULL);
	size_t number = 0;
	CHECK(fscanf(file, "%zu", &number) == 1);
	fclose(file);
	return number;
}

static size_t count_maps(void) {
	FILE *file = fopen("/proc/self/maps", "r");
	CHECK(file != NULL);
	size_t lines = 0;
	for (int c; (c = getc(file)) != EOF;)
		lines += c == '\n';
	fclose(file);
	return lines;
}

enum { SLOTS = 300, STEPS = 2000, LIVE_MOST = 160 << 20, LIVES = 4 };

struct worker {
	uint64_t random;
	size_t steps, live;
	void *block[SLOTS];
	size_t size[SLOTS];
};

/* Mostly small, some of many pages, a few of several chunks. */
static size_t draw_size(uint64_t *random) {
	size_t kind = test_below(random, 100);
	if (kind < 60)
		return 1 + test_below(random, 5000);
	if (kind < 90)
		return 1 + test_below(random, 300000);
	return 1 + test_below(random, 9u << 20);
}

static void drop(struct worker *worker, size_t at) {
	CHECK(test_holds(worker->block[at], worker->size[at], worker->size[at], at));
	free(worker->block[at]);
	worker->live -= worker->size[at];
	worker->block[at] = NULL;
	worker->size[at] = 0;
}

static void keep(struct worker *worker, size_t at, void *block, size_t size) {
	if (block == NULL)
		fprintf(stderr, "refused: %zu bytes with %zu live\n", size, worker->live);
	CHECK(block != NULL);
	worker->live += size - worker->size[at];
	worker->block[at] = block;
	worker->size[at] = size;
	test_fill(block, size, at);
}

static void take(struct worker *worker, size_t at) {
	size_t size = draw_size(&worker->random), kind = test_below(&worker->random, 8);
	void *block = NULL;
	if (kind == 0)
		CHECK(posix_memalign(&block, (size_t)16 << test_below(&worker->random, 19), size) == 0);
	else
		block = kind < 3 ? calloc(1, size) : malloc(size);
	keep(worker, at, block, size);
}

/* Large ones grow so far that they must move. */
static void change(struct worker *worker, size_t at) {
	size_t old = worker->size[at], size = draw_size(&worker->random);
	if (old > 1u << 20 && old < 16u << 20)
		size = old * 2;
	void *block = realloc(worker->block[at], size);
	CHECK(block == NULL || test_holds(block, old, old < size ? old : size, at));
	keep(worker, at, block, size);
}

static void *work(void *argument) {
	struct worker *worker = argument;
	for (size_t step = 0; step < worker->steps; step++) {
		size_t at = test_below(&worker->random, SLOTS);
		if (worker->block[at] == NULL)
			take(worker, at);
		else if (test_below(&worker->random, 3) == 0)
			change(worker, at);
		else
			drop(worker, at);
		for (; worker->live > (size_t)LIVE_MOST / LIVES; at = (at + 1) % SLOTS)
			if (worker->block[at] != NULL)
				drop(worker, at);
		if (step % 500 == 0)
			SUT(malloc_trim)(0);
	}
	for (size_t at = 0; at < SLOTS; at++)
		if (worker->block[at] != NULL)
			drop(worker, at);
	return argument;
}

static void work_in_child(struct worker *worker) {
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		work(worker);
		_exit(0);
	}
	int status = 0;
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Threads, then a forked child, round after round. Returns the most mappings seen between them. */
static size_t demand(size_t rounds) {
	static struct worker workers[LIVES];
	uint64_t seed = test_seed();
	pthread_attr_t attributes;
	size_t most = 0;
	CHECK(pthread_attr_init(&attributes) == 0);
	CHECK(pthread_attr_setstacksize(&attributes, 256 * 1024) == 0);
	for (size_t round = 0; round < rounds; round++) {
		pthread_t threads[LIVES];
		for (size_t i = 0; i < LIVES; i++) {
			workers[i] = (struct worker){.random = seed + round * LIVES + i, .steps = STEPS};
			CHECK(pthread_create(&threads[i], &attributes, work, &workers[i]) == 0);
		}
		for (size_t i = 0; i < LIVES; i++)
			CHECK(pthread_join(threads[i], NULL) == 0);
		size_t maps = count_maps();
		most = maps > most ? maps : most;
		workers[0].steps = STEPS / 4;
		work_in_child(&workers[0]);
	}
	return most;
}

/* ---- address space and data ---- */

/* What is free and what is not mapped yet are room together. */
static void room_adds_up(void) {
	for (size_t size = 100; size <= 180; size += 20) {
		char *before = malloc((size - 40) << 20);
		CHECK(before != NULL);
		free(before);
		char *block = malloc(size << 20);
		CHECK(block != NULL);
		block[(size << 20) - 1] = 1;
		free(block);
	}
	CHECK(malloc((size_t)300 << 20) == NULL && errno == ENOMEM);
}

static void limited_address_space(void) {
	start_threads(true);
	exhaust((size_t)64 << 20);
	grow_until_refused();
	start_threads(false);
	exhaust((size_t)64 << 20);
}

static void limited_data(void) {
	start_threads(true);
	exhaust((size_t)32 << 20);
	grow_until_refused();
	start_threads(false);
	exhaust((size_t)32 << 20);
}

static void very_little_address_space(void) {
	for (size_t size = 16; size <= (size_t)1 << 20; size *= 4)
		drop_all(size, take_all(size, 1000));
	void *ptr = malloc(100);
	CHECK(ptr != NULL);
	free(ptr);
}

/* All that is mapped from now on is filled and locked at once, and the system refuses to purge it. */
static void locked_memory(void) {
	if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
		CHECK(mlockall(MCL_FUTURE) == 0);
	exhaust((size_t)32 << 20);
	grow_until_refused();
	start_threads(false);
	exhaust((size_t)32 << 20);
}

/* Where there is a limit to that, mmap refuses with another error. Privileged processes are not held to it. */
static void little_locked_memory(void) {
	struct rlimit limit;
	free(malloc(100)); /* the page map alone may be more than the limit */
	CHECK(getrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	CHECK(limit.rlim_cur <= (size_t)64 << 20 ||
	      setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){64 << 20, 64 << 20}) == 0);
	if (geteuid() == 0)
		CHECK(setresuid(65534, 65534, 65534) == 0);
	CHECK(mlockall(MCL_FUTURE) == 0);
	size_t count = take_all((size_t)1 << 20, MOST);
	CHECK(count < MOST);
	drop_all((size_t)1 << 20, count);
	very_little_address_space();
	CHECK(munlockall() == 0);
	drop_all(6u << 20, take_all(6u << 20, 20));
}

static void little_stack(void) {
	start_threads(true);
	demand(2);
}

/* ---- the number of mappings ---- */

/* Every second page of a region gets another protection: two more mappings per call. */
static void *use_up_maps(size_t leave, size_t *length) {
	size_t most = read_number("/proc/sys/vm/max_map_count"), page = (size_t)sysconf(_SC_PAGESIZE);
	CHECK(most < (size_t)1 << 24);
	*length = most * page;
	char *region = mmap(NULL, *length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(region != MAP_FAILED);
	size_t used = count_maps(), at = 1;
	while (used + leave + 2 <= most && at + 1 < most) {
		if (syscall(SYS_mprotect, region + at * page, page, PROT_READ) != 0)
			break;
		used += 2;
		at += 2;
	}
	CHECK(count_maps() + leave + 16 > most);
	return region;
}

static void hardly_any_maps_left(size_t leave) {
	size_t held = take_all(20000, 500), length = 0;
	void *region = use_up_maps(leave, &length);
	drop_all(20000, held);
	static const size_t sizes[] = {64, 5000, 30000, 300000, 3u << 20, 9u << 20};
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
			size_t count = take_all(sizes[i], ((size_t)64 << 20) / sizes[i] / 16 + 4);
			/* Refusal is fair, a crash is not; but small blocks fit into what is mapped already. */
			CHECK(sizes[i] > 5000 || count > 0);
			for (size_t k = 0; k < count; k += 2) {
				errno = 0;
				void *moved = realloc(blocks[k], sizes[i] * 2);
				CHECK(moved != NULL || errno == ENOMEM);
				if (moved != NULL) {
					blocks[k] = moved;
					test_fill(moved, sizes[i], k);
				}
			}
			drop_all(sizes[i], count);
			SUT(malloc_trim)(0);
		}
	}
	CHECK(munmap(region, length) == 0);
	size_t count = take_all(3u << 20, 60);
	CHECK(count == 60);
	drop_all(3u << 20, count);
}

/* A heap full of holes must not need a mapping for each of them. */
static void holes_cost_no_maps(void) {
	enum { PAGES = 60000, SIZE = 20000 };
	size_t before = count_maps();
	size_t count = take_all(SIZE, PAGES);
	CHECK(count == PAGES);
	for (size_t i = 0; i < count; i += 2) {
		free(blocks[i]);
		blocks[i] = NULL;
	}
	SUT(malloc_trim)(0);
	CHECK(count_maps() < before + 4000);
	for (size_t i = 1; i < count; i += 2) {
		CHECK(test_holds(blocks[i], SIZE, SIZE, i));
		free(blocks[i]);
	}
}

static void few_maps_left(void) {
	size_t length = 0;
	demand(1); /* so that what the C library maps once is there */
	void *region = use_up_maps(200, &length);
	fprintf(stderr, "with few left: %zu mappings\n", demand(2));
	CHECK(munmap(region, length) == 0);
}

static void long_churn(void) {
	size_t before = count_maps(), most = demand(12);
	SUT(malloc_trim)(0);
	size_t after = count_maps();
	fprintf(stderr, "mappings: at first %zu, most %zu, at the end %zu\n", before, most, after);
	CHECK(most < before + 2000);
}

/* ---- starting anew under each limit ---- */

static void with_40_maps(void) {
	hardly_any_maps_left(40);
}

static void with_3_maps(void) {
	hardly_any_maps_left(3);
}

enum { UNLIMITED = -1, MIB = 1 << 20 };
#define GUARDS "san_guard_large:3,san_guard_small:5,dirty_decay_ms:0"

static const struct {
	const char *name;
	void (*body)(void);
	int resource;
	size_t limit;
	const char *options;
} trials[] = {
	{"address-space", limited_address_space, RLIMIT_AS, (size_t)256 * MIB, ""},
	{"address-space-adds-up", room_adds_up, RLIMIT_AS, (size_t)256 * MIB, ""},
	{"little-address-space", very_little_address_space, RLIMIT_AS, (size_t)64 * MIB, ""},
	{"data", limited_data, RLIMIT_DATA, (size_t)96 * MIB, ""},
	{"locked", locked_memory, RLIMIT_AS, (size_t)256 * MIB, ""},
	{"locked-purged", locked_memory, RLIMIT_AS, (size_t)256 * MIB, "dirty_decay_ms:0"},
	{"little-locked", little_locked_memory, UNLIMITED, 0, ""},
	{"stack", little_stack, RLIMIT_STACK, (size_t)256 * 1024, ""},
	{"maps", with_40_maps, UNLIMITED, 0, ""},
	{"no-maps", with_3_maps, UNLIMITED, 0, ""},
	{"holes", holes_cost_no_maps, UNLIMITED, 0, ""},
	{"few-maps", few_maps_left, UNLIMITED, 0, ""},
	{"few-maps-guards", few_maps_left, UNLIMITED, 0, GUARDS},
	{"few-maps-unmapping", few_maps_left, UNLIMITED, 0, "retain:false,dirty_decay_ms:0"},
	{"churn", long_churn, UNLIMITED, 0, ""},
	{"churn-guards", long_churn, UNLIMITED, 0, GUARDS},
};
enum { TRIALS = sizeof trials / sizeof trials[0] };

static void start(size_t which) {
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		const struct rlimit tight = {trials[which].limit, trials[which].limit};
		if (trials[which].resource != UNLIMITED)
			CHECK(setrlimit((__rlimit_resource_t)trials[which].resource, &tight) == 0);
		CHECK(setenv("MALLOC_CONF", trials[which].options, 1) == 0);
		execl("/proc/self/exe", "limits", "run", trials[which].name, (char *)NULL);
		_exit(99);
	}
	int status = 0;
	CHECK(waitpid(child, &status, 0) == child);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fprintf(stderr, "%s: status 0x%x\n", trials[which].name, (unsigned)status);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* "run NAME", in a process whose limits are set, is the trial itself; NAME or nothing starts one or all. */
int main(int count, char **arguments) {
	size_t tried = 0;
	for (size_t i = 0; i < TRIALS; i++) {
		if (count == 3 && strcmp(arguments[2], trials[i].name) == 0) {
			alarm(150);
			trials[i].body();
			return 0;
		}
		if (count == 1 || (count == 2 && strcmp(arguments[1], trials[i].name) == 0)) {
			start(i);
			tried++;
		}
	}
	return tried > 0 ? 0 : 2;
}
