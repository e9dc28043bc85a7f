/*
 * Ten threads do anything to any block for several phases: malloc, calloc, realloc, aligned, free, from 0
 * bytes to 8 MiB.  A block lives in a slot of a shared registry, and whoever draws the slot frees or
 * resizes it, so most frees come from another thread.  Contents, usable size and alignment are verified at
 * every touch; after each phase all live blocks are sorted by address and must not overlap.
 */
// ctest-timeout: 300
// ctest-also: MALLOC_CONF=percpu_cache:true
#define _GNU_SOURCE
#include "../harness.h"

#include <pthread.h>
#include <stdatomic.h>

enum { THREADS = 10, SLOTS = 3000, PHASES = 6, STEPS = 40000, LARGEST = 8 << 20 };

struct slot {
	atomic_flag busy;
	void *ptr;        /* [busy] */
	size_t size;      /* [busy] what was asked for */
	size_t usable;    /* [busy] */
	size_t alignment; /* [busy] */
	uint64_t tag;     /* [busy] */
};

static struct slot slots[SLOTS];
static struct slot *sorted[SLOTS];
static pthread_barrier_t barrier;
static uint64_t seed;
static size_t steps;

static size_t draw_size(uint64_t *random) {
	size_t kind = test_below(random, 1000);
	if (kind < 20)
		return 0;
	if (kind < 600)
		return test_below(random, 257);
	if (kind < 900)
		return test_below(random, 4097);
	if (kind < 970)
		return test_below(random, 65537);
	if (kind < 997)
		return test_below(random, 600000);
	return test_below(random, LARGEST + 1);
}

static void verify(const struct slot *slot) {
	CHECK(test_aligned(slot->ptr, slot->alignment));
	CHECK(malloc_usable_size(slot->ptr) == slot->usable);
	CHECK(test_holds(slot->ptr, slot->usable, slot->usable, slot->tag));
}

static void settle(struct slot *slot, void *ptr, size_t size, size_t alignment, uint64_t tag) {
	CHECK(ptr != NULL);
	slot->ptr = ptr;
	slot->size = size;
	slot->alignment = alignment;
	slot->tag = tag;
	slot->usable = malloc_usable_size(ptr);
	CHECK(slot->usable >= size && slot->usable >= 8);
	CHECK(test_aligned(ptr, alignment));
	test_fill(ptr, slot->usable, tag);
}

static void expect_zero(const unsigned char *bytes, size_t size) {
	for (size_t i = 0; i < size; i += i < 4096 ? 1 : 509)
		CHECK(bytes[i] == 0);
}

static void take(struct slot *slot, uint64_t *random) {
	size_t size = draw_size(random), natural = size >= 16 ? 16 : 8;
	uint64_t tag = test_random(random);
	void *ptr = NULL;
	switch (test_below(random, 8)) {
	case 0:
		ptr = calloc(1, size);
		CHECK(ptr != NULL);
		expect_zero(ptr, size);
		break;
	case 1:
		natural = (size_t)8 << test_below(random, 14);
		CHECK(posix_memalign(&ptr, natural, size) == 0);
		break;
	case 2:
		natural = (size_t)1 << test_below(random, 13);
		ptr = aligned_alloc(natural, size);
		break;
	case 3:
		ptr = realloc(NULL, size);
		break;
	default:
		ptr = malloc(size);
	}
	settle(slot, ptr, size, natural, tag);
}

static void change(struct slot *slot, uint64_t *random) {
	size_t old = slot->usable, size = draw_size(random);
	if (size == 0)
		size = 1;
	void *ptr = realloc(slot->ptr, size);
	CHECK(ptr != NULL);
	CHECK(test_holds(ptr, old, old < size ? old : size, slot->tag));
	settle(slot, ptr, size, size >= 16 ? 16 : 8, test_random(random));
}

static void drop(struct slot *slot) {
	free(slot->ptr);
	slot->ptr = NULL;
}

static void step(uint64_t *random, size_t self) {
	/* Half of the draws stay in a range of their own, so that threads also free what they took. */
	size_t share = SLOTS / THREADS;
	size_t at = test_below(random, 2) == 0 ? test_below(random, SLOTS)
	                                       : self * share + test_below(random, share);
	struct slot *slot = &slots[at];
	if (atomic_flag_test_and_set_explicit(&slot->busy, memory_order_acquire))
		return;
	if (slot->ptr == NULL) {
		take(slot, random);
	} else {
		verify(slot);
		if (test_below(random, 4) == 0)
			change(slot, random);
		else
			drop(slot);
	}
	atomic_flag_clear_explicit(&slot->busy, memory_order_release);
}

static void sift(size_t root, size_t count) {
	while (2 * root + 1 < count) {
		size_t child = 2 * root + 1;
		if (child + 1 < count && sorted[child + 1]->ptr > sorted[child]->ptr)
			child++;
		if (sorted[root]->ptr >= sorted[child]->ptr)
			return;
		struct slot *swap = sorted[root];
		sorted[root] = sorted[child];
		sorted[child] = swap;
		root = child;
	}
}

/* Heap sort in static memory: the C library's qsort would allocate from what is being checked. */
static void sort_by_address(size_t count) {
	for (size_t i = count / 2; i-- > 0;)
		sift(i, count);
	for (size_t i = count; i-- > 1;) {
		struct slot *swap = sorted[0];
		sorted[0] = sorted[i];
		sorted[i] = swap;
		sift(0, i);
	}
}

static void no_two_overlap(void) {
	size_t count = 0;
	for (size_t i = 0; i < SLOTS; i++)
		if (slots[i].ptr != NULL)
			sorted[count++] = &slots[i];
	CHECK(count > SLOTS / 10);
	sort_by_address(count);
	for (size_t i = 0; i < count; i++) {
		verify(sorted[i]);
		if (i > 0)
			CHECK((uintptr_t)sorted[i - 1]->ptr + sorted[i - 1]->usable <=
			      (uintptr_t)sorted[i]->ptr);
	}
}

static void *worker(void *argument) {
	size_t self = (size_t)(uintptr_t)argument;
	uint64_t random = seed + self * 0x1234567;
	for (int phase = 0; phase < PHASES; phase++) {
		for (size_t i = 0; i < steps; i++)
			step(&random, self);
		pthread_barrier_wait(&barrier);
		if (self == 0)
			no_two_overlap();
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

int main(void) {
	seed = test_seed();
	steps = test_scaled(STEPS);
	for (size_t i = 0; i < SLOTS; i++)
		atomic_flag_clear(&slots[i].busy);
	CHECK(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
	pthread_t threads[THREADS];
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, worker, (void *)(uintptr_t)i) == 0);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	for (size_t i = 0; i < SLOTS; i++)
		if (slots[i].ptr != NULL) {
			verify(&slots[i]);
			drop(&slots[i]);
		}
	return 0;
}
