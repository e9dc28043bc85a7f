/* larson.c - a server: each of `threads` chains owns an array of `slots` blocks. A thread replaces random
 * blocks `ops` times, then starts its successor, hands it the array and exits (bleeding), so that many blocks die in
 * another thread than the one that made them, and after that one has ended. Figure: millions of replacements per second of elapsed time. */
#include "bench.h"

struct larson_slot {
	unsigned char *block;
	uint32_t size;
};

struct larson_chain {
	struct larson_slot *slot;   /* [running thread of the chain] */
	struct bench_random random; /* [running thread of the chain] */
	long generations;           /* [running thread of the chain] left to start */
	long ops;                   /* [const after start] */
	uint32_t slots;             /* [const after start] */
	uint32_t min, max;          /* [const after start] */
};

static pthread_mutex_t larson_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t larson_done = PTHREAD_COND_INITIALIZER;
static unsigned larson_running; /* [larson_lock] chains that have not ended */

static void larson_put(struct larson_chain *chain, struct larson_slot *slot) {
	slot->size = chain->min + bench_random_below(&chain->random, chain->max - chain->min + 1);
	slot->block = bench_alloc(slot->size);
	bench_mark(slot->block, slot->size, slot->size);
}

static void larson_drop(struct larson_slot *slot) {
	bench_check(slot->block, slot->size, slot->size);
	free(slot->block);
}

static void *larson_thread(void *arg);

static void larson_start(struct larson_chain *chain) {
	pthread_attr_t attr;
	pthread_t id;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&id, &attr, larson_thread, chain) != 0)
		bench_fail("pthread_create");
	pthread_attr_destroy(&attr);
}

static void *larson_thread(void *arg) {
	struct larson_chain *chain = arg;
	for (long i = 0; i < chain->ops; i++) {
		struct larson_slot *at = &chain->slot[bench_random_below(&chain->random, chain->slots)];
		larson_drop(at);
		larson_put(chain, at);
	}
	if (--chain->generations > 0) {
		larson_start(chain);
		return NULL;
	}
	pthread_mutex_lock(&larson_lock);
	larson_running--;
	pthread_cond_signal(&larson_done);
	pthread_mutex_unlock(&larson_lock);
	return NULL;
}

static void larson_prepare(struct larson_chain *chain, uint64_t seed) {
	chain->random = bench_random_make(seed);
	chain->slot = bench_map(chain->slots * sizeof *chain->slot);
	for (uint32_t i = 0; i < chain->slots; i++)
		larson_put(chain, &chain->slot[i]);
}

static void larson_run(struct larson_chain *chain, unsigned threads) {
	larson_running = threads;
	for (unsigned t = 0; t < threads; t++)
		larson_start(&chain[t]);
	pthread_mutex_lock(&larson_lock);
	while (larson_running > 0)
		pthread_cond_wait(&larson_done, &larson_lock);
	pthread_mutex_unlock(&larson_lock);
}

int main(int argc, char **argv) {
	(void)argc;
	bench_start(argv, "threads slots generations ops min max");
	unsigned threads = (unsigned)bench_number(argv, "threads", 4);
	struct larson_chain model = {
		.generations = bench_number(argv, "generations", 50),
		.ops = bench_number(argv, "ops", 20000),
		.slots = (uint32_t)bench_number(argv, "slots", 1000),
		.min = (uint32_t)bench_number(argv, "min", 8),
		.max = (uint32_t)bench_number(argv, "max", 1000),
	};
	double total = (double)threads * (double)model.generations * (double)model.ops;
	struct larson_chain *chain = bench_map(threads * sizeof *chain);
	for (unsigned t = 0; t < threads; t++) {
		chain[t] = model;
		larson_prepare(&chain[t], t);
	}
	uint64_t start = bench_now();
	larson_run(chain, threads);
	double seconds = (double)(bench_now() - start) / 1e9;
	for (unsigned t = 0; t < threads; t++) {
		for (uint32_t i = 0; i < model.slots; i++)
			larson_drop(&chain[t].slot[i]);
	}
	printf("mops=%.3f threads=%u", total / seconds / 1e6, threads);
	return bench_end();
}
