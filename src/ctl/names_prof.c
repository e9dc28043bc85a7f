/* names_prof.c - what stands behind the names of heap profiling, which this version does not do: they answer as they do
 * where profiling is off (opt.prof false). */
#include "ctl/names.h"

#include <errno.h>

/* A switch reads false; what asks for samples finds none. */
#define OFF_READER(function, member, nothing) SIMPLE(function, member, nothing)
#define OFF_WRITER(function) \
	WRITER(function) { \
		UNUSED(index); \
		UNUSED(value); \
		return ENOENT; \
	}

OFF_READER(prof_thread_active_init, as_bool, false)
OFF_WRITER(prof_thread_active_init)
OFF_READER(prof_active, as_bool, false)
OFF_READER(prof_gdump, as_bool, false)
OFF_WRITER(prof_gdump)
OFF_READER(prof_interval, as_uint64, 0)
OFF_READER(prof_lg_sample, as_size, 0)
OFF_WRITER(prof_dump)
OFF_WRITER(prof_reset)
OFF_WRITER(prof_log_start)
OFF_WRITER(prof_log_stop)

/* Switching off what is off is fine. */
WRITER(prof_active) {
	UNUSED(index);
	return value->as_bool ? ENOENT : 0;
}

WRITER(prof_prefix) {
	UNUSED(index);
	return value == NULL || value->as_text == NULL ? EFAULT : ENOENT;
}

READER(prof_stats) {
	UNUSED(index);
	UNUSED(value);
	return ENOENT;
}

CALLER(prof_recent_max) {
	UNUSED(index);
	UNUSED(call);
	return ENOENT;
}
CALLER(prof_recent_dump) {
	UNUSED(index);
	return call->old != NULL || call->old_size != NULL ? EPERM : ENOENT;
}

/* No function is set, and none can be. */
READER(prof_hook) {
	UNUSED(index);
	value->as_pointer = NULL;
	return 0;
}
OFF_WRITER(prof_hook)

READER(prof_backtrace) {
	return ctl_read_prof_hook(index, value);
}
WRITER(prof_backtrace) {
	UNUSED(index);
	return value->as_pointer == NULL ? EINVAL : ENOENT;
}
