/* vectors.c - `count` vectors that grow by half from 16 bytes to 64 KiB, a random one at a time, by realloc; what is new
 * is written, what was there is looked at. One that is full is freed and begins again. Figure: ns per growth. */
#include "bench.h"

enum { LEAST = 16, MOST = 65536 };

struct vectors_one {
	unsigned char *at;
	size_t size;
};

static void vectors_grow(struct vectors_one *vector, unsigned tag) {
	size_t size = (vector->size + vector->size / 2 + 15) & ~(size_t)15;
	if (vector->at != NULL)
		bench_check(vector->at, vector->size, tag);
	if (size > MOST) {
		free(vector->at);
		*vector = (struct vectors_one){NULL, 0};
	}
	if (vector->at == NULL)
		size = LEAST;
	unsigned char *at = realloc(vector->at, size);
	if (at == NULL)
		bench_fail("realloc returned NULL");
	memset(at + vector->size, (int)tag, size - vector->size);
	*vector = (struct vectors_one){at, size};
}

int main(int argc, char **argv) {
	(void)argc;
	bench_start(argv, "count ops");
	uint32_t count = (uint32_t)bench_number(argv, "count", 500);
	long ops = bench_number(argv, "ops", 1000000);
	struct bench_random random = bench_random_make(11);
	struct vectors_one *vector = bench_map(count * sizeof *vector);
	uint64_t start = bench_now();
	for (long i = 0; i < ops; i++) {
		uint32_t at = bench_random_below(&random, count);
		vectors_grow(&vector[at], at);
	}
	double ns = (double)(bench_now() - start) / (double)ops;
	for (uint32_t i = 0; i < count; i++)
		free(vector[i].at);
	printf("ns=%.3f count=%u", ns, count);
	return bench_end();
}
