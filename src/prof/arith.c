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

/* x = m * 2^e with m in [2/3, 4/3); ln m = 2 artanh(t) with t = (m - 1) / (m + 1), |t| <= 1/5. */
double arith_ln(double x) {
	uint64_t bits = bits_of(x), above = (uint64_t)1 << 52, mantissa = bits & (above - 1);
	int up = mantissa >= above / 3; /* then m is halved */
	int exponent = (int)(bits >> 52) - 1023 + up;
	double m = of_bits(mantissa | (uint64_t)(1023 - up) << 52);
	double t = (m - 1) / (m + 1), q = t * t, r = q * q; /* in pairs, which need not wait for each other */
	double sum = (1.0 + q * (1.0 / 3)) +
	             r * ((1.0 / 5 + q * (1.0 / 7)) + r * ((1.0 / 9 + q * (1.0 / 11)) + r * (1.0 / 13)));
	return exponent * LN2 + 2 * t * sum;
}

static const double inverse[] = {0,       1.0,     1.0 / 2, 1.0 / 3,  1.0 / 4,  1.0 / 5,  1.0 / 6,
                                 1.0 / 7, 1.0 / 8, 1.0 / 9, 1.0 / 10, 1.0 / 11, 1.0 / 12, 1.0 / 13};

/* x = k ln 2 + r with r in [0, ln 2). */
double arith_exp_minus(double x) {
	if (x > 700)
		return 0;
	int k = (int)(x / LN2);
	double r = x - k * LN2, term = 1, sum = 1;
	for (int n = 1; n < 14; n++) {
		term *= -r * inverse[n];
		sum += term;
	}
	return sum * of_bits((uint64_t)(1023 - k) << 52);
}

/* Small ones without the difference of two near numbers: x - x^2/2 + x^3/6 - ... */
double arith_part(double x) {
	if (x > 0.5)
		return 1 - arith_exp_minus(x);
	double sum = 1.0;
	for (int n = x < 1.0 / 32 ? 5 : 11; n > 1; n--)
		sum = 1.0 - x * inverse[n] * sum;
	return x * sum;
}
