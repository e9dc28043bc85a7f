/* names_thread.c - what stands behind the names thread.*, tcache.* and the hook of thread events. */
#include "ctl/names.h"
#include "cache/cache.h"
#include "os/os.h"
#include "prof/prof.h"
#include "thread/thread.h"

#include <errno.h>
#include <string.h>

#define RANGES_MAX 1000 /* bytes of a text for ncached_max.write, with its end */

/* A value that needs the thread's cache, `cache`, and is one expression of it. */
#define OF_CACHE(function, member, expression) \
	READER(function) { \
		struct cache *cache = thread_enter(); \
		UNUSED(index); \
		if (cache == NULL) \
			return EAGAIN; \
		value->member = (expression); \
		return 0; \
	}

OF_CACHE(thread_arena, as_unsigned, cache->arena->index)
WRITER(thread_arena) {
	struct cache *cache = thread_enter();
	UNUSED(index);
	if (cache == NULL)
		return EAGAIN;
	struct arena *arena = arena_make(value->as_unsigned);
	if (arena == NULL)
		return value->as_unsigned < arena_limit() ? EAGAIN : EFAULT;
	return thread_set_arena(cache, arena);
}

/* -- bytes ----------------------------------------------------------------------------------------------------- */

OF_CACHE(thread_allocated, as_uint64, cache_allocated(cache))
OF_CACHE(thread_deallocated, as_uint64, cache_freed(cache))

/* The thread's counters, which change with every call from now on. NULL: no memory. */
static struct cache *watch_self(void) {
	struct cache *cache = thread_enter();
	return cache == NULL ? NULL : thread_watch(cache);
}

READER(thread_allocatedp) {
	struct cache *front = watch_self();
	UNUSED(index);
	value->as_pointer = front == NULL ? NULL : &front->allocated;
	return front == NULL ? EAGAIN : 0;
}

READER(thread_deallocatedp) {
	struct cache *front = watch_self();
	UNUSED(index);
	value->as_pointer = front == NULL ? NULL : &front->freed;
	return front == NULL ? EAGAIN : 0;
}

READER(thread_peak) {
	struct cache *cache = thread_enter();
	UNUSED(index);
	return cache == NULL ? EAGAIN : thread_peak_read(cache, &value->as_uint64);
}

WRITER(thread_peak_reset) {
	struct cache *cache = thread_enter();
	UNUSED(index);
	UNUSED(value);
	return cache == NULL ? EAGAIN : thread_peak_reset(cache);
}

/* As the program's structure, which is as long as this one. */
struct event_request {
	thread_event *call;
	uint64_t interval;
	bool allocations_only;
};

CALLER(thread_event) {
	struct event_request request;
	UNUSED(index);
	if (call->old != NULL || call->old_size != NULL)
		return EPERM;
	if (!ctl_take(call, &request, sizeof request))
		return EINVAL;
	return thread_on_event(request.call, request.interval, request.allocations_only);
}

/* -- the thread's cache ---------------------------------------------------------------------------------------- */

READER(tcache_enabled) {
	const struct cache *cache = thread_enter();
	UNUSED(index);
	value->as_bool = cache != NULL && cache_enabled(cache);
	return 0;
}

WRITER(tcache_enabled) {
	struct cache *cache = thread_enter();
	UNUSED(index);
	if (cache == NULL)
		return EAGAIN;
	cache_enable(cache, value->as_bool);
	return 0;
}

OF_CACHE(tcache_max, as_size, class_info[cache->max_class].bytes)
WRITER(tcache_max) {
	struct cache *cache = thread_enter();
	UNUSED(index);
	if (cache == NULL)
		return EAGAIN;
	cache_set_max(cache, size_class(size_min(value->as_size, CACHED_MAX)));
	return 0;
}

CALLER(ncached_max_read) {
	const struct cache *cache = thread_enter();
	size_t size;
	UNUSED(index);
	if (cache == NULL || !cache_enabled(cache))
		return ENOENT;
	if (!ctl_take(call, &size, sizeof size) || size > CACHED_MAX)
		return EINVAL;
	size_t most = cache_most(cache, size_class(size));
	return ctl_give(call, &most, sizeof most);
}

/* Each segment is for the classes that its sizes belong to. */
static bool take_most(void *most, const struct option_segment *segment) {
	if (segment->first > segment->last || segment->first > CACHED_MAX)
		return true;
	unsigned class = size_class(segment->first), last = size_class(size_min(segment->last, CACHED_MAX));
	for (; class <= last; class ++)
		((uint16_t *)most)[class] = (uint16_t)size_min(segment->value, UINT16_MAX);
	return true;
}

WRITER(ncached_max) {
	struct cache *cache = thread_enter();
	uint16_t most[CLASS_COUNT];
	UNUSED(index);
	if (cache == NULL || !cache_enabled(cache))
		return ENOENT;
	if (value == NULL || value->as_text == NULL)
		return EINVAL;
	size_t length = strnlen(value->as_text, RANGES_MAX);
	memcpy(most, cache->most, sizeof most);
	if (length == RANGES_MAX || !option_parse_ranges(value->as_text, length, take_most, most))
		return EINVAL;
	cache_set_most(cache, most);
	return 0;
}

WRITER(tcache_flush) {
	struct cache *cache = thread_enter();
	UNUSED(index);
	UNUSED(value);
	if (cache == NULL || !cache_enabled(cache))
		return EFAULT;
	cache_flush(cache, false);
	return 0;
}

/* Only where arenas are plenty is this thread likely to be the last one that could purge its own. */
WRITER(thread_idle) {
	struct cache *cache = thread_enter();
	UNUSED(index);
	UNUSED(value);
	if (cache == NULL)
		return 0;
	cache_flush(cache, false);
	if (arena_limit() > 2 * os.cpus)
		thread_purge(cache->arena, true);
	return 0;
}

/* -- profiling ------------------------------------------------------------------------------------------------- */

CALLER(thread_prof_name) {
	struct cache *cache = thread_enter();
	const char *name;
	UNUSED(index);
	if (cache == NULL)
		return EAGAIN;
	if (call->new == NULL && call->new_size == 0) {
		name = prof_thread_name(cache);
		return ctl_give(call, &name, sizeof name);
	}
	if (call->old != NULL || call->old_size != NULL)
		return EPERM;
	if (!ctl_take(call, &name, sizeof name))
		return EINVAL;
	if (opt.prof_sys_thread_name)
		return ENOENT;
	return name == NULL ? EINVAL : prof_set_thread_name(cache, name);
}

OF_CACHE(thread_prof_active, as_bool, prof_thread_is_active(cache))
WRITER(thread_prof_active) {
	struct cache *cache = thread_enter();
	UNUSED(index);
	return cache == NULL ? EAGAIN : prof_set_thread_active(cache, value->as_bool);
}

/* -- explicit caches ------------------------------------------------------------------------------------------- */

CALLER(explicit_create) {
	unsigned id;
	UNUSED(index);
	if (call->new != NULL || call->new_size != 0)
		return EPERM;
	if (!ctl_strict(call, sizeof id))
		return EINVAL;
	int error = thread_cache_create(&id);
	return error != 0 ? error : ctl_give(call, &id, sizeof id);
}

WRITER(explicit_flush) {
	UNUSED(index);
	if (value == NULL)
		return EINVAL;
	thread_cache_flush(value->as_unsigned);
	return 0;
}

WRITER(explicit_destroy) {
	UNUSED(index);
	if (value == NULL)
		return EINVAL;
	thread_cache_destroy(value->as_unsigned);
	return 0;
}
