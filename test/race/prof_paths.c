/*
 * A thread that is sampled again and again with few stacks finds their sites by the words on its stack. Of blocks taken in
 * turns from three places, some freed by this thread and some by another, each place has as many live ones as it ought to:
 * before and after what is known is forgotten, and when the thread has ended. With prof_accum, as many were taken there since
 * then, too.
 */
// ctest-also: MALLOC_CONF=prof_accum:true
#define _GNU_SOURCE
#include "../harness.h"

#include <pthread.h>
#include <signal.h>

int SUT(mallctl)(const char *name, void *old, size_t *old_size, void *new, size_t new_size);

const char *SUT(malloc_conf) = "prof_dump_signal:12";

enum { PLACES = 3, MOST = 4000, SIZE = 64, TEXT = 1 << 20 };

static void *blocks[PLACES][MOST];
static size_t taken[PLACES];
static char text[TEXT];
static size_t text_size;
static pthread_barrier_t turn;

/* Of frames of one size, so that all three stand on the same part of the stack. */
static __attribute__((noinline)) void *take_first(void) {
	void *block = malloc(SIZE);
	CHECK(block != NULL);
	return block;
}

static __attribute__((noinline)) void *take_deeper(unsigned depth) {
	void *block = depth == 0 ? take_first() : take_deeper(depth - 1);
	CHECK(block != NULL);
	return block;
}

static __attribute__((noinline)) void take(unsigned place) {
	void **to = &blocks[place][taken[place]++];
	if (place == 0) {
		*to = take_first();
		__asm__ volatile("# the compiler shall not make one call of the two");
	} else if (place == 1) {
		*to = take_first();
		__asm__ volatile("# another");
	} else {
		*to = take_deeper(3);
	}
	CHECK(*to != NULL);
}

static void take_many(const size_t *most) {
	for (size_t i = 0; i < MOST; i++)
		for (unsigned place = 0; place < PLACES; place++)
			if (taken[place] < most[place])
				take(place);
}

static void give(unsigned place, size_t first, size_t step) {
	for (size_t i = first; i < taken[place]; i += step) {
		free(blocks[place][i]);
		blocks[place][i] = NULL;
	}
}

static void keep_text(void *opaque, const void *data, size_t size) {
	(void)opaque;
	CHECK(text_size + size < TEXT);
	memcpy(text + text_size, data, size);
	text_size += size;
	text[text_size] = 0;
}

/* How many stacks of the dump have so many live blocks, of so many taken, which 0 does not ask for? */
static unsigned count_stacks(size_t live, size_t all) {
	struct {
		void (*write)(void *, const void *, size_t);
		void *opaque;
	} receiver = {keep_text, NULL};
	unsigned found = 0;
	bool accum;
	size_t size = sizeof accum;
	char line[128];
	text_size = 0;
	CHECK(SUT(mallctl)("opt.prof_accum", &accum, &size, NULL, 0) == 0);
	CHECK(SUT(mallctl)("prof.dump_call", NULL, NULL, &receiver, sizeof receiver) == 0);
	int used = snprintf(line, sizeof line, "\n  t*: %zu: %zu [", live, live * SIZE);
	if (all != 0 && accum)
		snprintf(line + used, sizeof line - (size_t)used, "%zu: %zu]\n", all, all * SIZE);
	for (const char *stack = strstr(text, "\n@"); stack != NULL; stack = strstr(stack + 2, "\n@")) {
		const char *counts = strstr(stack, "\n  t*:");
		found += counts != NULL && strncmp(counts, line, strlen(line)) == 0;
	}
	return found;
}

static void wait_twice(void) {
	(void)pthread_barrier_wait(&turn);
	(void)pthread_barrier_wait(&turn);
}

static void *worker(void *argument) {
	static const size_t most[][PLACES] = {{3000, 1600, 700}, {900, 500, 200}};
	volatile unsigned rounds = 2; /* of one call, and so the same stacks */
	(void)argument;
	for (unsigned round = 0;;) {
		memset(taken, 0, sizeof taken);
		take_many(most[round]);
		wait_twice();
		if (++round == rounds)
			return NULL;
		for (unsigned place = 0; place < PLACES; place++)
			give(place, 1, 4); /* the other half is freed by the other thread */
		wait_twice();
	}
}

/* Where the library is a part of the program for a sanitizer, its frames are not told from the program's. */
static void check_live(const size_t *all, size_t part) {
#ifdef ASHLAR_PREFIXED
	size_t sum = all[0] + all[1] + all[2];
	if (count_stacks(sum / part, sum) == 1)
		return;
#endif
	for (unsigned place = 0; place < PLACES; place++)
		CHECK(count_stacks(all[place] / part, all[place]) == 1);
}

int main(void) {
	bool on = true;
	size_t rate = 0;
	pthread_t thread;
	struct sigaction handler;
	CHECK(sigaction(12, NULL, &handler) == 0 && (handler.sa_flags & SA_ONSTACK) != 0);
	CHECK(pthread_barrier_init(&turn, NULL, 2) == 0);
	CHECK(SUT(mallctl)("prof.reset", NULL, NULL, &rate, sizeof rate) == 0);
	CHECK(SUT(mallctl)("prof.active", NULL, NULL, &on, sizeof on) == 0);
	CHECK(pthread_create(&thread, NULL, worker, NULL) == 0);
	(void)pthread_barrier_wait(&turn);
	check_live((const size_t[]){3000, 1600, 700}, 1);
	for (unsigned place = 0; place < PLACES; place++)
		give(place, 0, 2);
	(void)pthread_barrier_wait(&turn);
	(void)pthread_barrier_wait(&turn);
	check_live((const size_t[]){3000, 1600, 700}, 4);
	CHECK(SUT(mallctl)("prof.reset", NULL, NULL, &rate, sizeof rate) == 0);
	CHECK(count_stacks(750, 0) + count_stacks(400, 0) + count_stacks(175, 0) == 0);
	(void)pthread_barrier_wait(&turn);
	(void)pthread_barrier_wait(&turn);
	check_live((const size_t[]){900, 500, 200}, 1);
	(void)pthread_barrier_wait(&turn);
	CHECK(pthread_join(thread, NULL) == 0);
	check_live((const size_t[]){900, 500, 200}, 1);
	for (unsigned place = 0; place < PLACES; place++)
		give(place, 0, 1);
	CHECK(count_stacks(900, 0) + count_stacks(500, 0) + count_stacks(200, 0) == 0);
	return 0;
}
