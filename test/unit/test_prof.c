/* The profiler's arithmetic against the C library's, and its hash. */
// ctest-link: m
#include <math.h>
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

static void test_hash(void **state) {
	struct hash hash = {.buckets = NULL};
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
	EACH_NODE(&hash, node) {
		assert_true(node->key % 2 == 1);
		seen++;
	}
	assert_int_equal(even + seen, NODES / 2);
	assert_int_equal(hash.count, seen);
	assert_true(even > NODES / 10 && seen > NODES / 10);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ln),
		cmocka_unit_test(test_exp),
		cmocka_unit_test(test_hash),
	};
	os_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
