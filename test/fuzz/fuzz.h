/*
 * fuzz.h - what the fuzz programs share: an input taken piece by piece, and tokens, so that one byte of the
 * input can stand for a whole word of the language under test.
 *
 * The sanitizer keeps the plain names of malloc's family: (malloc)(n) with parentheses is the sanitizer's,
 * malloc(n) is ours (harness.h).
 */
#ifndef TEST_FUZZ_H
#define TEST_FUZZ_H

#include "../harness.h"
#include "check.h"

struct input {
	const uint8_t *data;
	size_t left;
};

/* Past the end come zeros. */
static inline uint8_t input_byte(struct input *input) {
	if (input->left == 0)
		return 0;
	input->left--;
	return *input->data++;
}

static inline uint64_t input_number(struct input *input, unsigned bytes) {
	uint64_t number = 0;
	while (bytes-- > 0)
		number = number << 8 | input_byte(input);
	return number;
}

/* Adds text to a buffer as far as it goes; the buffer stays terminated. */
static inline void text_append(char *buffer, size_t room, const char *text) {
	size_t used = strlen(buffer), more = strlen(text);
	if (used + more < room)
		memcpy(buffer + used, text, more + 1);
}

#endif
