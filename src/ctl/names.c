/* names.c - the table of mallctl names, and what stands behind the few at its top. */
#include "ctl/names.h"
#include "arena/arena.h"
#include "thread/thread.h"
#include "version.h"

#include <errno.h>
#include <string.h>

#define INTERFACE_VERSION "5.3.1-0-g" ASHLAR_BUILD_GIT_ID

SIMPLE(version, as_text, INTERFACE_VERSION)

static _Atomic(uint64_t) epoch = 1;
SIMPLE(epoch, as_uint64, load_relaxed(&epoch))
WRITER(epoch) {
	UNUSED(index);
	UNUSED(value);
	add_relaxed(&epoch, 1);
	return 0;
}

SIMPLE(background_thread, as_bool, thread_helper_runs())
WRITER(background_thread) {
	UNUSED(index);
	return value->as_bool == thread_helper_runs() ? 0 : EPERM;
}

/* -- the table ------------------------------------------------------------------------------------------- */

#define TYPE_BOOL     CTL_BOOL
#define TYPE_UNSIGNED CTL_UNSIGNED
#define TYPE_SIZE     CTL_SIZE
#define TYPE_SSIZE    CTL_SSIZE
#define TYPE_CHOICE   CTL_TEXT
#define TYPE_LETTERS  CTL_TEXT

static const struct ctl_name table[] = {
#define ROW(name_, type_, access_, ...) \
	{.name = (name_), .type = CTL_##type_, .access = (access_), __VA_ARGS__},
#define READ(name, type, function, text) \
	ROW(name, type, CTL_READ, .read = ctl_read_##function, .sentence = (text))
#define WRITE(name, type, function, text) \
	ROW(name, type, CTL_WRITE, .write = ctl_write_##function, .sentence = (text))
#define READ_WRITE(name, type, function, text) \
	ROW(name, type, CTL_READ_WRITE, .read = ctl_read_##function, .write = ctl_write_##function, \
	    .sentence = (text))
#define WRITE_READ(name, type, function, text) \
	ROW(name, type, CTL_WRITE_READ, .read = ctl_read_##function, .write = ctl_write_##function, \
	    .sentence = (text))
#define ACTION(name, function, text) \
	ROW(name, NOTHING, CTL_ACTION, .write = ctl_write_##function, .sentence = (text))
#define RAW(name, type, function, text) \
	ROW(name, type, CTL_RAW, .raw = ctl_call_##function, .sentence = (text))
#include "ctl/names.def"
#define OPTION(name_, type_, initial, lowest, highest, outside, writable, text) \
	{.name = "opt." #name_, \
	 .type = TYPE_##type_, \
	 .access = CTL_READ, \
	 .field = &opt.name_, \
	 .sentence = (text)},
#define ALIAS(name, target, highest, sentence)
#include "ctl/options.def"
};

_Static_assert(COUNT_OF(table) <= CTL_NAMES_MAX, "raise CTL_NAMES_MAX");

unsigned ctl_name_count(void) {
	return COUNT_OF(table);
}

const struct ctl_name *ctl_name_at(unsigned row) {
	return &table[row];
}

bool ctl_all_arenas(size_t index) {
	return index == CTL_ALL_ARENAS || index == arena_count();
}

bool ctl_index_valid(const char *kind, size_t index) {
	switch (kind[1]) {
	case 'a': /* <arena> */
		return index <= arena_count() || index == CTL_ALL_ARENAS || index == CTL_DESTROYED_ARENAS;
	case 'm': /* <made> */
		return arena_at((unsigned)size_min(index, ARENA_LIMIT)) != NULL || ctl_all_arenas(index);
	case 'b': /* <bin> */
		return index < CLASS_SMALL_LAST;
	default: /* <large> */
		return index < LARGE_CLASSES;
	}
}

union ctl_value ctl_read_option(const void *field) {
	const struct option *option = option_at(0);
	while (option->value != field || option->alias)
		option++;
	union ctl_value value = {0};
	unsigned word = 0;
	switch (option->type) {
	case OPTION_BOOL:
		value.as_bool = *(const bool *)field;
		break;
	case OPTION_UNSIGNED:
		value.as_unsigned = *(const unsigned *)field;
		break;
	case OPTION_SIZE:
		value.as_size = *(const size_t *)field;
		break;
	case OPTION_SSIZE:
		value.as_ssize = *(const ssize_t *)field;
		break;
	case OPTION_CHOICE:
		memcpy(&word, field, sizeof word);
		value.as_text = option->words[word];
		break;
	case OPTION_LETTERS_OF:
		value.as_text = ((const struct option_letters *)field)->text;
		break;
	}
	return value;
}
