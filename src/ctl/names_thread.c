/* names_thread.c - what stands behind the names thread.* and tcache.*. */
#include "ctl/names.h"
#include "cache/cache.h"
#include "thread/thread.h"

#include <errno.h>

READER(thread_arena) {
	const struct cache *cache = thread_enter();
	UNUSED(index);
	if (cache == NULL)
		return EAGAIN;
	value->as_unsigned = cache->arena->index;
	return 0;
}

READER(tcache_enabled) {
	UNUSED(index);
	value->as_bool = opt.tcache && thread_enter() != NULL;
	return 0;
}

WRITER(tcache_flush) {
	struct cache *cache = thread_enter();
	UNUSED(index);
	UNUSED(value);
	if (cache == NULL || !opt.tcache)
		return EFAULT;
	cache_flush(cache, false);
	return 0;
}
