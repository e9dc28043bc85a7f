/* names.h - the table of mallctl names, as mallctl.c and the files behind the names see it.
 *
 * names.def has one row a name; the functions it mentions are declared here from it, and live in
 *
 *   names.c         the table itself, version, epoch
 *   names_config.c  config.*, opt.malloc_conf.*, the helper thread, the machine, limits of memory
 *   names_thread.c  thread.*, tcache.*           names_arena.c  arena.*, arenas.*, experimental.arenas*
 *   names_stats.c   stats.*                      names_prof.c   prof.* and the hooks of profiling
 *   names_experimental.c  experimental.utilization.*, batch_alloc, hooks.safety_check_abort
 */
#ifndef ASHLAR_CTL_NAMES_H
#define ASHLAR_CTL_NAMES_H

#include "ctl/ctl.h"

#define CTL_ALL_ARENAS       4096
#define CTL_DESTROYED_ARENAS 4097
#define CTL_HPA_SLABS        64
#define CTL_HPA_POWERS       9
#define CTL_DEPTH            7   /* parts of the longest name */
#define CTL_NAMES_MAX        700 /* rows of the table, at most */

enum ctl_type {
	CTL_BOOL,
	CTL_UNSIGNED,
	CTL_UINT32,
	CTL_UINT64,
	CTL_INT64,
	CTL_SIZE,
	CTL_SSIZE,
	CTL_TEXT,    /* const char * */
	CTL_POINTER, /* any other pointer */
	CTL_STRUCT,  /* of a RAW row */
	CTL_NOTHING
};

enum ctl_access {
	CTL_READ,
	CTL_WRITE,
	CTL_READ_WRITE, /* the old value is given before the new one is taken */
	CTL_WRITE_READ, /* the other way round */
	CTL_ACTION,
	CTL_RAW /* the function sees the call itself, and checks sizes and presence */
};

/* What a statistic is a place in: see snapshot.h. */
enum ctl_record { CTL_NO_RECORD, CTL_TOTALS, CTL_ARENA, CTL_EXTENTS };

union ctl_value {
	bool as_bool;
	unsigned as_unsigned;
	uint32_t as_uint32;
	uint64_t as_uint64;
	int64_t as_int64;
	size_t as_size;
	ssize_t as_ssize;
	const char *as_text;
	void *as_pointer;
};

/* The functions get the indices of the name in order; they return 0 or an errno. `value` of a write is NULL for an
 * action, and where the caller of a CTL_WRITE name gave none. */
typedef int ctl_reader(const size_t *index, union ctl_value *value);
typedef int ctl_writer(const size_t *index, const union ctl_value *value);
typedef int ctl_raw(const size_t *index, const struct ctl_call *call);

/* The sentences of the rows are not here but with the command that prints them (tool/sentences.c): the loader would have
 * their addresses to fill in at each start of a program. For the same reason a row is small. */
struct ctl_name {
	const char *name; /* <...> stands for an index */
	union {
		ctl_reader *read;
		ctl_raw *raw;      /* of a CTL_RAW row */
		const void *field; /* of an option's row */
	};
	ctl_writer *write; /* not of an option's row */
	enum ctl_type type : 8;
	enum ctl_access access : 8;
	enum ctl_record record : 8; /* of a statistic, which is a 64-bit number in it: */
	bool is_option : 1;
	uint16_t offset, stride; /* at `offset` bytes, `stride` further for each step of the last index */
};
unsigned ctl_name_count(void);
const struct ctl_name *ctl_name_at(unsigned row);

/* Is this an index that may stand for `kind`, "<arena>" and so on? */
bool ctl_index_valid(const char *kind, size_t index);

/* The value of an option by its field in opt / a new one for a LIVE option: 0 or EINVAL. */
union ctl_value ctl_read_option(const void *field);
int ctl_write_option(const void *field, const union ctl_value *value);

/* Reads a statistic from the snapshot, which is made now if there is none. EAGAIN: no memory for that. */
int ctl_read_record(const struct ctl_name *row, const size_t *index, union ctl_value *value);

/* Bytes of a value of the type. */
size_t ctl_type_size(enum ctl_type type);

/* For RAW rows. Is the old value asked for? / Copies it out if so: 0, or EINVAL when the caller expects another size; it
 * then gets what fits. / Copies the new value in. False: there is none, or it has another size. / True when the caller asks
 * for an old value of exactly `size` bytes; else *old_size is 0 now. */
bool ctl_reads(const struct ctl_call *call);
int ctl_give(const struct ctl_call *call, const void *value, size_t size);
bool ctl_take(const struct ctl_call *call, void *value, size_t size);
bool ctl_strict(const struct ctl_call *call, size_t size);

/* A decay time of one arena; EFAULT when there is none. */
int ctl_read_decay_ms(size_t index, enum page_state state, union ctl_value *value);

/* 4096, and the number arenas.narenas, mean all arenas. */
bool ctl_all_arenas(size_t index);

#define READ(name, type, function, sentence) \
	int ctl_read_##function(const size_t *index, union ctl_value *value);
#define WRITE(name, type, function, sentence) \
	int ctl_write_##function(const size_t *index, const union ctl_value *value);
#define READ_WRITE(name, type, function, sentence) \
	READ(name, type, function, sentence) WRITE(name, type, function, sentence)
#define WRITE_READ(name, type, function, sentence) READ_WRITE(name, type, function, sentence)
#define ACTION(name, function, sentence)           WRITE(name, NOTHING, function, sentence)
#define RAW(name, type, function, sentence) \
	int ctl_call_##function(const size_t *index, const struct ctl_call *call);
#define TOTAL(name, type, field, sentence)
#define STAT(name, type, field, stride, sentence)
#define EXTENT(name, field, sentence)
#define LOCK(name, record, field, stride)
#include "ctl/names.def"
#undef READ
#undef WRITE
#undef READ_WRITE
#undef WRITE_READ
#undef ACTION
#undef RAW
#undef TOTAL
#undef STAT
#undef EXTENT
#undef LOCK

/* For the files behind the names: */

#define READER(function)  int ctl_read_##function(const size_t *index, union ctl_value *value)
#define WRITER(function)  int ctl_write_##function(const size_t *index, const union ctl_value *value)
#define CALLER(function)  int ctl_call_##function(const size_t *index, const struct ctl_call *call)
#define UNUSED(parameter) ((void)(parameter))

/* A value that is one expression, which may use `index`. */
#define SIMPLE(function, member, expression) \
	READER(function) { \
		UNUSED(index); \
		value->member = (expression); \
		return 0; \
	}

/* Runs over the arenas an index stands for; those not made yet are left out. */
#define EACH_OF(arena, index) \
	for (unsigned i_ = ctl_all_arenas(index) ? 0 : (unsigned)(index), \
	              end_ = ctl_all_arenas(index) ? arena_count() : (unsigned)(index) + 1; \
	     i_ < end_; i_++) \
		for (struct arena *arena = arena_at(i_); arena != NULL; arena = NULL)

#endif
