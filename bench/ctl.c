/* ctl.c - what it costs to look at statistics: a statistic read by its numbers, and a write of epoch while 16 threads
 * with caches have 16 arenas in use. For libraries with jemalloc's mallctl; others print 0.
 * Figures: ns per read, us per refresh. */
#include "bench.h"
#include <dlfcn.h>

enum { CTL_THREADS = 16, CTL_BLOCKS = 2000, CTL_READS = 1000000, CTL_EPOCHS = 2000 };

typedef int ctl_call(const char *, void *, size_t *, void *, size_t);
typedef int ctl_to_mib(const char *, size_t *, size_t *);
typedef int ctl_by_mib(const size_t *, size_t, void *, size_t *, void *, size_t);

static ctl_call *by_name;
static ctl_to_mib *to_mib;
static ctl_by_mib *by_mib;
static pthread_barrier_t ctl_gate;

/* Each thread has an arena of its own and holds blocks of many classes. */
static void *ctl_body(void *arg) {
	unsigned arena = *(unsigned *)arg;
	void **block = bench_map(CTL_BLOCKS * sizeof *block);
	if (by_name("thread.arena", NULL, NULL, &arena, sizeof arena) != 0)
		bench_fail("thread.arena");
	for (unsigned i = 0; i < CTL_BLOCKS; i++)
		block[i] = bench_alloc(8 + i * 17);
	pthread_barrier_wait(&ctl_gate);
	pthread_barrier_wait(&ctl_gate);
	for (unsigned i = 0; i < CTL_BLOCKS; i++)
		free(block[i]);
	return NULL;
}

static double ctl_read_ns(void) {
	size_t mib[8], length = 8, value, size = sizeof value;
	if (to_mib("stats.arenas.0.bins.5.curregs", mib, &length) != 0)
		bench_fail("mallctlnametomib");
	uint64_t start = bench_now();
	for (int i = 0; i < CTL_READS; i++)
		if (by_mib(mib, length, &value, &size, NULL, 0) != 0)
			bench_fail("mallctlbymib");
	return (double)(bench_now() - start) / CTL_READS;
}

static double ctl_epoch_us(void) {
	uint64_t epoch = 1, start = bench_now();
	for (int i = 0; i < CTL_EPOCHS; i++)
		if (by_name("epoch", NULL, NULL, &epoch, sizeof epoch) != 0)
			bench_fail("epoch");
	return (double)(bench_now() - start) / CTL_EPOCHS / 1000;
}

int main(void) {
	*(void **)&by_name = dlsym(RTLD_DEFAULT, "mallctl");
	*(void **)&to_mib = dlsym(RTLD_DEFAULT, "mallctlnametomib");
	*(void **)&by_mib = dlsym(RTLD_DEFAULT, "mallctlbymib");
	if (by_name == NULL || to_mib == NULL || by_mib == NULL) {
		printf("read_ns=0 epoch_us=0\n");
		return 0;
	}
	pthread_t id[CTL_THREADS];
	unsigned arena[CTL_THREADS];
	size_t size = sizeof arena[0];
	pthread_barrier_init(&ctl_gate, NULL, CTL_THREADS + 1);
	for (int i = 0; i < CTL_THREADS; i++) {
		if (by_name("arenas.create", &arena[i], &size, NULL, 0) != 0)
			bench_fail("arenas.create");
		if (pthread_create(&id[i], NULL, ctl_body, &arena[i]) != 0)
			bench_fail("pthread_create");
	}
	pthread_barrier_wait(&ctl_gate);
	double epoch = ctl_epoch_us();
	printf("read_ns=%.1f epoch_us=%.1f arenas=%d\n", ctl_read_ns(), epoch, CTL_THREADS);
	pthread_barrier_wait(&ctl_gate);
	for (int i = 0; i < CTL_THREADS; i++)
		pthread_join(id[i], NULL);
	return 0;
}
