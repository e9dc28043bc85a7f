/* names.c - the table of mallctl names, and what stands behind the few at its top. */
#include "ctl/names.h"
#include "ctl/snapshot.h"
#include "arena/arena.h"
#include "version.h"

#define INTERFACE_VERSION "5.3.1-0-g" ASHLAR_BUILD_GIT_ID

SIMPLE(version, as_text, INTERFACE_VERSION)

SIMPLE(epoch, as_uint64, snapshot_epoch())
WRITER(epoch) {
	UNUSED(index);
	UNUSED(value);
	return snapshot_refresh();
}

/* -- the table ------------------------------------------------------------------------------------------- */

#define TYPE_BOOL     CTL_BOOL
#define TYPE_UNSIGNED CTL_UNSIGNED
#define TYPE_SIZE     CTL_SIZE
#define TYPE_SSIZE    CTL_SSIZE
#define TYPE_UINT64   CTL_UINT64
#define TYPE_INT64    CTL_INT64
#define TYPE_RATIO    CTL_UINT32
#define TYPE_CHOICE   CTL_TEXT
#define TYPE_LETTERS  CTL_TEXT
#define TYPE_TEXT     CTL_TEXT
#define TYPE_LIMIT    CTL_TEXT
#define TYPE_RANGES   CTL_NOTHING

/* Options that can change have a name of their own beside opt.<name>; silent ones have neither. */
#define OPT_ROW(name_, type_) \
	{.name = "opt." #name_, .type = (type_), .access = CTL_READ, .is_option = true, .field = &opt.name_},
#define OWN_ROW(name_, type_) \
	{.name = #name_, .type = (type_), .access = CTL_READ_WRITE, .is_option = true, .field = &opt.name_},
#define OPT_ROW_START(...) OPT_ROW(__VA_ARGS__)
#define OPT_ROW_LIVE(...)  OPT_ROW(__VA_ARGS__)
#define OPT_ROW_SILENT(...)
#define OWN_ROW_START(...)
#define OWN_ROW_LIVE(...) OWN_ROW(__VA_ARGS__)
#define OWN_ROW_SILENT(...)

static const struct ctl_name table[] = {
#define ROW(name_, type_, access_, ...) \
	{.name = (name_), .type = CTL_##type_, .access = (access_), __VA_ARGS__},
#define READ(name, type, function, text)  ROW(name, type, CTL_READ, .read = ctl_read_##function)
#define WRITE(name, type, function, text) ROW(name, type, CTL_WRITE, .write = ctl_write_##function)
#define READ_WRITE(name, type, function, text) \
	ROW(name, type, CTL_READ_WRITE, .read = ctl_read_##function, .write = ctl_write_##function)
#define WRITE_READ(name, type, function, text) \
	ROW(name, type, CTL_WRITE_READ, .read = ctl_read_##function, .write = ctl_write_##function)
#define ACTION(name, function, text)    ROW(name, NOTHING, CTL_ACTION, .write = ctl_write_##function)
#define RAW(name, type, function, text) ROW(name, type, CTL_RAW, .raw = ctl_call_##function)
#define PLACE(name, type, record_, struct_, field_, stride_) \
	ROW(name, type, CTL_READ, .record = (record_), .offset = offsetof(struct_, field_), \
	    .stride = (stride_))
#define TOTAL(name, type, field, text) PLACE(name, type, CTL_TOTALS, struct snapshot_totals, field, 0)
#define STAT(name, type, field, stride, text) \
	PLACE(name, type, CTL_ARENA, struct arena_reading, field, stride)
#define EXTENT(name, field, text) \
	PLACE(name, SIZE, CTL_EXTENTS, struct extent_reading, field, sizeof(struct extent_reading))
#define RECORD_TOTALS struct snapshot_totals
#define RECORD_ARENA  struct arena_reading
#define LOCK(name, record, field, stride) \
	PLACE(name ".num_ops", UINT64, CTL_##record, RECORD_##record, field.ops, stride) \
	PLACE(name ".num_wait", UINT64, CTL_##record, RECORD_##record, field.waits, stride) \
	PLACE(name ".num_spin_acq", UINT64, CTL_##record, RECORD_##record, field.spins, stride) \
	PLACE(name ".num_owner_switch", UINT64, CTL_##record, RECORD_##record, field.switches, stride) \
	PLACE(name ".total_wait_time", UINT64, CTL_##record, RECORD_##record, field.total_ns, stride) \
	PLACE(name ".max_wait_time", UINT64, CTL_##record, RECORD_##record, field.max_ns, stride) \
	PLACE(name ".max_num_thds", UINT32, CTL_##record, RECORD_##record, field.most_waiting, stride)
#include "ctl/names.def"
#define ALIAS(name, kind, target, highest, sentence)
#define OPTION(name, type, initial, lowest, highest, outside, writable, effect, sentence) \
	OPT_ROW_##writable(name, TYPE_##type)
#include "ctl/options.def"
#undef OPTION
#define OPTION(name, type, initial, lowest, highest, outside, writable, effect, sentence) \
	OWN_ROW_##writable(name, TYPE_##type)
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
		return arena_at((unsigned)size_min(index, ARENA_LIMIT)) != NULL || ctl_all_arenas(index) ||
		       (index == CTL_DESTROYED_ARENAS && arena_any_destroyed());
	case 'b': /* <bin> */
		return index < CLASS_SMALL_LAST;
	case 'e': /* <extent> */
		return index < EXTENT_CLASSES;
	case 's': /* <slab> */
		return index < CTL_HPA_SLABS;
	case 'p': /* <power> */
		return index < CTL_HPA_POWERS;
	default: /* <large> */
		return index < LARGE_CLASSES;
	}
}

union ctl_value ctl_read_option(const void *field) {
	const struct option *option = option_of(field);
	union ctl_value value = {0};
	const _Atomic bool *as_bool = field;
	const _Atomic unsigned *as_unsigned = field;
	const _Atomic uint64_t *as_uint64 = field;
	switch (option->type) {
	case OPTION_IS_BOOL:
		value.as_bool = load_relaxed(as_bool);
		break;
	case OPTION_IS_UNSIGNED:
	case OPTION_IS_RATIO:
		value.as_unsigned = load_relaxed(as_unsigned);
		break;
	case OPTION_IS_CHOICE:
		value.as_text = option->words[load_relaxed(as_unsigned)];
		break;
	case OPTION_IS_LETTERS:
		value.as_text = ((const struct option_letters *)field)->text;
		break;
	case OPTION_IS_TEXT:
		value.as_text = ((const struct option_text *)field)->text;
		break;
	case OPTION_IS_LIMIT:
		value.as_text = ((const struct option_limit *)field)->text;
		break;
	case OPTION_IS_RANGES:
		break;
	default:
		value.as_uint64 = load_relaxed(as_uint64);
	}
	return value;
}

int ctl_write_option(const void *field, const union ctl_value *value) {
	const struct option *option = option_of(field);
	switch (option->type) {
	case OPTION_IS_BOOL:
		return option_change(option, value->as_bool);
	case OPTION_IS_UNSIGNED:
		return option_change(option, value->as_unsigned);
	case OPTION_IS_CHOICE:
		return option_change_word(option, value->as_text);
	default:
		return option_change(option, value->as_uint64);
	}
}
