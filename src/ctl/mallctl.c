/* mallctl.c - from a name to numbers, from numbers to a row of the table, and the call.
 *
 * The table of names is flat. Rows with a common beginning stand together, so a name read part by part
 * narrows a range of rows; the number of a part is the first row of its range, the number of an index the
 * index itself:
 *
 *   row 30  arenas.bin.<bin>.size       "arenas.bin.5.nregs" -> {25, 30, 5, 31}, when 25 is the first
 *   row 31  arenas.bin.<bin>.nregs                                  row that begins with "arenas." */
#include "ctl/names.h"
#include "thread/lock.h"

#include <errno.h>
#include <string.h>

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

/* An index; the low bits tell where in the row's name its kind stands. */
#define ANY_INDEX 0x8000u

/* What each row's numbers must be, made of the table once: a call by numbers is then a comparison. */
struct path {
	uint16_t number[CTL_DEPTH];
	uint8_t at[CTL_DEPTH +
	           1]; /* where its parts begin; the last: behind the end, as if another followed */
	uint8_t depth;
	uint16_t end[CTL_DEPTH]; /* the row behind the last that agrees with it so far */
};
static struct path paths[CTL_NAMES_MAX]; /* [ctl lock until paths_made] */
static _Atomic(bool) paths_made;         /* [atomic] */
static struct part row_part(unsigned row, unsigned depth) {
	const char *name = ctl_name_at(row)->name;
	if (unlikely(!load_acquire(&paths_made)))
		return part_at(name, depth);
	const struct path *path = &paths[row];
	if (depth >= path->depth)
		return (struct part){NULL, 0};
	return (struct part){name + path->at[depth], path->at[depth + 1] - path->at[depth] - 1u};
}

/* The rows of `range` from `first` on that agree with it at `depth`. */
static struct range group_of(struct range range, unsigned first, unsigned depth) {
	if (likely(load_acquire(&paths_made)))
		return (struct range){first, paths[first].end[depth]};
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

/* A decimal number; what follows it is not looked at. */
static bool parse_index(struct part part, size_t *out) {
	size_t i = 0;
	*out = 0;
	for (; i < part.length && part.text[i] >= '0' && part.text[i] <= '9'; i++) {
		if (__builtin_mul_overflow(*out, 10, out) ||
		    __builtin_add_overflow(*out, (size_t)(part.text[i] - '0'), out))
			return false;
	}
	return i > 0;
}

/* The number of a part of a name given as text. */
static bool number_of(struct range range, unsigned depth, struct part part, size_t *number) {
	struct part named = row_part(range.first, depth);
	if (named.text == NULL)
		return false;
	if (named.text[0] == '<')
		return parse_index(part, number);
	for (unsigned row = range.first; row < range.end; row = group_of(range, row, depth).end) {
		if (same_part(row_part(row, depth), part)) {
			*number = row;
			return true;
		}
	}
	return false;
}

static void need_paths(void);

int ctl_name_to_mib(const char *name, size_t *mib, size_t *length) {
	if (unlikely(!load_acquire(&paths_made)))
		need_paths();
	struct range range = {0, ctl_name_count()};
	size_t index[CTL_DEPTH];
	unsigned indices = 0, depth = 0;
	for (; depth < *length && depth < CTL_DEPTH; depth++) {
		struct part part = part_at(name, depth);
		if (part.text == NULL)
			break;
		if (!number_of(range, depth, part, &mib[depth]) ||
		    !narrow(&range, depth, mib[depth], index, &indices))
			return ENOENT;
	}
	bool more = depth == CTL_DEPTH && depth < *length && part_at(name, depth).text != NULL;
	if ((depth == 0 && *length > 0) || more)
		return ENOENT;
	*length = depth;
	return 0;
}

/* -- the call -------------------------------------------------------------------------------------------- */

size_t ctl_type_size(enum ctl_type type) {
	static const uint8_t sizes[] = {
		[CTL_BOOL] = sizeof(bool),
		[CTL_UNSIGNED] = sizeof(unsigned),
		[CTL_UINT32] = sizeof(uint32_t),
		[CTL_UINT64] = sizeof(uint64_t),
		[CTL_INT64] = sizeof(int64_t),
		[CTL_SIZE] = sizeof(size_t),
		[CTL_SSIZE] = sizeof(ssize_t),
		[CTL_TEXT] = sizeof(const char *),
		[CTL_POINTER] = sizeof(void *),
		[CTL_STRUCT] = 0,
		[CTL_NOTHING] = 0,
	};
	return sizes[type];
}

bool ctl_reads(const struct ctl_call *call) {
	return call->old != NULL && call->old_size != NULL;
}

int ctl_give(const struct ctl_call *call, const void *value, size_t size) {
	if (!ctl_reads(call))
		return 0;
	int error = *call->old_size == size ? 0 : EINVAL;
	*call->old_size = size_min(*call->old_size, size);
	memcpy(call->old, value, *call->old_size);
	return error;
}

bool ctl_take(const struct ctl_call *call, void *value, size_t size) {
	if (call->new == NULL || call->new_size != size)
		return false;
	memcpy(value, call->new, size);
	return true;
}

bool ctl_strict(const struct ctl_call *call, size_t size) {
	if (ctl_reads(call) && *call->old_size == size)
		return true;
	if (call->old_size != NULL)
		*call->old_size = 0;
	return false;
}

static int give_value(const struct ctl_name *row, const size_t *index, const struct ctl_call *call) {
	union ctl_value value;
	int error = 0;
	if (!ctl_reads(call))
		return 0;
	if (row->is_option)
		value = ctl_read_option(row->field);
	else if (row->record != CTL_NO_RECORD)
		error = ctl_read_record(row, index, &value);
	else
		error = row->read(index, &value);
	return error != 0 ? error : ctl_give(call, &value, ctl_type_size(row->type));
}

static int take_value(const struct ctl_name *row, const size_t *index, const struct ctl_call *call) {
	union ctl_value value;
	if (call->new == NULL)
		return 0;
	if (!ctl_take(call, &value, ctl_type_size(row->type)))
		return EINVAL;
	return row->is_option ? ctl_write_option(row->field, &value) : row->write(index, &value);
}

static int write_only(const struct ctl_name *row, const size_t *index, const struct ctl_call *call) {
	return call->new == NULL ? row->write(index, NULL) : take_value(row, index, call);
}

static int run(const struct ctl_name *row, const size_t *index, const struct ctl_call *call) {
	bool any_old = call->old != NULL || call->old_size != NULL,
	     any_new = call->new != NULL || call->new_size != 0;
	int error = 0;
	switch (row->access) {
	case CTL_READ:
		return any_new ? EPERM : give_value(row, index, call);
	case CTL_WRITE:
		return any_old ? EPERM : write_only(row, index, call);
	case CTL_ACTION:
		return any_old || any_new ? EPERM : row->write(index, NULL);
	case CTL_RAW:
		return row->raw(index, call);
	case CTL_READ_WRITE:
		if (call->new != NULL && call->new_size != ctl_type_size(row->type))
			return EINVAL;
		error = give_value(row, index, call);
		return error != 0 ? error : take_value(row, index, call);
	case CTL_WRITE_READ:
		error = take_value(row, index, call);
		return error != 0 ? error : give_value(row, index, call);
	}
	return ENOENT;
}

/* -- by numbers ------------------------------------------------------------------------------------------ */

static struct lock ctl_lock = LOCK_INITIALIZER(RANK_CTL);

static void make_paths(void) REQUIRES(ctl_lock) {
	for (unsigned row = 0; row < ctl_name_count(); row++) {
		struct range range = {0, ctl_name_count()};
		struct path *path = &paths[row];
		struct part part;
		for (path->depth = 0; (part = row_part(row, path->depth)).text != NULL; path->depth++) {
			size_t number = ANY_INDEX | (size_t)(part.text - ctl_name_at(row)->name);
			if (part.text[0] != '<') {
				bool found = number_of(range, path->depth, part, &number);
				must(found,
				     ctl_name_at(row)->name); /* rows of one beginning stand together */
				range = group_of(range, (unsigned)number, path->depth);
			}
			path->number[path->depth] = (uint16_t)number;
			path->end[path->depth] = (uint16_t)range.end;
			path->at[path->depth] = (uint8_t)(part.text - ctl_name_at(row)->name);
			path->at[path->depth + 1] = (uint8_t)(path->at[path->depth] + part.length + 1);
		}
	}
	store_release(&paths_made, true);
}

static COLD void need_paths(void) {
	lock_take(&ctl_lock);
	if (!load_relaxed(&paths_made))
		make_paths();
	lock_drop(&ctl_lock);
}

/* Compares the numbers with a row's and collects the indices. */
static bool follow(unsigned row, const size_t *mib, size_t length, size_t *index) {
	const struct path *path = &paths[row];
	if (length != path->depth)
		return false;
	for (unsigned depth = 0; depth < length; depth++) {
		unsigned number = path->number[depth];
		if ((number & ANY_INDEX) == 0) {
			if (mib[depth] != number)
				return false;
			continue;
		}
		if (!ctl_index_valid(ctl_name_at(row)->name + (number & ~ANY_INDEX), mib[depth]))
			return false;
		*index++ = mib[depth];
	}
	return true;
}

int ctl_by_mib(const size_t *mib, size_t length, const struct ctl_call *call) {
	size_t index[CTL_DEPTH] = {0};
	if (length == 0 || length > CTL_DEPTH)
		return ENOENT;
	if (unlikely(!load_acquire(&paths_made)))
		need_paths();
	size_t row = mib[length - 1]; /* no name ends with an index */
	if (row >= ctl_name_count() || !follow((unsigned)row, mib, length, index))
		return ENOENT;
	return run(ctl_name_at((unsigned)row), index, call);
}

int ctl_by_name(const char *name, const struct ctl_call *call) {
	size_t mib[CTL_DEPTH + 1], length = CTL_DEPTH + 1;
	int error = ctl_name_to_mib(name, mib, &length);
	return error != 0 ? error : ctl_by_mib(mib, length, call);
}
