/* The generator, and the rounding and logarithms of bits.h against plain loops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "harness.h"
#include "util/util.h"

#define STEPS 20000

static uint64_t seed;

/* The published first values for state 1234567. */
static void test_known_values(void **state) {
	(void)state;
	uint64_t known = 1234567;
	assert_true(random_next(&known) == 6457827717110365317u);
	assert_true(random_next(&known) == 3203168211198807973u);
	assert_true(random_next(&known) == 9817491932198370423u);
}

static void test_bounds(void **state) {
	(void)state;
	for (size_t i = 0; i < test_scaled(STEPS); i++) {
		uint64_t bound = (random_next(&seed) >> random_below(&seed, 64)) | 1;
		assert_true(random_below(&seed, bound) < bound);
		assert_true(random_below(&seed, 1) == 0);
	}
	assert_true(random_below(&seed, UINT64_MAX) < UINT64_MAX);
}

/* Each of 16 values comes up about as often: the bounds are over ten standard deviations away. */
static void test_even(void **state) {
	(void)state;
	unsigned counts[16] = {0};
	for (unsigned i = 0; i < 160000; i++)
		counts[random_below(&seed, 16)]++;
	for (unsigned i = 0; i < 16; i++)
		assert_in_range(counts[i], 9000, 11000);
}

static unsigned slow_log2_ceil(uint64_t value) {
	unsigned n = 0;
	while (n < 64 && (uint64_t)1 << n < value)
		n++;
	return n;
}

static void test_bits(void **state) {
	(void)state;
	for (size_t i = 0; i < test_scaled(STEPS); i++) {
		uint64_t value = (random_next(&seed) >> random_below(&seed, 64)) | 1;
		uint64_t shifted = value << random_below(&seed, 64);
		size_t power = (size_t)1 << random_below(&seed, 32);
		uintptr_t address = (uintptr_t)(value >> 1);
		assert_int_equal(log2_ceil(value), slow_log2_ceil(value));
		assert_true(value >> bit_highest(value) == 1);
		assert_true(round_down(address, power) % power == 0 &&
		            address - round_down(address, power) < power);
		assert_true(round_up(address, power) % power == 0 &&
		            round_up(address, power) - address < power);
		unsigned ones = 0;
		for (unsigned bit = 0; bit < 64; bit++)
			ones += (unsigned)(value >> bit) & 1;
		assert_int_equal(bit_count(value), ones);
		assert_int_equal(is_power_of_two(value), ones == 1);
		if (shifted != 0)
			assert_true((shifted >> bit_lowest(shifted)) & 1 &&
			            shifted % ((uint64_t)1 << bit_lowest(shifted)) == 0);
	}
	assert_false(is_power_of_two(0));
	assert_true(round_up(UINTPTR_MAX, 4096) == 0);
	assert_int_equal(log2_ceil(1), 0);
	assert_int_equal(log2_ceil(UINT64_MAX), 64);
}

int main(void) {
	seed = test_seed();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_values),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_even),
		cmocka_unit_test(test_bits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
