/* names_stats.c - what stands behind the names of stats.* that are no place in the snapshot. */
#include "ctl/names.h"
#include "arena/arena.h"
#include "os/os.h"
#include "thread/thread.h"

#include <errno.h>

static bool is_sum(size_t index) {
	return ctl_all_arenas(index) || index == CTL_DESTROYED_ARENAS;
}

/* Sums have no one decay time. */
static int stats_decay_ms(size_t index, enum page_state state, union ctl_value *value) {
	value->as_ssize = -1;
	return is_sum(index) ? 0 : ctl_read_decay_ms(index, state, value);
}
READER(stats_dirty_decay_ms) {
	return stats_decay_ms(index[0], PAGE_DIRTY, value);
}
READER(stats_muzzy_decay_ms) {
	return stats_decay_ms(index[0], PAGE_MUZZY, value);
}

READER(stats_dss) {
	value->as_text = "N/A";
	return is_sum(index[0]) ? 0 : ctl_read_dss(index, value);
}

SIMPLE(resident_system, as_size, os_resident())
SIMPLE(huge_backed, as_size, os_huge_resident())

READER(approximate_active) {
	UNUSED(index);
	value->as_size = 0;
	EACH_ARENA (arena, i)
		value->as_size += arena_peek_active(arena) * PAGE;
	return 0;
}

WRITER(mutexes_reset) {
	UNUSED(index);
	UNUSED(value);
	lock_reset_counts();
	return 0;
}
