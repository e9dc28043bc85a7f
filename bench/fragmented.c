/* fragmented.c - `mib` MiB of small blocks, 2^`low` to 2^`high` bytes, allocated by `threads` threads and touched; then
 * 90 % of them, chosen at random, are freed, and the process sits still for `idle` seconds (beat=1: but for bench_rest). Figure: the
 * resident set after that. live_kib is what the program still holds, own_kib what the library itself says is resident (0:
 * it has no such name), huge_kib what transparent huge pages hold; rss_after_kib and huge_after_kib are the same right
 * after freeing. */
#include "bench.h"

#include <dlfcn.h>

struct fragmented_thread {
	uint64_t seed;
	size_t bytes;        /* to allocate */
	unsigned low, high;  /* sizes: powers of two */
	struct block **kept; /* [owner thread until it ends] */
	size_t count, live;  /* blocks and bytes kept   [owner thread until it ends] */
};

struct block {
	size_t size;
};

static void *fragmented_body(void *arg) {
	struct fragmented_thread *self = arg;
	struct bench_random random = bench_random_make(self->seed);
	size_t most = self->bytes >> self->low, count = 0;
	self->kept = bench_map(most * sizeof self->kept[0]);
	for (size_t bytes = 0; bytes < self->bytes && count < most; count++) {
		size_t size = bench_random_log(&random, self->low, self->high);
		struct block *block = bench_alloc(size);
		memset(block, 1, size);
		block->size = size;
		self->kept[count] = block;
		bytes += size;
	}
	for (size_t i = 0; i < count; i++) {
		struct block *block = self->kept[i];
		if (bench_random_below(&random, 10) != 0) {
			free(block);
			continue;
		}
		self->live += block->size;
		self->kept[self->count++] = block;
	}
	return NULL;
}

/* The library's own figure, where it has jemalloc's interface. */
static size_t fragmented_own(void) {
	int (*ctl)(const char *, void *, size_t *, void *, size_t) = NULL;
	void *found = dlsym(RTLD_DEFAULT, "mallctl");
	memcpy(&ctl, &found, sizeof ctl);
	uint64_t epoch = 1;
	size_t resident = 0, size = sizeof resident;
	if (ctl == NULL)
		return 0;
	(void)ctl("epoch", NULL, NULL, &epoch, sizeof epoch);
	return ctl("stats.resident", &resident, &size, NULL, 0) == 0 ? resident : 0;
}

/* KiB in transparent huge pages. */
static long fragmented_huge(void) {
	char text[4096] = "";
	int fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	const char *at = strstr(text, "\nAnonHugePages:");
	return at == NULL ? 0 : strtol(at + 15, NULL, 10);
}

int main(int argc, char **argv) {
	(void)argc;
	bench_start(argv, "threads mib low high idle beat");
	unsigned threads = (unsigned)bench_number(argv, "threads", 1);
	struct fragmented_thread *thread = bench_map((threads + 1) * sizeof *thread);
	for (unsigned i = 0; i < threads; i++) {
		thread[i].seed = i;
		thread[i].bytes = ((size_t)bench_number(argv, "mib", 512) << 20) / threads;
		thread[i].low = (unsigned)bench_number(argv, "low", 4);
		thread[i].high = (unsigned)bench_number(argv, "high", 12);
	}
	if (threads == 1)
		fragmented_body(thread);
	else
		bench_threads(threads, fragmented_body, thread, sizeof *thread);
	long rss = bench_rss(), huge = fragmented_huge();
	size_t live = 0, tables = 0;
	for (unsigned i = 0; i < threads;
	     i++) { /* the tables are no blocks: what the kept part holds is not counted */
		size_t bytes = (thread[i].bytes >> thread[i].low) * sizeof thread[i].kept[0];
		munmap(thread[i].kept, bytes);
		tables += bytes;
		live += thread[i].live;
	}
	bench_rest(bench_number(argv, "idle", 60), bench_number(argv, "beat", 0) != 0);
	long after = bench_rss();
	printf("rss_kib=%ld own_kib=%zu live_kib=%zu huge_kib=%ld rss_after_kib=%ld huge_after_kib=%ld\n",
	       after, fragmented_own() / 1024, live / 1024, fragmented_huge(), rss, huge);
	return tables != 0 && fflush(stdout) == 0 ? 0 : 1;
}
