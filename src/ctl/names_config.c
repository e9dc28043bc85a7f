/* names_config.c - what stands behind config.*, opt.malloc_conf.*, ashlar.trim, the names of the helper thread, of the
 * machine and of the limits of memory. */
#include "ctl/names.h"
#include "os/os.h"
#include "thread/thread.h"

#include <errno.h>

/* -- how the library was built --------------------------------------------------------------------------------- */

SIMPLE(config_cache_oblivious, as_bool, true)
SIMPLE(config_debug, as_bool, ASHLAR_DEBUG >= 1)
SIMPLE(config_fill, as_bool, true)
SIMPLE(config_lazy_lock, as_bool, false)
SIMPLE(config_malloc_conf, as_text, option_source(SOURCE_BUILD))
SIMPLE(config_opt_safety_checks, as_bool, false)
SIMPLE(config_prof, as_bool, true)
SIMPLE(config_prof_frameptr, as_bool, false)
SIMPLE(config_prof_libgcc, as_bool, true)
SIMPLE(config_prof_libunwind, as_bool, false)
SIMPLE(config_stats, as_bool, true)
SIMPLE(config_utrace, as_bool, false)
SIMPLE(config_xmalloc, as_bool, true)

/* -- where its options come from ------------------------------------------------------------------------------- */

static int read_source(enum option_source source, union ctl_value *value) {
	value->as_text = option_source(source);
	return value->as_text != NULL ? 0 : ENOENT;
}

READER(conf_variable) {
	UNUSED(index);
	return read_source(SOURCE_VARIABLE, value);
}
READER(conf_link) {
	UNUSED(index);
	return read_source(SOURCE_LINK, value);
}
READER(conf_environment) {
	UNUSED(index);
	return read_source(SOURCE_ENVIRONMENT, value);
}
READER(conf_harder) {
	UNUSED(index);
	return read_source(SOURCE_HARDER, value);
}

/* -- giving back ----------------------------------------------------------------------------------------------- */

CALLER(trim) {
	UNUSED(index);
	if (call->new != NULL || call->new_size != 0)
		return EPERM;
	if (ctl_reads(call) && *call->old_size != sizeof(size_t))
		return EINVAL;
	size_t given = thread_trim();
	return ctl_give(call, &given, sizeof given);
}

/* -- the helper thread ----------------------------------------------------------------------------------------- */

SIMPLE(background_thread, as_bool, thread_helper_asked())
WRITER(background_thread) {
	UNUSED(index);
	return thread_ask_helper(value->as_bool) ? 0 : EFAULT;
}

static _Atomic(size_t) most_threads; /* [atomic] 0: as the option */

static size_t max_threads(void) {
	size_t most = load_relaxed(&most_threads);
	return most != 0 ? most : opt.max_background_threads;
}

SIMPLE(max_background_threads, as_size, max_threads())
WRITER(max_background_threads) {
	UNUSED(index);
	if (value->as_size == 0 || value->as_size > opt.max_background_threads)
		return EINVAL;
	bool again = value->as_size != max_threads() && thread_helper_asked();
	if (again && !thread_ask_helper(false))
		return EFAULT;
	store_relaxed(&most_threads, value->as_size);
	return !again || thread_ask_helper(true) ? 0 : EFAULT;
}

SIMPLE(helper_threads, as_size, thread_helper_runs() ? 1 : 0)
SIMPLE(helper_runs, as_uint64, thread_read_helper().runs)
READER(helper_interval) {
	struct helper_stats stats = thread_read_helper();
	UNUSED(index);
	value->as_uint64 = stats.runs != 0 ? stats.slept / stats.runs : 0;
	return 0;
}

/* -- the machine ------------------------------------------------------------------------------------------------ */

SIMPLE(machine_cpus, as_size, os.cpus)
SIMPLE(machine_cpus_there, as_size, os.cpus_there)
SIMPLE(machine_memory, as_size, os.memory)
SIMPLE(machine_memory_max, as_size, os.memory_max)
SIMPLE(machine_memory_high, as_size, os.memory_high)

/* -- limits of memory --------------------------------------------------------------------------------------------- */

static int set_limit(enum limit_kind kind, size_t bytes) {
	if (bytes > SIZE_LIMIT)
		return EINVAL;
	thread_set_limit(kind, bytes);
	return 0;
}

SIMPLE(percpu_on, as_bool, cache_read_percpu().on)
SIMPLE(percpu_cpus, as_size, cache_read_percpu().cpus)
SIMPLE(percpu_bytes, as_size, cache_read_percpu().bytes)

SIMPLE(limit_soft, as_size, thread_limit(LIMIT_SOFT))
WRITER(limit_soft) {
	UNUSED(index);
	return set_limit(LIMIT_SOFT, value->as_size);
}

SIMPLE(limit_hard, as_size, thread_limit(LIMIT_HARD))
WRITER(limit_hard) {
	UNUSED(index);
	return set_limit(LIMIT_HARD, value->as_size);
}

SIMPLE(limit_used, as_size, thread_read_limits().used)
SIMPLE(limit_above, as_bool, thread_read_limits().above)
SIMPLE(limit_exceeded, as_uint64, thread_read_limits().exceeded)
SIMPLE(limit_purges, as_uint64, thread_read_limits().purges)
SIMPLE(limit_refused, as_uint64, thread_read_limits().refused)
