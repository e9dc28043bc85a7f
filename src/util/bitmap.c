/* bitmap.c - word-at-a-time bitmap walks. */
#include "util/util.h"

/* A range of bits that is not empty, as its first and its last word and what it takes of them. */
struct part {
	unsigned first, last;
	uint64_t head, tail;
};

static inline struct part part_of(unsigned from, unsigned count) {
	unsigned end = from + count - 1;
	struct part part = {from / 64, end / 64, ~(uint64_t)0 << (from % 64),
	                    ~(uint64_t)0 >> (63 - end % 64)};
	if (part.first == part.last)
		part.head = part.tail &= part.head;
	return part;
}

void bitmap_set_range(uint64_t *map, unsigned from, unsigned count) {
	if (count == 0)
		return;
	struct part part = part_of(from, count);
	map[part.first] |= part.head;
	for (unsigned word = part.first + 1; word < part.last; word++)
		map[word] = ~(uint64_t)0;
	map[part.last] |= part.tail;
}

void bitmap_clear_range(uint64_t *map, unsigned from, unsigned count) {
	if (count == 0)
		return;
	struct part part = part_of(from, count);
	map[part.first] &= ~part.head;
	for (unsigned word = part.first + 1; word < part.last; word++)
		map[word] = 0;
	map[part.last] &= ~part.tail;
}

STARTUP unsigned bitmap_count_range(const uint64_t *map, unsigned from, unsigned count) {
	if (count == 0)
		return 0;
	struct part part = part_of(from, count);
	unsigned sum = bit_count(map[part.first] & part.head);
	for (unsigned word = part.first + 1; word < part.last; word++)
		sum += bit_count(map[word]);
	return part.first == part.last ? sum : sum + bit_count(map[part.last] & part.tail);
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
		uint64_t clear = ~map[word] & (~(uint64_t)0 >> (63 - (from - 1) % 64));
		if (clear != 0)
			return word * 64 + bit_highest(clear) + 1;
		from = word * 64;
	}
	return 0;
}

/* First of `count` set bits that follow each other, 1 <= count <= 64. What is left of a word and the one above it after
 * and-ing them with themselves shifted are the bits at which runs of so many begin, or go on. Most words have none left
 * after few steps. */
static unsigned find_short_run(const uint64_t *map, unsigned bits, unsigned count) {
	const unsigned words = bits / 64;
	for (unsigned word = 0; word < words; word++) {
		uint64_t low = map[word];
		if (count > 1 && low != 0) {
			uint64_t high = word + 1 < words ? map[word + 1] : 0;
			low &= low >> 1 | high << 63;
			high &= high >> 1;
			for (unsigned have = 2, step; low != 0 && have < count; have += step) {
				step = have < count - have ? have : count - have;
				low &= low >> step | high << (64 - step);
				high &= high >> step;
			}
		}
		if (low != 0)
			return word * 64 + bit_lowest(low);
	}
	return BITMAP_NONE;
}

unsigned bitmap_longest_run(const uint64_t *map, unsigned bits) {
	unsigned best = 0, run = 0; /* run: the one that reaches up to the end of the words before */
	for (unsigned word = 0; word < bits / 64; word++) {
		uint64_t left = map[word];
		if (left == ~(uint64_t)0) {
			run += 64;
			continue;
		}
		unsigned length = bit_lowest(~left), above = 63 - bit_highest(~left);
		run += length;
		best = run > best ? run : best;
		for (left >>= length; left != 0; left >>= length) {
			left >>= bit_lowest(left);
			length = bit_lowest(~left);
			best = length > best ? length : best;
		}
		run = above;
	}
	return run > best ? run : best;
}

/* As bitmap_find_run, run by run. */
static unsigned find_run(const uint64_t *map, unsigned bits, unsigned count, unsigned align) {
	for (unsigned at = 0; at < bits;) {
		unsigned start = bitmap_next_set(map, bits, at);
		unsigned end = bitmap_next_clear(map, bits, start);
		unsigned aligned = (unsigned)round_up(start, align);
		if (aligned < end && end - aligned >= count)
			return aligned;
		at = end;
	}
	return BITMAP_NONE;
}

unsigned bitmap_find_run(const uint64_t *map, unsigned bits, unsigned count, unsigned align,
                         unsigned *longest) {
	unsigned found = count <= 64 && align == 1 ? find_short_run(map, bits, count)
	                                           : find_run(map, bits, count, align);
	if (found == BITMAP_NONE && longest != NULL)
		*longest = bitmap_longest_run(map, bits);
	return found;
}
