/* names.c - what stands behind each name of mallctl. */
#include "ctl/names.h"
#include "cache/cache.h"
#include "os/os.h"
#include "thread/thread.h"
#include "version.h"

#include <errno.h>
#include <string.h>

#define INTERFACE_VERSION "5.3.1-0-g" ASHLAR_BUILD_GIT_ID
#define LARGE_CLASSES     196 /* four per doubling from LARGE_MIN to SIZE_LIMIT */
#define QUANTUM           16

#define READER(name)      static int read_##name(const size_t *index, union ctl_value *value)
#define WRITER(name)      static int write_##name(const size_t *index, const union ctl_value *value)
#define UNUSED(parameter) ((void)(parameter))

/* A value that needs no index. */
#define SIMPLE(name, member, expression) \
	READER(name) { \
		UNUSED(index); \
		value->member = (expression); \
		return 0; \
	}

SIMPLE(version, as_text, INTERFACE_VERSION)

static _Atomic(uint64_t) epoch = 1;
SIMPLE(epoch, as_uint64, load_relaxed(&epoch))
WRITER(epoch) {
	UNUSED(index);
	UNUSED(value);
	add_relaxed(&epoch, 1);
	return 0;
}

SIMPLE(background_thread, as_bool, thread_helper_runs())
WRITER(background_thread) {
	UNUSED(index);
	return value->as_bool == thread_helper_runs() ? 0 : EPERM;
}

/* -- the calling thread ---------------------------------------------------------------------------------- */

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

/* -- arenas ---------------------------------------------------------------------------------------------- */

static bool all_arenas(size_t index) {
	return index == CTL_ALL_ARENAS || index == arena_limit();
}

/* Runs over the arenas an index stands for; those not made yet are left out. */
#define EACH_OF(arena, index) \
	for (unsigned i_ = all_arenas(index) ? 0 : (unsigned)(index), \
	              end_ = all_arenas(index) ? arena_count() : (unsigned)(index) + 1; \
	     i_ < end_; i_++) \
		for (struct arena *arena = arena_at(i_); arena != NULL; arena = NULL)

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

static int read_decay_ms(size_t index, enum page_state state, union ctl_value *value) {
	struct arena *arena = all_arenas(index) ? NULL : arena_at((unsigned)index);
	if (arena == NULL)
		return EFAULT;
	value->as_ssize = (ssize_t)load_relaxed(&arena->pages.decay[state].ms);
	return 0;
}

static int write_decay_ms(size_t index, enum page_state state, ssize_t ms) {
	struct arena *arena = all_arenas(index) ? NULL : arena_at((unsigned)index);
	if (arena == NULL || ms < DECAY_NEVER || ms > DECAY_MS_LIMIT)
		return EFAULT;
	page_set_decay(&arena->pages, state, ms, os_now());
	thread_purge(arena, false); /* 0: at once */
	return 0;
}

READER(dirty_decay_ms) {
	return read_decay_ms(index[0], PAGE_DIRTY, value);
}
WRITER(dirty_decay_ms) {
	return write_decay_ms(index[0], PAGE_DIRTY, value->as_ssize);
}
READER(muzzy_decay_ms) {
	return read_decay_ms(index[0], PAGE_MUZZY, value);
}
WRITER(muzzy_decay_ms) {
	return write_decay_ms(index[0], PAGE_MUZZY, value->as_ssize);
}

SIMPLE(narenas, as_unsigned, arena_limit())
SIMPLE(quantum, as_size, QUANTUM)
SIMPLE(page, as_size, PAGE)
SIMPLE(cached_max, as_size, class_info[size_class(opt.tcache_max)].bytes)
SIMPLE(nbins, as_unsigned, CLASS_SMALL_LAST)
SIMPLE(nhbins, as_unsigned, size_class(opt.tcache_max))
SIMPLE(nlextents, as_unsigned, LARGE_CLASSES)
SIMPLE(bin_size, as_size, class_info[index[0] + 1].bytes)
SIMPLE(bin_nregs, as_uint32, class_info[index[0] + 1].regions)
SIMPLE(bin_slab_size, as_size, class_info[index[0] + 1].slab_pages *PAGE)

READER(large_size) {
	size_t place = index[0] == 0 ? 0 : (index[0] - 1) / 4,
	       step = index[0] == 0 ? 0 : (index[0] - 1) % 4 + 1;
	value->as_size = (LARGE_MIN << place) + step * (LARGE_MIN / 4 << place);
	return 0;
}

/* -- statistics ------------------------------------------------------------------------------------------ */

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
	if (all_arenas(index)) {
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
	return all_arenas(index) ? 0 : read_decay_ms(index, state, value);
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

/* -- the table ------------------------------------------------------------------------------------------- */

#define TYPE_BOOL     CTL_BOOL
#define TYPE_UNSIGNED CTL_UNSIGNED
#define TYPE_SIZE     CTL_SIZE
#define TYPE_SSIZE    CTL_SSIZE
#define TYPE_CHOICE   CTL_TEXT
#define TYPE_LETTERS  CTL_TEXT

static const struct ctl_name table[] = {
#define READ(name, type, function, sentence) \
	{name, CTL_##type, CTL_READ, read_##function, NULL, NULL, sentence},
#define READ_WRITE(name, type, function, sentence) \
	{name, CTL_##type, CTL_READ_WRITE, read_##function, write_##function, NULL, sentence},
#define WRITE_READ(name, type, function, sentence) \
	{name, CTL_##type, CTL_WRITE_READ, read_##function, write_##function, NULL, sentence},
#define ACTION(name, function, sentence) \
	{name, CTL_NOTHING, CTL_ACTION, NULL, write_##function, NULL, sentence},
#include "ctl/names.def"
#define OPTION(name, type, initial, lowest, highest, outside, writable, sentence) \
	{"opt." #name, TYPE_##type, CTL_READ, NULL, NULL, &opt.name, sentence},
#define ALIAS(name, target, highest, sentence)
#include "ctl/options.def"
};

unsigned ctl_name_count(void) {
	return COUNT_OF(table);
}

const struct ctl_name *ctl_name_at(unsigned row) {
	return &table[row];
}

bool ctl_index_valid(const char *kind, size_t index) {
	switch (kind[1]) {
	case 'a': /* <arena> */
		return index <= arena_limit() || index == CTL_ALL_ARENAS;
	case 'm': /* <made> */
		return index < arena_count() || all_arenas(index);
	case 'b': /* <bin> */
		return index < CLASS_SMALL_LAST;
	default: /* <large> */
		return index < LARGE_CLASSES;
	}
}

union ctl_value ctl_read_option(const void *field) {
	const struct option *option = option_at(0);
	while (option->value != field || option->alias)
		option++;
	union ctl_value value = {0};
	unsigned word = 0;
	switch (option->type) {
	case OPTION_BOOL:
		value.as_bool = *(const bool *)field;
		break;
	case OPTION_UNSIGNED:
		value.as_unsigned = *(const unsigned *)field;
		break;
	case OPTION_SIZE:
		value.as_size = *(const size_t *)field;
		break;
	case OPTION_SSIZE:
		value.as_ssize = *(const ssize_t *)field;
		break;
	case OPTION_CHOICE:
		memcpy(&word, field, sizeof word);
		value.as_text = option->words[word];
		break;
	case OPTION_LETTERS_OF:
		value.as_text = ((const struct option_letters *)field)->text;
		break;
	}
	return value;
}
