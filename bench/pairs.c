/* pairs.c - the price of a malloc/free pair of one size: one at a time, and in batches of 64 freed in the
 * order they were allocated. mode=classes is the batches at 4 sizes per doubling from 16 B to 32 KiB, whatever the
 * library's own classes are: `mean_ns` over them (geometric), and the slowest. Each figure is the best of `reps` repetitions: the cost with nothing in the way. */
#include "bench.h"

#include <math.h>

enum { BATCH = 64 };

static double pairs_single(size_t size, long count) {
	unsigned char *volatile p;
	uint64_t start = bench_now();
	for (long i = 0; i < count; i++) {
		p = malloc(size);
		p[0] = 1;
		free(p);
	}
	return (double)(bench_now() - start) / (double)count;
}

static double pairs_batch(size_t size, long count) {
	unsigned char *volatile p[BATCH];
	long batches = count / BATCH;
	uint64_t start = bench_now();
	for (long i = 0; i < batches; i++) {
		for (int j = 0; j < BATCH; j++) {
			p[j] = malloc(size);
			p[j][0] = 1;
		}
		for (int j = 0; j < BATCH; j++)
			free(p[j]);
	}
	return (double)(bench_now() - start) / (double)(batches * BATCH);
}

/* Batches of every size, of as many blocks as `count` says at 16 bytes and fewer the larger they are. */
static void pairs_classes(long count, long reps) {
	double sum = 0, worst = 0;
	size_t worst_size = 0, classes = 0;
	for (size_t base = 16; base <= 32768; base *= 2) {
		for (size_t size = base; size < 2 * base && size <= 32768; size += base / 4) {
			long n = count * 16 / (long)(size + 16);
			double best = 1e18;
			for (long i = 0; i < reps; i++) {
				double ns = pairs_batch(size, n < 16 * BATCH ? 16 * BATCH : n);
				best = ns < best ? ns : best;
			}
			sum += log(best);
			classes++;
			worst_size = best > worst ? size : worst_size;
			worst = best > worst ? best : worst;
		}
	}
	printf("mean_ns=%.3f worst_ns=%.3f worst_size=%zu classes=%zu", exp(sum / (double)classes), worst,
	       worst_size, classes);
}

int main(int argc, char **argv) {
	(void)argc;
	bench_start(argv, "size count reps mode");
	size_t size = (size_t)bench_number(argv, "size", 64);
	long count = bench_number(argv, "count", size >= 8192 ? 200000 : 4000000);
	long reps = bench_number(argv, "reps", 9);
	bool do_single = !bench_is(argv, "mode", "batch");
	bool do_batch = !bench_is(argv, "mode", "single");
	if (count < BATCH || size == 0)
		bench_fail("count must be at least 64 and size at least 1");
	if (bench_is(argv, "mode", "classes")) {
		pairs_classes(count, reps);
		return bench_end();
	}
	double single = 1e18;
	double batch = 1e18;
	for (long i = 0; i < reps; i++) {
		double s = do_single ? pairs_single(size, count) : 0;
		double b = do_batch ? pairs_batch(size, count) : 0;
		single = s < single ? s : single;
		batch = b < batch ? b : batch;
	}
	if (do_single)
		printf("single_ns=%.3f ", single);
	if (do_batch)
		printf("batch_ns=%.3f ", batch);
	printf("size=%zu", size);
	return bench_end();
}
