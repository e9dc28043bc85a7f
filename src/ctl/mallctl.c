/* mallctl.c - from a name to numbers, from numbers to a row of the table, and the call.
 *
 * The table of names is flat. Rows with a common beginning stand together, so a name read part by part
 * narrows a range of rows; the number of a part is the first row of its range, the number of an index the
 * index itself:
 *
 *   row 30  arenas.bin.<bin>.size       "arenas.bin.5.nregs" -> {25, 30, 5, 31}, when 25 is the first
 *   row 31  arenas.bin.<bin>.nregs                                  row that begins with "arenas." */
#include "ctl/names.h"

#include <errno.h>
#include <string.h>

#define DEPTH 7

struct range {
	unsigned first, end; /* rows */
};

/* A part of a name, without its dots. */
struct part {
	const char *text; /* NULL: the name has no such part */
	size_t length;
};

static struct part part_at(const char *name, unsigned depth) {
	for (; depth > 0; depth--) {
		name = strchr(name, '.');
		if (name == NULL)
			return (struct part){NULL, 0};
		name++;
	}
	const char *end = strchr(name, '.');
	return (struct part){name, end == NULL ? strlen(name) : (size_t)(end - name)};
}

static bool same_part(struct part a, struct part b) {
	return a.text != NULL && b.text != NULL && a.length == b.length &&
	       memcmp(a.text, b.text, a.length) == 0;
}

static struct part row_part(unsigned row, unsigned depth) {
	return part_at(ctl_name_at(row)->name, depth);
}

/* The rows of `range` from `first` on that agree with it at `depth`. */
static struct range group_of(struct range range, unsigned first, unsigned depth) {
	struct part part = row_part(first, depth);
	struct range group = {first, first + 1};
	while (group.end < range.end && same_part(row_part(group.end, depth), part))
		group.end++;
	return group;
}

/* Narrows the range by a number; collects indices. False: no such name. */
static bool narrow(struct range *range, unsigned depth, size_t number, size_t *index, unsigned *indices) {
	struct part part = row_part(range->first, depth);
	if (part.text == NULL)
		return false;
	if (part.text[0] == '<') {
		index[(*indices)++] = number;
		return ctl_index_valid(part.text, number);
	}
	if (number < range->first || number >= range->end)
		return false;
	unsigned row = (unsigned)number;
	if (row > range->first && same_part(row_part(row, depth), row_part(row - 1, depth)))
		return false; /* not the first of its group */
	*range = group_of(*range, row, depth);
	return true;
}

static bool parse_index(struct part part, size_t *out) {
	*out = 0;
	for (size_t i = 0; i < part.length; i++) {
		if (part.text[i] < '0' || part.text[i] > '9' || __builtin_mul_overflow(*out, 10, out) ||
		    __builtin_add_overflow(*out, (size_t)(part.text[i] - '0'), out))
			return false;
	}
	return part.length > 0;
}

/* The number of a part of a name given as text. */
static bool number_of(struct range range, unsigned depth, struct part part, size_t *number) {
	struct part named = row_part(range.first, depth);
	if (named.text == NULL)
		return false;
	if (named.text[0] == '<')
		return parse_index(part, number);
	for (unsigned row = range.first; row < range.end; row++) {
		if (same_part(row_part(row, depth), part)) {
			*number = row;
			return true;
		}
	}
	return false;
}

int ctl_name_to_mib(const char *name, size_t *mib, size_t *length) {
	struct range range = {0, ctl_name_count()};
	size_t index[DEPTH];
	unsigned indices = 0, depth = 0;
	for (; depth < *length && depth < DEPTH; depth++) {
		struct part part = part_at(name, depth);
		if (part.text == NULL)
			break;
		if (!number_of(range, depth, part, &mib[depth]) ||
		    !narrow(&range, depth, mib[depth], index, &indices))
			return ENOENT;
	}
	if (depth == 0 && *length > 0)
		return ENOENT;
	*length = depth;
	return 0;
}

/* -- the call -------------------------------------------------------------------------------------------- */

static size_t size_of(enum ctl_type type) {
	static const size_t sizes[] = {
		[CTL_BOOL] = sizeof(bool),         [CTL_UNSIGNED] = sizeof(unsigned),
		[CTL_UINT32] = sizeof(uint32_t),   [CTL_UINT64] = sizeof(uint64_t),
		[CTL_SIZE] = sizeof(size_t),       [CTL_SSIZE] = sizeof(ssize_t),
		[CTL_TEXT] = sizeof(const char *), [CTL_NOTHING] = 0,
	};
	return sizes[type];
}

static bool reads(const struct ctl_call *call) {
	return call->old != NULL && call->old_size != NULL;
}

/* Copies the value out. EINVAL when the caller expects another size: it then gets what fits. */
static int give_value(const struct ctl_name *row, const size_t *index, const struct ctl_call *call) {
	union ctl_value value;
	size_t size = size_of(row->type);
	int error = 0;
	if (!reads(call))
		return 0;
	if (row->field != NULL)
		value = ctl_read_option(row->field);
	else
		error = row->read(index, &value);
	if (error != 0)
		return error;
	error = *call->old_size == size ? 0 : EINVAL;
	*call->old_size = size_min(*call->old_size, size);
	memcpy(call->old, &value, *call->old_size);
	return error;
}

static int take_value(const struct ctl_name *row, const size_t *index, const struct ctl_call *call) {
	union ctl_value value;
	if (call->new == NULL)
		return 0;
	memcpy(&value, call->new, size_of(row->type));
	return row->write(index, &value);
}

static int run(const struct ctl_name *row, const size_t *index, const struct ctl_call *call) {
	bool any_old = call->old != NULL || call->old_size != NULL,
	     any_new = call->new != NULL || call->new_size != 0;
	int error;
	switch (row->access) {
	case CTL_READ:
		return any_new ? EPERM : give_value(row, index, call);
	case CTL_ACTION:
		return any_old || any_new ? EPERM : row->write(index, NULL);
	case CTL_READ_WRITE:
	case CTL_WRITE_READ:
		break;
	}
	if (call->new != NULL && call->new_size != size_of(row->type))
		return EINVAL;
	if (row->access == CTL_READ_WRITE) {
		error = give_value(row, index, call);
		return error != 0 ? error : take_value(row, index, call);
	}
	error = take_value(row, index, call);
	return error != 0 ? error : give_value(row, index, call);
}

int ctl_by_mib(const size_t *mib, size_t length, const struct ctl_call *call) {
	struct range range = {0, ctl_name_count()};
	size_t index[DEPTH];
	unsigned indices = 0;
	if (length == 0 || length > DEPTH)
		return ENOENT;
	for (unsigned depth = 0; depth < length; depth++)
		if (!narrow(&range, depth, mib[depth], index, &indices))
			return ENOENT;
	if (row_part(range.first, (unsigned)length).text != NULL)
		return ENOENT; /* only the beginning of a name */
	return run(ctl_name_at(range.first), index, call);
}

int ctl_by_name(const char *name, const struct ctl_call *call) {
	size_t mib[DEPTH], length = DEPTH;
	int error = ctl_name_to_mib(name, mib, &length);
	return error != 0 ? error : ctl_by_mib(mib, length, call);
}
