/*
 * Under ulimit -v, under a limit on data, and with nearly all of the kernel's map count used up, the heap
 * gives what there is, then NULL with ENOMEM, and works on when memory is free again.  The limits are set
 * before the process starts anew, so that starting under them is tried too.
 */
// ctest-timeout: 200
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

/* ---- address space and data ---- */

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

/* ---- the number of mappings ---- */

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

/* ---- starting anew under each limit ---- */

static int run(const char *what) {
	alarm(150);
	if (strcmp(what, "address-space") == 0)
		limited_address_space();
	else if (strcmp(what, "little-address-space") == 0)
		very_little_address_space();
	else if (strcmp(what, "data") == 0)
		limited_data();
	else if (strcmp(what, "maps") == 0)
		hardly_any_maps_left(40);
	else if (strcmp(what, "no-maps") == 0)
		hardly_any_maps_left(3);
	else if (strcmp(what, "holes") == 0)
		holes_cost_no_maps();
	else
		return 2;
	return 0;
}

static void start(const char *what, int resource, size_t limit) {
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		const struct rlimit tight = {limit, limit};
		if (limit != 0)
			CHECK(setrlimit((__rlimit_resource_t)resource, &tight) == 0);
		execl("/proc/self/exe", "limits", what, (char *)NULL);
		_exit(99);
	}
	int status = 0;
	CHECK(waitpid(child, &status, 0) == child);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fprintf(stderr, "%s with limit %zu: status 0x%x\n", what, limit, (unsigned)status);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(int count, char **arguments) {
	if (count > 1)
		return run(arguments[1]);
	start("address-space", RLIMIT_AS, (size_t)256 << 20);
	start("little-address-space", RLIMIT_AS, (size_t)64 << 20);
	start("data", RLIMIT_DATA, (size_t)96 << 20);
	start("maps", 0, 0);
	start("no-maps", 0, 0);
	start("holes", 0, 0);
	return 0;
}
