/* bitmap.c - word-at-a-time bitmap walks. */
#include "util/util.h"

/* The bits of word `word` that lie in [from, to) of the map, given that from is not above the word and to
 * is not below it. No bits when from == to. */
static uint64_t mask_in_word(unsigned word, unsigned from, unsigned to) {
	unsigned base = word * 64;
	uint64_t mask = ~(uint64_t)0;
	if (from > base)
		mask <<= from - base;
	if (to - base < 64)
		mask &= ~(~(uint64_t)0 << (to - base));
	return mask;
}

void bitmap_set_range(uint64_t *map, unsigned from, unsigned count) {
	unsigned to = from + count;
	for (unsigned word = from / 64; word * 64 < to; word++)
		map[word] |= mask_in_word(word, from, to);
}

void bitmap_clear_range(uint64_t *map, unsigned from, unsigned count) {
	unsigned to = from + count;
	for (unsigned word = from / 64; word * 64 < to; word++)
		map[word] &= ~mask_in_word(word, from, to);
}

unsigned bitmap_count_range(const uint64_t *map, unsigned from, unsigned count) {
	unsigned sum = 0, to = from + count;
	for (unsigned word = from / 64; word * 64 < to; word++)
		sum += bit_count(map[word] & mask_in_word(word, from, to));
	return sum;
}

/* First bit >= from that is set once the words are flipped: flip 0 finds set bits, all ones finds clear
 * bits. */
static unsigned next_bit(const uint64_t *map, unsigned bits, unsigned from, uint64_t flip) {
	if (from >= bits)
		return bits;
	unsigned word = from / 64;
	uint64_t value = (map[word] ^ flip) & (~(uint64_t)0 << (from % 64));
	while (value == 0) {
		if (++word * 64 >= bits)
			return bits;
		value = map[word] ^ flip;
	}
	return word * 64 + bit_lowest(value);
}

unsigned bitmap_next_set(const uint64_t *map, unsigned bits, unsigned from) {
	return next_bit(map, bits, from, 0);
}

unsigned bitmap_next_clear(const uint64_t *map, unsigned bits, unsigned from) {
	return next_bit(map, bits, from, ~(uint64_t)0);
}

unsigned bitmap_run_start(const uint64_t *map, unsigned from) {
	while (from > 0) {
		unsigned word = (from - 1) / 64;
		uint64_t clear = ~map[word] & mask_in_word(word, 0, from);
		if (clear != 0)
			return word * 64 + bit_highest(clear) + 1;
		from = word * 64;
	}
	return 0;
}

unsigned bitmap_find_run(const uint64_t *map, unsigned bits, unsigned count, unsigned align,
                         unsigned *longest) {
	unsigned best = 0, found = BITMAP_NONE;
	for (unsigned at = 0; at < bits && found == BITMAP_NONE;) {
		unsigned start = bitmap_next_set(map, bits, at);
		if (start == bits)
			break;
		unsigned end = bitmap_next_clear(map, bits, start);
		unsigned aligned = (unsigned)round_up(start, align);
		if (end - start > best)
			best = end - start;
		if (aligned < end && end - aligned >= count)
			found = aligned;
		at = end;
	}
	if (longest != NULL)
		*longest = best;
	return found;
}
