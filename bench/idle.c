/* idle.c - what a parked thread costs. The program runs itself twice: with threads that call no malloc, and
 * with threads that allocate and free a few blocks before they park. Both kinds write over the same part of
 * their stack first, so the difference of the two resident sets is the allocator's own cost.
 * Figure: KiB per thread. */
#include "bench.h"
#include <sys/wait.h>

enum { IDLE_STACK = 64 * 1024, IDLE_BLOCKS = 12 };

static pthread_barrier_t idle_gate;
static bool idle_allocates; /* [const after start] */

static void idle_stack(void) {
	volatile unsigned char stack[IDLE_STACK];
	for (size_t i = 0; i < sizeof stack; i += 512)
		stack[i] = 1;
}

static void idle_blocks(void) {
	static const uint32_t size[IDLE_BLOCKS] = {16, 24, 32, 48, 64, 100, 128, 200, 256, 512, 1000, 2000};
	unsigned char *block[IDLE_BLOCKS];
	for (int i = 0; i < IDLE_BLOCKS; i++) {
		block[i] = bench_alloc(size[i]);
		bench_mark(block[i], size[i], (unsigned)i);
	}
	for (int i = 0; i < IDLE_BLOCKS; i++) {
		bench_check(block[i], size[i], (unsigned)i);
		free(block[i]);
	}
}

static void *idle_body(void *arg) {
	(void)arg;
	idle_stack();
	if (idle_allocates)
		idle_blocks();
	pthread_barrier_wait(&idle_gate); /* all are parked */
	pthread_barrier_wait(&idle_gate); /* until the main thread has looked */
	return NULL;
}

static int idle_child(unsigned threads, long seconds) {
	pthread_attr_t attr;
	pthread_t *id = bench_map(threads * sizeof *id);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, (size_t)4 * IDLE_STACK);
	pthread_barrier_init(&idle_gate, NULL, threads + 1);
	long before = bench_rss();
	for (unsigned i = 0; i < threads; i++) {
		if (pthread_create(&id[i], &attr, idle_body, NULL) != 0)
			bench_fail("pthread_create");
	}
	pthread_barrier_wait(&idle_gate);
	bench_sleep(seconds);
	printf("%ld\n", bench_rss() - before);
	fflush(stdout);
	pthread_barrier_wait(&idle_gate);
	for (unsigned i = 0; i < threads; i++)
		pthread_join(id[i], NULL);
	return 0;
}

/* The resident set that the threads of a fresh process added, in KiB. */
static long idle_measure(const char *threads, const char *seconds, const char *mode) {
	int end[2];
	if (pipe(end) != 0)
		bench_fail("pipe");
	pid_t child = fork();
	if (child == 0) {
		dup2(end[1], 1);
		close(end[0]);
		close(end[1]);
		execl("/proc/self/exe", "idle", threads, seconds, mode, (char *)NULL);
		_exit(127);
	}
	close(end[1]);
	FILE *in = fdopen(end[0], "r");
	long kib = -1;
	int status = 0;
	if (child < 0 || in == NULL || fscanf(in, "%ld", &kib) != 1)
		bench_fail("the child said nothing");
	fclose(in);
	if (waitpid(child, &status, 0) != child || status != 0)
		bench_fail("the child failed");
	return kib;
}

int main(int argc, char **argv) {
	char mode_name[] = "mode=none";
	if (argc == 4 && bench_word(argv, "mode") != NULL) {
		idle_allocates = !bench_is(argv, "mode", "none");
		return idle_child((unsigned)bench_number(argv, "threads", 1000),
		                  bench_number(argv, "idle", 1));
	}
	bench_start(argv, "threads idle");
	char threads[32], seconds[32];
	long n = bench_number(argv, "threads", 1000);
	snprintf(threads, sizeof threads, "threads=%ld", n);
	snprintf(seconds, sizeof seconds, "idle=%ld", bench_number(argv, "idle", 1));
	long none = idle_measure(threads, seconds, mode_name);
	long blocks = idle_measure(threads, seconds, "mode=blocks");
	printf("kib_thread=%.3f without_kib=%ld with_kib=%ld threads=%ld\n",
	       (double)(blocks - none) / (double)n, none, blocks, n);
	return 0;
}
