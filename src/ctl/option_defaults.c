/* option_defaults.c - `opt` before anything was read. Alone in its file, so that a program that needs no more of the
 * control room, a test of the locks for one, can be linked without the rest. */
#include "ctl/options.h"

#define INIT_BOOL(value)     (value)
#define INIT_UNSIGNED(value) (value)
#define INIT_SIZE(value)     (value)
#define INIT_SSIZE(value)    (value)
#define INIT_UINT64(value)   (value)
#define INIT_INT64(value)    (value)
#define INIT_RATIO(value)    RATIO_OF(value)
#define INIT_CHOICE(value)   (value)
#define INIT_LETTERS(value) \
	{ \
		{ value } \
	}
#define INIT_RANGES(value) INIT_LETTERS(value)
#define INIT_TEXT(value) \
	{ value }
#define INIT_LIMIT(value) INIT_TEXT(value)

#define OPTION(name, type, initial, ...) .name = INIT_##type(initial),
#define ALIAS(name, kind, target, highest, sentence)
const struct options option_defaults = {
#include "ctl/options.def"
};
struct options opt = {
#include "ctl/options.def"
};
