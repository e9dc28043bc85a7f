/* names_prof.c - what stands behind the names of heap profiling.
 *
 * Switches can be read and written at any time. What asks for samples answers ENOENT until profiling was first switched
 * on, by prof:true or by prof.active. */
#include "ctl/names.h"
#include "prof/prof.h"

#include <errno.h>
#include <string.h>

/* -- switches -------------------------------------------------------------------------------------------------- */

SIMPLE(prof_thread_active_init, as_bool, prof_thread_active_init())
WRITER(prof_thread_active_init) {
	UNUSED(index);
	prof_set_thread_active_init(value->as_bool);
	return 0;
}

SIMPLE(prof_active, as_bool, prof_active())
WRITER(prof_active) {
	UNUSED(index);
	prof_set_active(value->as_bool);
	return 0;
}

SIMPLE(prof_gdump, as_bool, prof_gdump())
WRITER(prof_gdump) {
	UNUSED(index);
	prof_set_gdump(value->as_bool);
	return 0;
}

SIMPLE(prof_interval, as_uint64, prof_interval())
SIMPLE(prof_lg_sample, as_size, prof_known() ? prof_lg_sample() : 0)

WRITER(prof_reset) {
	UNUSED(index);
	prof_reset(value == NULL ? prof_lg_sample() : (unsigned)size_min(value->as_size, 63));
	return 0;
}

/* -- dumps ----------------------------------------------------------------------------------------------------- */

WRITER(prof_dump) {
	UNUSED(index);
	return prof_known() ? prof_dump(value == NULL ? NULL : value->as_text) : ENOENT;
}

WRITER(prof_dump_fd) {
	UNUSED(index);
	if (value == NULL)
		return EINVAL;
	return prof_known() ? prof_dump_to_file((int)value->as_unsigned) : ENOENT;
}

/* As the program's structure. */
struct receiver {
	prof_writer *write;
	void *opaque;
};

CALLER(prof_dump_call) {
	struct receiver receiver;
	UNUSED(index);
	if (call->old != NULL || call->old_size != NULL)
		return EPERM;
	if (!ctl_take(call, &receiver, sizeof receiver) || receiver.write == NULL)
		return EINVAL;
	return prof_known() ? prof_dump_to_call(receiver.write, receiver.opaque) : ENOENT;
}

WRITER(prof_prefix) {
	UNUSED(index);
	if (value == NULL || value->as_text == NULL)
		return EFAULT;
	prof_set_prefix(value->as_text);
	return 0;
}

WRITER(prof_log_start) {
	UNUSED(index);
	return prof_known() ? prof_log_start(value == NULL ? NULL : value->as_text) : ENOENT;
}

WRITER(prof_log_stop) {
	UNUSED(index);
	UNUSED(value);
	return prof_known() ? prof_log_stop() : ENOENT;
}

/* -- figures --------------------------------------------------------------------------------------------------- */

static int give_requests(const struct ctl_call *call, struct prof_requests requests) {
	if (call->new != NULL || call->new_size != 0)
		return EPERM;
	if (!prof_known() || !opt.prof_stats)
		return ENOENT;
	return ctl_give(call, &requests, sizeof requests);
}

CALLER(prof_bin_live) {
	return give_requests(call, prof_requests_small((unsigned)index[0] + 1, true));
}
CALLER(prof_bin_accum) {
	return give_requests(call, prof_requests_small((unsigned)index[0] + 1, false));
}
CALLER(prof_large_live) {
	return give_requests(call, prof_requests_large((unsigned)index[0], true));
}
CALLER(prof_large_accum) {
	return give_requests(call, prof_requests_large((unsigned)index[0], false));
}

CALLER(prof_recent_max) {
	ssize_t old = prof_recent_max(), wanted;
	UNUSED(index);
	if (!prof_known())
		return ENOENT;
	if (call->new != NULL || call->new_size != 0) {
		if (!ctl_take(call, &wanted, sizeof wanted) || wanted < -1)
			return EINVAL;
		prof_set_recent_max(wanted);
	}
	return ctl_give(call, &old, sizeof old);
}

struct text_receiver {
	prof_text_writer *write;
	void *opaque;
};

CALLER(prof_recent_dump) {
	struct text_receiver receiver;
	UNUSED(index);
	if (call->old != NULL || call->old_size != NULL)
		return EPERM;
	if (!prof_known())
		return ENOENT;
	if (!ctl_take(call, &receiver, sizeof receiver) || receiver.write == NULL)
		return EINVAL;
	return prof_dump_recent(receiver.write, receiver.opaque);
}

/* -- functions of the program's -------------------------------------------------------------------------------- */

#define HOOK(name, type, get, set) \
	READER(name) { \
		type *function = get(); \
		UNUSED(index); \
		memcpy(&value->as_pointer, &function, sizeof function); \
		return 0; \
	} \
	WRITER(name) { \
		type *function; \
		UNUSED(index); \
		memcpy(&function, &value->as_pointer, sizeof function); \
		set(function); \
		return 0; \
	}

HOOK(prof_dump_hook, prof_dumped, prof_dump_hook, prof_set_dump_hook)
HOOK(prof_sample_hook, prof_sampled, prof_sample_hook, prof_set_sample_hook)
HOOK(prof_free_hook, prof_sample_freed, prof_free_hook, prof_set_free_hook)

READER(prof_backtrace) {
	prof_backtrace *function = prof_reader();
	UNUSED(index);
	memcpy(&value->as_pointer, &function, sizeof function);
	return 0;
}
WRITER(prof_backtrace) {
	prof_backtrace *function;
	UNUSED(index);
	if (value->as_pointer == NULL)
		return EINVAL;
	memcpy(&function, &value->as_pointer, sizeof function);
	prof_set_reader(function);
	return 0;
}
