/* The list against an array that holds the same order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "harness.h"
#include "util/util.h"

#define NODES 64u
#define STEPS 50000

struct item {
	unsigned number;
	struct list link;
};

static uint64_t seed;
static struct list head;
static struct item items[NODES];
static unsigned order[NODES], length; /* the model: numbers from first to last */
static bool in[NODES];

static struct item *item_of(struct list *node) {
	return container_of(node, struct item, link);
}

static void reset(void) {
	list_init(&head);
	length = 0;
	memset(in, 0, sizeof in);
	for (unsigned i = 0; i < NODES; i++)
		items[i].number = i;
}

static void model_insert(unsigned place, unsigned number) {
	memmove(order + place + 1, order + place, (length - place) * sizeof order[0]);
	order[place] = number;
	length++;
	in[number] = true;
}

static void model_remove(unsigned place) {
	in[order[place]] = false;
	length--;
	memmove(order + place, order + place + 1, (length - place) * sizeof order[0]);
}

static void insert(unsigned number) {
	unsigned place;
	switch (random_below(&seed, 3)) {
	case 0:
		list_push(&head, &items[number].link);
		model_insert(0, number);
		break;
	case 1:
		list_append(&head, &items[number].link);
		model_insert(length, number);
		break;
	default:
		if (length == 0)
			return;
		place = (unsigned)random_below(&seed, length);
		list_insert_after(&items[order[place]].link, &items[number].link);
		model_insert(place + 1, number);
	}
}

static void check_same(void) {
	unsigned at = 0;
	list_each (&head, node) {
		assert_true(at < length);
		assert_int_equal(item_of(node)->number, order[at]);
		assert_ptr_equal(node->next->prev, node);
		at++;
	}
	assert_int_equal(at, length);
	assert_int_equal(list_empty(&head), length == 0);
	struct list *first = list_first(&head);
	assert_ptr_equal(first, length == 0 ? NULL : &items[order[0]].link);
}

/* Removes each item with some chance while walking. */
static void sweep(void) {
	unsigned at = 0;
	list_each_safe (&head, node) {
		assert_int_equal(item_of(node)->number, order[at]);
		if (random_below(&seed, 4) != 0) {
			at++;
			continue;
		}
		list_remove(node);
		assert_true(list_empty(node));
		model_remove(at);
	}
	assert_int_equal(at, length);
}

static void test_random_steps(void **state) {
	(void)state;
	reset();
	for (size_t i = 0; i < test_scaled(STEPS); i++) {
		unsigned number = (unsigned)random_below(&seed, NODES);
		if (!in[number]) {
			insert(number);
		} else {
			unsigned place = 0;
			while (order[place] != number)
				place++;
			list_remove(&items[number].link);
			model_remove(place);
		}
		if (random_below(&seed, 100) == 0)
			sweep();
		check_same();
	}
}

static void test_empty(void **state) {
	(void)state;
	reset();
	check_same();
	sweep();
	list_push(&head, &items[0].link);
	assert_false(list_empty(&head));
	list_remove(&items[0].link);
	list_remove(&items[0].link); /* a removed node is a list of its own; removing it again does nothing */
	check_same();
}

int main(void) {
	seed = test_seed();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_random_steps),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
