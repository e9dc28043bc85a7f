/* option_values.h - from the text of one value to the field of its option: what options.c knows of types.
 *
 * No allocation, no stdio, no lock. A value that is refused leaves its field as it was. */
#ifndef ASHLAR_CTL_OPTION_VALUES_H
#define ASHLAR_CTL_OPTION_VALUES_H

#include "ctl/options.h"

enum verdict { VALUE_GOOD, VALUE_INVALID, VALUE_OUT_OF_RANGE };

/* A piece of a source; not terminated. */
struct piece {
	const char *text;
	size_t length;
};

bool piece_is(struct piece piece, const char *word);

/* Parses the value, puts it in range or refuses it, and stores it. */
enum verdict option_set(const struct option *option, struct piece value);

#endif
