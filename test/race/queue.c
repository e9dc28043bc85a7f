/*
 * Producers allocate, consumers verify and free, through one bounded queue per pair; then everybody sends
 * to everybody.  Memory that only ever goes one way must come round again.
 */
// ctest-timeout: 300
// ctest-also: MALLOC_CONF=percpu_cache:true
#define _GNU_SOURCE
#include "../harness.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { PAIRS = 4, DEPTH = 256, MESSAGES = 400000 };

struct message {
	size_t size; /* of the whole block */
	uint64_t tag;
};

/* One writer, one reader. */
struct queue {
	_Alignas(64) atomic_size_t head; /* [reader writes] */
	_Alignas(64) atomic_size_t tail; /* [writer writes] */
	struct message *ring[DEPTH];
};

static struct queue queues[PAIRS][PAIRS];
static pthread_barrier_t barrier;
static size_t messages;
static uint64_t seed;

static bool push(struct queue *queue, struct message *message) {
	size_t tail = atomic_load_explicit(&queue->tail, memory_order_relaxed);
	if (tail - atomic_load_explicit(&queue->head, memory_order_acquire) == DEPTH)
		return false;
	queue->ring[tail % DEPTH] = message;
	atomic_store_explicit(&queue->tail, tail + 1, memory_order_release);
	return true;
}

static struct message *pop(struct queue *queue) {
	size_t head = atomic_load_explicit(&queue->head, memory_order_relaxed);
	if (head == atomic_load_explicit(&queue->tail, memory_order_acquire))
		return NULL;
	struct message *message = queue->ring[head % DEPTH];
	atomic_store_explicit(&queue->head, head + 1, memory_order_release);
	return message;
}

static struct message *make(uint64_t *random) {
	size_t kind = test_below(random, 100);
	size_t size = sizeof(struct message) + test_below(random, kind < 90   ? 500
	                                                          : kind < 99 ? 9000
	                                                                      : 120000);
	struct message *message = malloc(size);
	CHECK(message != NULL && malloc_usable_size(message) >= size);
	message->size = size;
	message->tag = test_random(random);
	test_fill(message + 1, size - sizeof *message, message->tag);
	return message;
}

static void swallow(struct message *message) {
	CHECK(test_holds(message + 1, message->size - sizeof *message, message->size, message->tag));
	free(message);
}

static void *producer(void *argument) {
	size_t self = (size_t)(uintptr_t)argument;
	uint64_t random = seed + self;
	for (size_t i = 0; i < messages; i++) {
		struct message *message = make(&random);
		while (!push(&queues[self][self], message))
			sched_yield();
	}
	return NULL;
}

static void *consumer(void *argument) {
	size_t self = (size_t)(uintptr_t)argument;
	for (size_t i = 0; i < messages; i++) {
		struct message *message;
		while ((message = pop(&queues[self][self])) == NULL)
			sched_yield();
		swallow(message);
	}
	return NULL;
}

static void drain_all(size_t self) {
	struct message *message;
	for (size_t from = 0; from < PAIRS; from++)
		while ((message = pop(&queues[from][self])) != NULL)
			swallow(message);
}

/* Each thread sends to all, itself included, and frees whatever arrives. */
static void *peer(void *argument) {
	size_t self = (size_t)(uintptr_t)argument;
	uint64_t random = seed ^ (self << 20);
	for (size_t i = 0; i < messages; i++) {
		struct message *message = make(&random);
		if (!push(&queues[self][test_below(&random, PAIRS)], message))
			swallow(message);
		if (i % 64 == 0)
			drain_all(self);
	}
	pthread_barrier_wait(&barrier);
	drain_all(self);
	return NULL;
}

int main(void) {
	seed = test_seed();
	messages = test_scaled(MESSAGES) / PAIRS + 1;
	pthread_t threads[2 * PAIRS];
	size_t first = 0;
	for (int round = 0; round < 4; round++) {
		for (size_t i = 0; i < PAIRS; i++) {
			CHECK(pthread_create(&threads[2 * i], NULL, producer, (void *)(uintptr_t)i) == 0);
			CHECK(pthread_create(&threads[2 * i + 1], NULL, consumer, (void *)(uintptr_t)i) == 0);
		}
		for (size_t i = 0; i < 2 * PAIRS; i++)
			CHECK(pthread_join(threads[i], NULL) == 0);
		size_t now = test_status_kib("VmRSS");
		if (round == 0)
			first = now;
		CHECK(TEST_TSAN || now < first * 2 + 65536);
	}
	CHECK(pthread_barrier_init(&barrier, NULL, PAIRS) == 0);
	for (size_t i = 0; i < PAIRS; i++)
		CHECK(pthread_create(&threads[i], NULL, peer, (void *)(uintptr_t)i) == 0);
	for (size_t i = 0; i < PAIRS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	return 0;
}
