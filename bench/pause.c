/* pause.c - the longest single calls while much memory is purged. One thread allocates `mib` MiB in blocks of 1 KiB to
 * 1 MiB, touches them, frees them and parks. From the first free on another one replaces random blocks of 16 B to 64 KiB,
 * now and then of 1 MiB, and times each malloc and each free by itself, until the resident set is down or `seconds` have
 * passed. how=age waits for the allocator to purge; how=call has a third thread ask for it after one second.
 * Between the calls the same clock is read twice with nothing between: what the machine does to any thread.
 * Figure: the 99.99th percentile of the calls; noop_us is that of nothing. */
#include "bench.h"

#include <dlfcn.h>

enum { PAUSE_SLOTS = 2048, PAUSE_FINE = 16, PAUSE_BUCKETS = 64 * PAUSE_FINE, PAUSE_LOOK = 4096 };

/* Counts by time, eight buckets per doubling: a percentile is exact to an eighth. */
struct pause_times {
	uint64_t count[PAUSE_BUCKETS], calls, most;
};

static size_t pause_bytes;
static pthread_barrier_t pause_gate;
static atomic_bool pause_freed;

static unsigned pause_bucket(uint64_t ns) {
	unsigned high = ns < PAUSE_FINE ? 0 : 63 - (unsigned)__builtin_clzll(ns) - 3;
	return high == 0 ? (unsigned)ns : high * PAUSE_FINE / 2 + (unsigned)(ns >> high);
}

static void pause_note(struct pause_times *times, uint64_t ns) {
	times->count[pause_bucket(ns)]++;
	times->calls++;
	if (ns > times->most)
		times->most = ns;
}

/* The time in microseconds that this part of the calls did not exceed. */
static double pause_percentile(const struct pause_times *times, double part) {
	uint64_t wanted = (uint64_t)(part * (double)times->calls), seen = 0;
	for (unsigned i = 0; i < PAUSE_BUCKETS; i++) {
		seen += times->count[i];
		if (seen <= wanted)
			continue;
		unsigned high = i < PAUSE_FINE ? 0 : i / (PAUSE_FINE / 2) - 1;
		return (double)((uint64_t)(i - high * PAUSE_FINE / 2) << high) / 1e3;
	}
	return (double)times->most / 1e3;
}

static long pause_resident(void) {
	char text[128];
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	char *end;
	(void)strtol(text, &end, 10);
	return strtol(end, NULL, 10) * 4;
}

/* Allocates in a random order of sizes, frees in the order allocated. */
static void *pause_hog(void *unused) {
	struct bench_random random = bench_random_make(1);
	size_t room = pause_bytes / 1024, count = 0;
	void **block = bench_map(room * sizeof(void *));
	for (size_t bytes = 0; bytes < pause_bytes && count < room; count++) {
		size_t size = bench_random_log(&random, 10, 20);
		block[count] = bench_alloc(size);
		bench_touch(block[count], 0, size);
		bytes += size;
	}
	pthread_barrier_wait(&pause_gate); /* all is resident */
	for (size_t i = 0; i < count; i++)
		free(block[i]);
	munmap(block, room * sizeof(void *));
	atomic_store(&pause_freed, true);
	pthread_barrier_wait(&pause_gate); /* the end */
	return unused;
}

/* Asks in the allocator's own way. */
static void pause_purge(void) {
	void *found;
	if ((found = dlsym(RTLD_DEFAULT, "mallctl")) != NULL) {
		int (*control)(const char *, void *, size_t *, void *, size_t);
		*(void **)&control = found;
		control("arena.4096.purge", NULL, NULL, NULL, 0);
	} else if ((found = dlsym(RTLD_DEFAULT, "mi_collect")) != NULL) {
		void (*collect)(bool);
		*(void **)&collect = found;
		collect(true);
	} else if ((found = dlsym(RTLD_DEFAULT, "MallocExtension_ReleaseFreeMemory")) != NULL) {
		void (*release)(void);
		*(void **)&release = found;
		release();
	} else if ((found = dlsym(RTLD_DEFAULT, "malloc_trim")) != NULL) {
		int (*trim)(size_t);
		*(void **)&trim = found;
		trim(0);
	}
}

static void *pause_ask(void *unused) {
	do
		bench_sleep(1);
	while (!atomic_load(&pause_freed));
	pause_purge();
	return unused;
}

static size_t pause_size(struct bench_random *random) {
	return bench_random_below(random, 512) == 0 ? (size_t)1 << 20 : bench_random_log(random, 4, 16);
}

/* Until the resident set is near what it was at first. Returns the seconds that took. */
static double pause_measure(struct pause_times *calls, struct pause_times *nothing, long aim, long seconds) {
	static void *slot[PAUSE_SLOTS];
	struct bench_random random = bench_random_make(2);
	uint64_t start = bench_now(), now = start, limit = start + (uint64_t)seconds * 1000000000;
	for (uint64_t i = 1; now < limit; i++) {
		uint32_t at = bench_random_below(&random, PAUSE_SLOTS);
		size_t size = pause_size(&random);
		uint64_t t0 = bench_now();
		free(slot[at]);
		uint64_t t1 = bench_now();
		slot[at] = malloc(size);
		uint64_t t2 = bench_now();
		now = bench_now();
		pause_note(calls, t1 - t0);
		pause_note(calls, t2 - t1);
		pause_note(nothing, now - t2);
		bench_touch(slot[at], 0, size);
		if (i % PAUSE_LOOK == 0 && atomic_load(&pause_freed) && pause_resident() < aim)
			break;
	}
	for (uint32_t i = 0; i < PAUSE_SLOTS; i++)
		free(slot[i]);
	return (double)(now - start) / 1e9;
}

int main(int argc, char **argv) {
	(void)argc;
	static struct pause_times calls, nothing;
	pthread_t hog, asker;
	bench_start(argv, "mib how seconds");
	pause_bytes = (size_t)bench_number(argv, "mib", 8192) << 20;
	bool asks = bench_is(argv, "how", "call");
	long before = pause_resident(), aim = before + (long)(pause_bytes >> 10) / 20 + 64 * 1024;
	pthread_barrier_init(&pause_gate, NULL, 2);
	if (pthread_create(&hog, NULL, pause_hog, NULL) != 0)
		bench_fail("pthread_create");
	pthread_barrier_wait(&pause_gate);
	long peak = pause_resident();
	if (asks && pthread_create(&asker, NULL, pause_ask, NULL) != 0)
		bench_fail("pthread_create");
	double took = pause_measure(&calls, &nothing, aim, bench_number(argv, "seconds", 15));
	long rest = pause_resident();
	pthread_barrier_wait(&pause_gate);
	pthread_join(hog, NULL);
	if (asks)
		pthread_join(asker, NULL);
	printf("p9999_us=%.3f p50_us=%.3f p99_us=%.3f max_us=%.0f noop_us=%.3f noop_max_us=%.0f calls=%.4g "
	       "purged_mib=%ld "
	       "seconds=%.1f\n",
	       pause_percentile(&calls, 0.9999), pause_percentile(&calls, 0.5),
	       pause_percentile(&calls, 0.99), (double)calls.most / 1e3, pause_percentile(&nothing, 0.9999),
	       (double)nothing.most / 1e3, (double)calls.calls, (peak - rest) / 1024, took);
	return 0;
}
