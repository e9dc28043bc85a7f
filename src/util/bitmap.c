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

unsigned bitmap_count_range(const uint64_t *map, unsigned from, unsigned count) {
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
