/* names_arena.c - what stands behind the names arena.*, arenas.* and experimental.arenas*. */
#include "ctl/names.h"
#include "arena/arena.h"
#include "os/os.h"
#include "thread/thread.h"

#include <errno.h>
#include <string.h>

#define QUANTUM 16

/* The one arena an index stands for; NULL where it means several, or one that is not there. */
static struct arena *arena_of(size_t index) {
	return ctl_all_arenas(index) ? NULL : arena_at((unsigned)index);
}

/* The same; automatic arenas are made. */
static struct arena *arena_made_of(size_t index) {
	return ctl_all_arenas(index) ? NULL : arena_make((unsigned)index);
}

/* -- one arena, or all --------------------------------------------------------------------------------------- */

READER(initialized) {
	value->as_bool = ctl_all_arenas(index[0]) ? arena_made() > 0 : arena_of(index[0]) != NULL;
	if (index[0] == CTL_DESTROYED_ARENAS)
		value->as_bool = arena_any_destroyed();
	return 0;
}

static int give_back(size_t index, bool all) {
	struct arena *arena = arena_of(index);
	if (index == CTL_DESTROYED_ARENAS)
		return EFAULT;
	if (arena != NULL || ctl_all_arenas(index))
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

static int end_blocks(size_t index, int (*end)(struct arena *)) {
	struct arena *arena = arena_of(index);
	if (arena == NULL || !arena_is_manual(arena))
		return EFAULT;
	thread_flush_explicit(arena);
	return end(arena);
}

WRITER(reset) {
	UNUSED(value);
	return end_blocks(index[0], thread_reset_arena);
}
WRITER(destroy) {
	UNUSED(value);
	return end_blocks(index[0], thread_destroy_arena);
}

static const char *const dss_words[] = {
	[PAGE_DSS_DISABLED] = "disabled", [PAGE_DSS_PRIMARY] = "primary", [PAGE_DSS_SECONDARY] = "secondary"};

READER(dss) {
	struct arena *arena = arena_of(index[0]);
	if (arena == NULL && !ctl_all_arenas(index[0]))
		return EFAULT;
	value->as_text = dss_words[arena != NULL ? page_dss(&arena->pages) : page_default_dss()];
	return 0;
}
WRITER(dss) {
	struct arena *arena = arena_of(index[0]);
	enum page_dss dss = 0;
	while (value->as_text != NULL && dss < PAGE_DSS_COUNT && strcmp(value->as_text, dss_words[dss]) != 0)
		dss++;
	if (value->as_text == NULL || dss == PAGE_DSS_COUNT)
		return EINVAL;
	if (arena != NULL)
		page_set_dss(&arena->pages, dss);
	else if (ctl_all_arenas(index[0]))
		page_set_default_dss(dss);
	else
		return EFAULT;
	return 0;
}

/* -- one arena ----------------------------------------------------------------------------------------------- */

READER(oversize_threshold) {
	struct arena *arena = arena_of(index[0]);
	if (arena == NULL)
		return EFAULT;
	value->as_size = load_relaxed(&arena->oversize);
	return 0;
}
WRITER(oversize_threshold) {
	struct arena *arena = arena_of(index[0]);
	if (arena == NULL)
		return EFAULT;
	store_relaxed(&arena->oversize, value->as_size);
	return 0;
}

int ctl_read_decay_ms(size_t index, enum page_state state, union ctl_value *value) {
	struct arena *arena = arena_of(index);
	if (arena == NULL)
		return EFAULT;
	value->as_ssize = (ssize_t)load_relaxed(&arena->pages.decay[state].ms);
	return 0;
}

static int write_decay_ms(size_t index, enum page_state state, ssize_t ms) {
	struct arena *arena = arena_of(index);
	if (arena == NULL || ms < DECAY_NEVER || ms > DECAY_MS_LIMIT)
		return EFAULT;
	arena_set_decay(arena, state, ms, os_now());
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

/* May this automatic arena still be made? */
static bool may_be_made(size_t index) {
	return index < arena_limit() || (index == arena_limit() && arena_has_oversize());
}

READER(extent_hooks) {
	struct arena *arena = arena_of(index[0]);
	if (arena == NULL && (ctl_all_arenas(index[0]) || !may_be_made(index[0])))
		return EFAULT;
	value->as_pointer = arena != NULL ? page_hooks(&arena->pages) : &page_default_hooks;
	return 0;
}
WRITER(extent_hooks) {
	if (value->as_pointer == NULL)
		return EINVAL;
	struct arena *arena = arena_made_of(index[0]);
	if (arena == NULL || !page_set_hooks(&arena->pages, value->as_pointer, NULL))
		return EFAULT;
	return 0;
}

READER(retain_grow_limit) {
	struct arena *arena = arena_of(index[0]);
	if (!opt.retain)
		return ENOENT;
	if (arena == NULL)
		return EFAULT;
	value->as_size = page_grow_limit(&arena->pages);
	return 0;
}
WRITER(retain_grow_limit) {
	struct arena *arena = arena_of(index[0]);
	if (!opt.retain)
		return ENOENT;
	return arena != NULL && page_set_grow_limit(&arena->pages, value->as_size) ? 0 : EFAULT;
}

CALLER(arena_name) {
	struct arena *arena = arena_of(index[0]);
	char *to = NULL;
	const char *name = NULL;
	if (ctl_all_arenas(index[0]) || index[0] == CTL_DESTROYED_ARENAS)
		return EINVAL;
	if (arena == NULL)
		return EFAULT;
	if ((ctl_reads(call) && *call->old_size != sizeof to) ||
	    (call->new != NULL && !ctl_take(call, &name, sizeof name)))
		return EINVAL;
	if (ctl_reads(call)) {
		memcpy(&to, call->old, sizeof to);
		if (to == NULL)
			return EINVAL;
		arena_read_name(arena, to);
	}
	if (call->new != NULL) {
		if (name == NULL)
			return EINVAL;
		arena_set_name(arena, name);
	}
	return 0;
}

/* -- all of them --------------------------------------------------------------------------------------------- */

SIMPLE(narenas, as_unsigned, arena_count())
SIMPLE(default_dirty_decay_ms, as_ssize, (ssize_t)arena_default_decay(PAGE_DIRTY))
SIMPLE(default_muzzy_decay_ms, as_ssize, (ssize_t)arena_default_decay(PAGE_MUZZY))
WRITER(default_dirty_decay_ms) {
	UNUSED(index);
	return arena_set_default_decay(PAGE_DIRTY, value->as_ssize);
}
WRITER(default_muzzy_decay_ms) {
	UNUSED(index);
	return arena_set_default_decay(PAGE_MUZZY, value->as_ssize);
}

SIMPLE(quantum, as_size, QUANTUM)
SIMPLE(page, as_size, PAGE)
SIMPLE(hugepage, as_size, CHUNK)
SIMPLE(cached_max, as_size, class_info[size_class(opt.tcache_max)].bytes)
SIMPLE(nbins, as_unsigned, CLASS_SMALL_LAST)
SIMPLE(nhbins, as_unsigned, size_class(opt.tcache_max))
SIMPLE(nlextents, as_unsigned, LARGE_CLASSES)
SIMPLE(bin_size, as_size, class_info[index[0] + 1].bytes)
SIMPLE(bin_nregs, as_uint32, class_info[index[0] + 1].regions)
SIMPLE(bin_slab_size, as_size, class_info[index[0] + 1].slab_pages *PAGE)
SIMPLE(bin_nshards, as_uint32, arena_shards((unsigned)index[0] + 1))
SIMPLE(large_size, as_size, size_of_large_class((unsigned)index[0]))

static int create(extent_hooks_t *hooks, const struct ctl_call *call) {
	unsigned made;
	int error = arena_create(hooks, &made);
	return error != 0 ? error : ctl_give(call, &made, sizeof made);
}

CALLER(arenas_create) {
	extent_hooks_t *hooks = NULL;
	UNUSED(index);
	if (!ctl_strict(call, sizeof(unsigned)) ||
	    (call->new != NULL && !ctl_take(call, &hooks, sizeof hooks)))
		return EINVAL;
	return create(hooks, call);
}

struct arena_config {
	extent_hooks_t *hooks;
	bool metadata_use_hooks; /* changes nothing */
};

CALLER(arenas_create_ext) {
	struct arena_config config = {0};
	UNUSED(index);
	if (!ctl_strict(call, sizeof(unsigned)) ||
	    (call->new != NULL && !ctl_take(call, &config, sizeof config)))
		return EINVAL;
	return create(config.hooks, call);
}

CALLER(arenas_lookup) {
	const void *block;
	UNUSED(index);
	if (!ctl_take(call, &block, sizeof block))
		return EINVAL;
	const struct arena *arena = arena_of_block(block);
	return arena == NULL ? EINVAL : ctl_give(call, &arena->index, sizeof arena->index);
}

READER(pactivep) {
	struct arena *arena = arena_of(index[0]);
	if (index[0] >= arena_count())
		return EINVAL;
	if (arena == NULL)
		return EFAULT;
	value->as_pointer = &arena->pages.active;
	return 0;
}
