/* bitmap.h - flat bitmaps of 64-bit words, bit i in word i / 64, and runs in them.
 *
 * A run is a maximal stretch of consecutive set bits. All functions take the number of bits of the whole
 * map (a multiple of 64) where they need to know its end. Not synchronised. */
#ifndef ASHLAR_UTIL_BITMAP_H
#define ASHLAR_UTIL_BITMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BITMAP_NONE ((unsigned)-1)

static inline bool bitmap_get(const uint64_t *map, unsigned bit) {
	return (map[bit / 64] >> (bit % 64)) & 1;
}
static inline void bitmap_set(uint64_t *map, unsigned bit) {
	map[bit / 64] |= (uint64_t)1 << (bit % 64);
}
static inline void bitmap_clear(uint64_t *map, unsigned bit) {
	map[bit / 64] &= ~((uint64_t)1 << (bit % 64));
}

/* Sets or clears bits [from, from + count). */
void bitmap_set_range(uint64_t *map, unsigned from, unsigned count);
void bitmap_clear_range(uint64_t *map, unsigned from, unsigned count);

/* Number of set bits in [from, from + count). */
unsigned bitmap_count_range(const uint64_t *map, unsigned from, unsigned count);

/* First bit >= from that is set / clear; `bits` when there is none. */
unsigned bitmap_next_set(const uint64_t *map, unsigned bits, unsigned from);
unsigned bitmap_next_clear(const uint64_t *map, unsigned bits, unsigned from);

/* Start of the run that ends just below `from`: one past the last clear bit below it, or `from` itself when
 * the bit below is clear. */
unsigned bitmap_run_start(const uint64_t *map, unsigned from);

/* Length of the longest run. */
unsigned bitmap_longest_run(const uint64_t *map, unsigned bits);

/* First multiple of `align` (a power of two) at which at least `count` set bits follow each other, looking
 * at the aligned start of each run only; BITMAP_NONE when there is none. Then *longest, unless it is NULL, gets the
 * length of the longest run of the map. 1 <= count. */
unsigned bitmap_find_run(const uint64_t *map, unsigned bits, unsigned count, unsigned align,
                         unsigned *longest);

#endif
