/* names_arena.c - what stands behind the names arena.* and arenas.*. */
#include "ctl/names.h"
#include "arena/arena.h"
#include "os/os.h"
#include "thread/thread.h"

#include <errno.h>

#define QUANTUM 16

static int give_back(size_t index, bool all) {
	EACH_OF (arena, index)
		thread_purge(arena, all);
	return 0;
}

WRITER(decay) {
	UNUSED(value);
	return give_back(index[0], false);
}

WRITER(purge) {
	UNUSED(value);
	return give_back(index[0], true);
}

int ctl_read_decay_ms(size_t index, enum page_state state, union ctl_value *value) {
	struct arena *arena = ctl_all_arenas(index) ? NULL : arena_at((unsigned)index);
	if (arena == NULL)
		return EFAULT;
	value->as_ssize = (ssize_t)load_relaxed(&arena->pages.decay[state].ms);
	return 0;
}

static int write_decay_ms(size_t index, enum page_state state, ssize_t ms) {
	struct arena *arena = ctl_all_arenas(index) ? NULL : arena_at((unsigned)index);
	if (arena == NULL || ms < DECAY_NEVER || ms > DECAY_MS_LIMIT)
		return EFAULT;
	page_set_decay(&arena->pages, state, ms, os_now());
	thread_purge(arena, false); /* 0: at once */
	return 0;
}

READER(dirty_decay_ms) {
	return ctl_read_decay_ms(index[0], PAGE_DIRTY, value);
}
WRITER(dirty_decay_ms) {
	return write_decay_ms(index[0], PAGE_DIRTY, value->as_ssize);
}
READER(muzzy_decay_ms) {
	return ctl_read_decay_ms(index[0], PAGE_MUZZY, value);
}
WRITER(muzzy_decay_ms) {
	return write_decay_ms(index[0], PAGE_MUZZY, value->as_ssize);
}

SIMPLE(narenas, as_unsigned, arena_count())
SIMPLE(quantum, as_size, QUANTUM)
SIMPLE(page, as_size, PAGE)
SIMPLE(cached_max, as_size, class_info[size_class(opt.tcache_max)].bytes)
SIMPLE(nbins, as_unsigned, CLASS_SMALL_LAST)
SIMPLE(nhbins, as_unsigned, size_class(opt.tcache_max))
SIMPLE(nlextents, as_unsigned, LARGE_CLASSES)
SIMPLE(bin_size, as_size, class_info[index[0] + 1].bytes)
SIMPLE(bin_nregs, as_uint32, class_info[index[0] + 1].regions)
SIMPLE(bin_slab_size, as_size, class_info[index[0] + 1].slab_pages *PAGE)

SIMPLE(large_size, as_size, size_of_large_class((unsigned)index[0]))
