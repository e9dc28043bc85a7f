/* arith.c - logarithm and exponential from series. */
#include <string.h>
#include "prof/inside.h"

#define LN2 0.693147180559945309417

static uint64_t bits_of(double x) {
	uint64_t bits;
	memcpy(&bits, &x, sizeof bits);
	return bits;
}

static double of_bits(uint64_t bits) {
	double x;
	memcpy(&x, &bits, sizeof x);
	return x;
}

/* x = m * 2^e with m in [1, 2); ln m = 2 artanh(t) with t = (m - 1) / (m + 1) <= 1/3. */
double arith_ln(double x) {
	uint64_t bits = bits_of(x);
	int exponent = (int)(bits >> 52) - 1023;
	double m = of_bits((bits & (((uint64_t)1 << 52) - 1)) | (uint64_t)1023 << 52);
	double t = (m - 1) / (m + 1), square = t * t, power = t, sum = 0;
	for (int n = 1; n < 20; n += 2) {
		sum += power / n;
		power *= square;
	}
	return exponent * LN2 + 2 * sum;
}

/* x = k ln 2 + r with r in [0, ln 2). */
double arith_exp_minus(double x) {
	if (x > 700)
		return 0;
	int k = (int)(x / LN2);
	double r = x - k * LN2, term = 1, sum = 1;
	for (int n = 1; n < 14; n++) {
		term *= -r / n;
		sum += term;
	}
	return sum * of_bits((uint64_t)(1023 - k) << 52);
}

/* Small ones without the difference of two near numbers. */
double arith_part(double x) {
	if (x > 0.5)
		return 1 - arith_exp_minus(x);
	double term = x, sum = x;
	for (int n = 2; n < 12; n++) {
		term *= -x / n;
		sum += term;
	}
	return sum;
}
