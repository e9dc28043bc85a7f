/* The profiler's arithmetic against the C library's, and its hash. */
// ctest-link: m
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "os/os.h"
#include "prof/inside.h"

static bool near(double value, double truth) {
	return fabs(value - truth) <= 1e-8 * fabs(truth) + 1e-300;
}

static void test_ln(void **state) {
	(void)state;
	for (double x = 0x1p-60; x < 0x1p60; x *= 1.37)
		assert_true(near(arith_ln(x), log(x)));
	assert_true(fabs(arith_ln(1)) < 1e-12);
	assert_true(fabs(arith_ln(1 - 0x1p-12) - log1p(-0x1p-12)) < 1e-10);
}

static void test_exp(void **state) {
	(void)state;
	for (double x = 0x1p-60; x < 600; x *= 1.37) {
		assert_true(near(arith_exp_minus(x), exp(-x)));
		assert_true(near(arith_part(x), -expm1(-x)));
	}
	assert_true(arith_exp_minus(0) == 1 && arith_exp_minus(1e6) == 0);
	assert_true(arith_part(1e6) == 1);
}

enum { NODES = 100000 };
static struct node nodes[NODES];

static bool is_even(struct node *node, void *opaque) {
	(void)opaque;
	return node->key % 2 == 0;
}

struct taken {
	const struct hash *hash;
	size_t count;
};

static bool is_there(const struct hash *hash, const struct node *wanted) {
	const struct node *node = *hash_chain(hash, wanted->key);
	while (node != NULL && node != wanted)
		node = node->next;
	return node != NULL;
}

static void take_even(struct node *node, void *opaque) {
	struct taken *taken = opaque;
	assert_true(node->key % 2 == 0 && !is_there(taken->hash, node));
	taken->count++;
}

static bool is_odd(struct node *node, void *opaque) {
	size_t *seen = opaque;
	assert_true(node->key % 2 == 1);
	++*seen;
	return true;
}

static void test_hash(void **state) {
	struct hash hash = {.buckets = 0};
	(void)state;
	assert_null(hash_chain(&hash, 1));
	for (uint64_t i = 0; i < NODES; i++) {
		nodes[i].key = i / 3;
		assert_true(hash_enter(&hash, &nodes[i]));
	}
	assert_int_equal(hash.count, NODES);
	for (size_t i = 0; i < NODES; i += 2)
		hash_remove(&hash, &nodes[i]);
	for (size_t i = 0; i < NODES; i++)
		assert_int_equal(is_there(&hash, &nodes[i]), i % 2);
	struct taken taken = {&hash, 0};
	hash_sift(&hash, is_even, take_even, &taken);
	size_t even = taken.count, seen = 0;
	static struct lock lock = LOCK_INITIALIZER(RANK_STACKS);
	assert_true(hash_visit(&hash, &lock, is_odd, &seen));
	assert_int_equal(even + seen, NODES / 2);
	assert_int_equal(hash.count, seen);
	assert_true(even > NODES / 10 && seen > NODES / 10);
}

static void enter_nodes(struct hash *hash, size_t first, size_t end) {
	for (size_t i = first; i < end; i++) {
		nodes[i].key = i;
		assert_true(hash_enter(hash, &nodes[i]));
	}
}

static void test_chains_stay_short(void **state) {
	static struct hash hash;
	size_t most = 0;
	(void)state;
	enter_nodes(&hash, 0, NODES);
	for (size_t i = 0; i < NODES; i++) {
		size_t length = 0;
		for (const struct node *node = *hash_chain(&hash, i); node != NULL; node = node->next)
			length++;
		most = length > most ? length : most;
		assert_true(is_there(&hash, &nodes[i]));
	}
	assert_true(most <= 12);
}

/* Another thread changes the table while it is visited. */
struct visit {
	struct hash hash;
	struct lock lock;
	_Atomic(bool) done;
	_Atomic(size_t) seen;
	size_t seen_old, changes; /* nodes that stay; changes while they were visited */
};

static void *change(void *argument) {
	struct visit *visit = argument;
	for (size_t i = NODES / 2; !load_acquire(&visit->done); i = i + 1 < NODES ? i + 1 : NODES / 2) {
		lock_take(&visit->lock);
		if (is_there(&visit->hash, &nodes[i]))
			hash_remove(&visit->hash, &nodes[i]);
		else
			enter_nodes(&visit->hash, i, i + 1);
		visit->changes += load_relaxed(&visit->seen) != 0;
		lock_drop(&visit->lock);
	}
	return NULL;
}

static bool note_visit(struct node *node, void *opaque) {
	struct visit *visit = opaque;
	visit->seen_old += node->key < NODES / 2;
	add_relaxed(&visit->seen, 1);
	return true;
}

static void test_visit_lets_others_in(void **state) {
	static struct visit visit = {.lock = LOCK_INITIALIZER(RANK_STACKS)};
	pthread_t thread;
	(void)state;
	enter_nodes(&visit.hash, 0, NODES / 2);
	for (size_t i = NODES / 2; i < NODES; i++)
		nodes[i].key = i;
	assert_int_equal(pthread_create(&thread, NULL, change, &visit), 0);
	for (int i = 0; i < 20; i++) {
		visit.seen_old = 0;
		store_relaxed(&visit.seen, 0);
		assert_true(hash_visit(&visit.hash, &visit.lock, note_visit, &visit));
		assert_int_equal(visit.seen_old, NODES / 2);
	}
	store_release(&visit.done, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(visit.changes >= 20);
	for (size_t i = 0; i < NODES / 2; i++)
		assert_true(is_there(&visit.hash, &nodes[i]));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ln),
		cmocka_unit_test(test_exp),
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_chains_stay_short),
		cmocka_unit_test(test_visit_lets_others_in),
	};
	os_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
