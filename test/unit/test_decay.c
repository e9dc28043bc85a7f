/* The decay curve on made-up time, against a model in floating point. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "quiet_heap.h"
#include "harness.h"
#include "page/page.h"

#define MS    ((uint64_t)1000000)
#define STEPS 100000

static uint64_t seed;
static struct decay decay;

/* -- the model: growth by number of the step it was seen in, weighed afresh each time -- */

#define MODEL_SIZE 4096

static struct {
	double growth[MODEL_SIZE];
	uint64_t step, epoch, number;
	size_t unused;
	double total; /* growth of the last DECAY_STEPS steps, not weighed */
} model;

static void model_start(int64_t ms, uint64_t now) {
	memset(&model, 0, sizeof model);
	model.step = ms > 0 ? (uint64_t)ms * MS / DECAY_STEPS : 0;
	model.epoch = now;
}

static double model_weight(double age) {
	double x = 1 - (age + 1) / DECAY_STEPS;
	return x <= 0 ? 0 : x * x * x * (x * (6 * x - 15) + 10);
}

/* Enters the growth seen at `now` and returns what may stay. */
static double model_limit(uint64_t now, size_t unused) {
	uint64_t steps = (now - model.epoch) / model.step;
	model.epoch += steps * model.step;
	for (uint64_t i = 1; i <= steps && i <= MODEL_SIZE; i++)
		model.growth[(model.number + i) % MODEL_SIZE] = 0;
	model.number += steps;
	model.growth[model.number % MODEL_SIZE] = unused > model.unused ? (double)(unused - model.unused) : 0;
	model.unused = unused;
	double sum = 0;
	model.total = 0;
	for (unsigned age = 0; age < DECAY_STEPS; age++) {
		double growth = model.growth[(model.number + MODEL_SIZE - age) % MODEL_SIZE];
		sum += growth * model_weight(age);
		model.total += growth;
	}
	return sum;
}

/* Asks both; they agree on when, and up to rounding on how much. */
static size_t check_limit(uint64_t now, size_t unused) {
	size_t limit = decay_limit(&decay, now, unused);
	if (limit == SIZE_MAX) {
		assert_true(now < model.epoch + 2 * model.step);
		return limit;
	}
	assert_true(now >= model.epoch + model.step);
	double expected = model_limit(now, unused), got = (double)limit;
	/* the library's weights have 24 bits, rounded down */
	assert_true(got <= expected + 1e-9 * model.total + 1e-3);
	assert_true(got >= expected - 1e-7 * model.total - 1.001);
	return limit;
}

static void start(int64_t ms, uint64_t now) {
	decay_init(&decay, ms, now, random_next(&seed));
	model_start(ms, now);
}

static void test_random_history(void **state) {
	(void)state;
	for (int round = 0; round < 20; round++) {
		int64_t ms = 1 + (int64_t)random_below(&seed, round % 2 ? 20000 : 50);
		uint64_t now = random_below(&seed, 1000000 * MS);
		start(ms, now);
		size_t unused = 0;
		for (size_t i = 0; i < test_scaled(STEPS) / 20; i++) {
			now += random_below(&seed, 1 + model.step * (random_below(&seed, 50) == 0 ? 300 : 4));
			if (random_below(&seed, 2))
				unused += random_below(&seed, 5000);
			else
				unused -= random_below(&seed, unused + 1);
			size_t limit = check_limit(now, unused);
			if (limit < unused) {
				unused = limit + random_below(&seed, 3);
				decay_note_left(&decay, unused);
				model.unused = unused;
			}
		}
	}
}

/* One batch of pages freed at once and left alone: nearly all may stay at first, none after `ms`, and the limit
 * falls all the time. */
static void check_one_batch(int64_t ms, size_t pages) {
	uint64_t begin = 5 * MS, now = begin, step = (uint64_t)ms * MS / DECAY_STEPS;
	start(ms, now);
	size_t before = pages;
	bool first = true;
	do {
		now += step;
		size_t limit = check_limit(now, pages);
		if (limit == SIZE_MAX)
			continue;
		assert_true(limit <= before);
		if (first)
			assert_true(limit >= pages - pages / 1000);
		first = false;
		before = limit;
	} while (now < begin + (DECAY_STEPS + 4) * step);
	assert_int_equal(before, 0);
	assert_int_equal(check_limit(now + 2 * step, pages), 0);
}

static void test_one_batch(void **state) {
	(void)state;
	check_one_batch(10000, 100000);
	check_one_batch(1, 100000);
	check_one_batch(DECAY_MS_LIMIT / 2, 1000000);
	check_one_batch(10000, (size_t)1 << 50); /* sums need more than 64 bits */
}

/* Half of a batch may stay at half the time. */
static void test_half_time(void **state) {
	(void)state;
	start(10000, 0);
	assert_int_equal(decay_limit(&decay, 0, 0), SIZE_MAX);
	size_t limit = decay_limit(&decay, 100 * MS, 1000000);
	assert_in_range(limit, 999000, 1000000);
	limit = decay_limit(&decay, 100 * MS + 5000 * MS, 1000000);
	assert_in_range(limit, 480000, 520000);
}

static void test_never_and_at_once(void **state) {
	(void)state;
	start(DECAY_NEVER, 0);
	for (uint64_t now = 0; now < 1000000 * MS; now += 10000 * MS)
		assert_int_equal(decay_limit(&decay, now, 1 << 20), SIZE_MAX);
	start(0, 0);
	for (uint64_t now = 0; now < 1000000 * MS; now += 10000 * MS)
		assert_int_equal(decay_limit(&decay, now, 1 << 20), 0);
}

/* A new time: the backlog is forgotten, and all that is unused counts as new. */
static void test_set_at_run_time(void **state) {
	(void)state;
	start(10000, 0);
	(void)decay_limit(&decay, 100 * MS, 5000);
	decay_set(&decay, 1000, 9000 * MS);
	for (unsigned k = 0; k < DECAY_STEPS; k++)
		assert_int_equal(decay.backlog[k], 0);
	assert_int_equal(decay_limit(&decay, 9000 * MS, 5000), SIZE_MAX);
	assert_in_range(decay_limit(&decay, 9010 * MS, 5000), 4990, 5000);
	assert_int_equal(decay_limit(&decay, 10020 * MS, 5000), 0);
	decay_set(&decay, DECAY_NEVER, 10030 * MS);
	assert_int_equal(decay_limit(&decay, 99999 * MS, 5000), SIZE_MAX);
	decay_set(&decay, 0, 99999 * MS);
	assert_int_equal(decay_limit(&decay, 99999 * MS, 5000), 0);
	decay_set(&decay, 1000, 100000 * MS);
	assert_in_range(decay_limit(&decay, 100010 * MS, 5000), 4990, 5000);
}

static void test_clock(void **state) {
	(void)state;
	start(10000, 1000000 * MS);
	(void)decay_limit(&decay, 1000200 * MS, 5000);
	/* back: starts anew there, with all counted as new at the next step */
	assert_int_equal(decay_limit(&decay, 10 * MS, 5000), SIZE_MAX);
	assert_in_range(decay_limit(&decay, 110 * MS, 5000), 4990, 5000);
	/* far ahead, twice: nothing that was there before may stay */
	assert_int_equal(decay_limit(&decay, (uint64_t)1 << 62, 5000), 0);
	assert_int_equal(decay_limit(&decay, (uint64_t)3 << 61, 5000), 0);
	assert_in_range(decay_limit(&decay, ((uint64_t)3 << 61) + 100 * MS, 6000), 990, 1000);
}

/* The longest time that can be set; a step is 533 days, and nothing overflows. */
static void test_longest_time(void **state) {
	(void)state;
	start(DECAY_MS_LIMIT, 77);
	assert_true(decay.step > 0 && decay.deadline >= decay.epoch + decay.step);
	assert_int_equal(decay_limit(&decay, 1000000 * MS, 5000), SIZE_MAX);
	assert_in_range(decay_limit(&decay, 77 + 2 * decay.step, 5000), 4990, 5000);
	start(1, 0);
	assert_int_equal(decay.step, MS / DECAY_STEPS);
}

int main(void) {
	seed = test_seed();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_history),  cmocka_unit_test(test_one_batch),
		cmocka_unit_test(test_half_time),       cmocka_unit_test(test_never_and_at_once),
		cmocka_unit_test(test_set_at_run_time), cmocka_unit_test(test_clock),
		cmocka_unit_test(test_longest_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
