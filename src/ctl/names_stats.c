/* names_stats.c - what stands behind the names stats.*. */
#include "ctl/names.h"
#include "arena/arena.h"

#include <errno.h>

SIMPLE(allocated, as_size, ctl_read_figures().live)
SIMPLE(active, as_size, ctl_read_figures().active)
SIMPLE(metadata, as_size, ctl_read_figures().metadata)
SIMPLE(resident, as_size, ctl_read_figures().resident)
SIMPLE(mapped, as_size, ctl_read_figures().mapped)
SIMPLE(retained, as_size, ctl_read_figures().retained)

/* Sums of one arena, or of all with the pool. */
static struct page_stats pages_of(size_t index) {
	struct page_stats sum = {0};
	EACH_OF (arena, index) {
		struct page_stats own = page_read_stats(&arena->pages);
		sum.active += own.active;
		sum.dirty += own.dirty;
		sum.muzzy += own.muzzy;
		for (int state = 0; state < PAGE_STATES; state++) {
			sum.purged[state] += own.purged[state];
			sum.purges[state] += own.purges[state];
		}
	}
	if (ctl_all_arenas(index)) {
		struct pool_stats pool = pool_read_stats(arena_pool());
		sum.dirty += pool.dirty / PAGE;
		sum.purged[PAGE_DIRTY] += pool.purged;
		sum.purges[PAGE_DIRTY] += pool.purges;
	}
	return sum;
}

static struct class_stats class_of(size_t index, size_t class) {
	struct class_stats sum = {0};
	EACH_OF (arena, index) {
		struct class_stats own = arena_read_own_class(arena, (unsigned)class);
		sum.filled += own.filled;
		sum.flushed += own.flushed;
		sum.fills += own.fills;
		sum.flushes += own.flushes;
		sum.slabs += own.slabs;
	}
	return sum;
}

static size_t bytes_of(size_t index, unsigned first, unsigned last) {
	size_t sum = 0;
	for (unsigned class = first; class <= last; class ++) {
		struct class_stats stats = class_of(index, class);
		sum += (size_t)(stats.filled - stats.flushed) * class_info[class].bytes;
	}
	return sum;
}

READER(nthreads) {
	value->as_unsigned = 0;
	EACH_OF (arena, index[0])
		value->as_unsigned += load_relaxed(&arena->threads);
	return 0;
}

READER(large_allocated) {
	value->as_size = bytes_of(index[0], CLASS_SMALL_LAST + 1, CLASS_LAST);
	EACH_OF (arena, index[0])
		value->as_size += load_relaxed(&arena->huge_bytes);
	return 0;
}

READER(bin_nonfull_slabs) {
	value->as_size = 0;
	EACH_OF (arena, index[0])
		value->as_size += arena_count_nonfull(arena, (unsigned)index[1] + 1);
	return 0;
}

/* Sums have no one decay time. */
static int stats_decay_ms(size_t index, enum page_state state, union ctl_value *value) {
	value->as_ssize = -1;
	return ctl_all_arenas(index) ? 0 : ctl_read_decay_ms(index, state, value);
}
READER(stats_dirty_decay_ms) {
	return stats_decay_ms(index[0], PAGE_DIRTY, value);
}
READER(stats_muzzy_decay_ms) {
	return stats_decay_ms(index[0], PAGE_MUZZY, value);
}

SIMPLE(pactive, as_size, pages_of(index[0]).active)
SIMPLE(pdirty, as_size, pages_of(index[0]).dirty)
SIMPLE(pmuzzy, as_size, pages_of(index[0]).muzzy)
SIMPLE(dirty_nmadvise, as_uint64, pages_of(index[0]).purges[PAGE_DIRTY])
SIMPLE(dirty_purged, as_uint64, pages_of(index[0]).purged[PAGE_DIRTY])
SIMPLE(muzzy_nmadvise, as_uint64, pages_of(index[0]).purges[PAGE_MUZZY])
SIMPLE(muzzy_purged, as_uint64, pages_of(index[0]).purged[PAGE_MUZZY])
SIMPLE(small_allocated, as_size, bytes_of(index[0], 1, CLASS_SMALL_LAST))
SIMPLE(bin_nmalloc, as_uint64, class_of(index[0], index[1] + 1).filled)
SIMPLE(bin_ndalloc, as_uint64, class_of(index[0], index[1] + 1).flushed)
SIMPLE(bin_nfills, as_uint64, class_of(index[0], index[1] + 1).fills)
SIMPLE(bin_nflushes, as_uint64, class_of(index[0], index[1] + 1).flushes)
SIMPLE(bin_curslabs, as_size, class_of(index[0], index[1] + 1).slabs)

READER(bin_curregs) {
	struct class_stats stats = class_of(index[0], index[1] + 1);
	value->as_size = (size_t)(stats.filled - stats.flushed);
	return 0;
}
