/* bits.h - compiler shims, rounding, logarithms. The only file where a compiler is asked for by name. */
#ifndef ASHLAR_UTIL_BITS_H
#define ASHLAR_UTIL_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define EXPORT       __attribute__((visibility("default")))
#define HIDDEN       __attribute__((visibility("hidden"))) /* said where declared, it saves fetching the address */
#define ALIGNED_LINE __attribute__((aligned(64)))          /* of what has no cycle to lose to its place */
#define COLD         __attribute__((cold, noinline))
#define STARTUP \
	__attribute__(( \
		section(".text.startup"))) /* each start of a program runs it: all of that in one place */
#define NOINLINE      __attribute__((noinline))
#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* A function that reads, for figures, what its owner may be writing: doc/decisions/benign-races.md. */
#if defined(__clang__) || defined(__GNUC__)
#define RACY __attribute__((no_sanitize("thread"), noinline))
#endif

#define CACHE_LINE 64
#define KIB        ((size_t)1 << 10)
#define MIB        ((size_t)1 << 20)
#define GIB        ((size_t)1 << 30)

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* The record of type `type` whose member `member` is at `ptr`. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Rounding to a power of two. round_up wraps to 0 when the result does not fit; callers test for that. */
static inline uintptr_t round_down(uintptr_t value, size_t power) {
	return value & ~(uintptr_t)(power - 1);
}
static inline uintptr_t round_up(uintptr_t value, size_t power) {
	return (value + (power - 1)) & ~(uintptr_t)(power - 1);
}
static inline bool is_power_of_two(size_t value) {
	return value != 0 && (value & (value - 1)) == 0;
}

/* Index of the lowest / highest set bit; value must not be 0. */
static inline unsigned bit_lowest(uint64_t value) {
	return (unsigned)__builtin_ctzll(value);
}
static inline unsigned bit_highest(uint64_t value) {
	return 63u - (unsigned)__builtin_clzll(value);
}
/* Number of set bits. The compiler's own is a call where it may not assume an instruction for it. */
static inline unsigned bit_count(uint64_t value) {
	value -= (value >> 1) & UINT64_C(0x5555555555555555);
	value = (value & UINT64_C(0x3333333333333333)) + ((value >> 2) & UINT64_C(0x3333333333333333));
	value = (value + (value >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
	return (unsigned)((value * UINT64_C(0x0101010101010101)) >> 56);
}

/* Smallest n with 2^n >= value; value must be at least 1. */
static inline unsigned log2_ceil(uint64_t value) {
	return value <= 1 ? 0 : bit_highest(value - 1) + 1;
}

static inline size_t size_min(size_t a, size_t b) {
	return a < b ? a : b;
}
static inline size_t size_max(size_t a, size_t b) {
	return a > b ? a : b;
}

#endif
