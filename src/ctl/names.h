/* names.h - what names.c gives to mallctl.c; nobody else includes it. */
#ifndef ASHLAR_CTL_NAMES_H
#define ASHLAR_CTL_NAMES_H

#include "ctl/ctl.h"

#define CTL_ALL_ARENAS 4096

enum ctl_type { CTL_BOOL, CTL_UNSIGNED, CTL_UINT32, CTL_UINT64, CTL_SIZE, CTL_SSIZE, CTL_TEXT, CTL_NOTHING };
enum ctl_access { CTL_READ, CTL_READ_WRITE, CTL_WRITE_READ, CTL_ACTION };

union ctl_value {
	bool as_bool;
	unsigned as_unsigned;
	uint32_t as_uint32;
	uint64_t as_uint64;
	size_t as_size;
	ssize_t as_ssize;
	const char *as_text;
};

/* One name. The functions get the indices of the name in order; 0 or an errno. */
struct ctl_name {
	const char *name; /* <...> stands for an index */
	enum ctl_type type;
	enum ctl_access access;
	int (*read)(const size_t *index, union ctl_value *value);
	int (*write)(const size_t *index, const union ctl_value *value); /* an action: value is NULL */
	const void *field;                                               /* of an option; read is NULL */
	const char *sentence;
};
unsigned ctl_name_count(void);
const struct ctl_name *ctl_name_at(unsigned row);

/* Is this an index that may stand for `kind`, "<arena>" and so on? */
bool ctl_index_valid(const char *kind, size_t index);

/* The value of an option by its field in opt. */
union ctl_value ctl_read_option(const void *field);

#endif
