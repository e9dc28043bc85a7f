/* hooks.c - the default table, and calling any table. */
#include "os/os.h"
#include "thread/event.h"
#include "page/page.h"
#include "page/inside.h"

static struct page_settings settings = {.dss = PAGE_DSS_SECONDARY}; /* [const after start] */
static _Atomic(uint8_t) default_dss = PAGE_DSS_SECONDARY;           /* [atomic] */

STARTUP void page_prepare(const struct page_settings *wanted) {
	settings = *wanted;
	fence_every[SPAN_SLAB] = wanted->fence_slabs;
	fence_every[SPAN_LARGE] = wanted->fence_larges;
	page_set_default_dss(wanted->dss);
}

STARTUP enum page_dss page_default_dss(void) {
	return (enum page_dss)load_relaxed(&default_dss);
}

void page_set_default_dss(enum page_dss dss) {
	store_relaxed(&default_dss, (uint8_t)dss);
}

bool hook_retains(void) {
	return !settings.no_retain;
}

void hook_advise(uintptr_t base, size_t size) {
	bool matters =
		os.thp == OS_THP_MADVISE || (os.thp == OS_THP_ALWAYS && settings.thp == PAGE_THP_NEVER);
	if (settings.thp != PAGE_THP_DEFAULT && matters)
		(void)os_huge_pages((void *)base, size, settings.thp == PAGE_THP_ALWAYS);
}

bool hook_thp_comes(void) {
	return os.thp == OS_THP_ALWAYS ? settings.thp != PAGE_THP_NEVER
	                               : os.thp == OS_THP_MADVISE && settings.thp == PAGE_THP_ALWAYS;
}

bool hook_thp_of_dense(void) {
	return settings.thp_of_dense && settings.thp == PAGE_THP_DEFAULT && os.thp == OS_THP_MADVISE;
}

size_t hook_thp_threshold(void) {
	return settings.thp_threshold;
}

uint64_t hook_thp_delay(void) {
	return settings.thp_delay;
}

void hook_thp_make(uintptr_t base) {
	if (os_huge_pages((void *)base, CHUNK, true) == 0 && settings.thp_collapse)
		(void)os_collapse((void *)base, CHUNK);
}

/* -- mapping --------------------------------------------------------------------------------------------------- */

/* Near the hint if possible, else with slack to cut off. */
static bool map_aligned(uintptr_t hint, size_t size, size_t align, uintptr_t *out) {
	void *memory;
	if (os_map((void *)round_up(hint, align), size, &memory) != 0)
		return false;
	if (((uintptr_t)memory & (align - 1)) != 0) {
		(void)os_unmap(memory, size);
		if (size + align < size || os_map(NULL, size + align, &memory) != 0)
			return false;
		uintptr_t start = (uintptr_t)memory, aligned = round_up(start, align),
			  end = start + size + align;
		if (aligned > start)
			(void)os_unmap(memory, aligned - start);
		if (end > aligned + size)
			(void)os_unmap((void *)(aligned + size), end - aligned - size);
		memory = (void *)aligned;
	}
	*out = (uintptr_t)memory;
	return true;
}

static bool take_break(size_t size, size_t align, uintptr_t *out) {
	void *memory;
	if (os_dss_take(size, align, &memory) != 0)
		return false;
	*out = (uintptr_t)memory;
	return true;
}

bool hook_map(enum page_dss dss, uintptr_t hint, size_t size, size_t align, uintptr_t *out) {
	bool done = (dss == PAGE_DSS_PRIMARY && take_break(size, align, out)) ||
	            map_aligned(hint, size, align, out) ||
	            (dss == PAGE_DSS_SECONDARY && take_break(size, align, out));
	if (done)
		hook_advise(*out, size);
	return done;
}

/* -- the default table ----------------------------------------------------------------------------------------- */

/* The floor below works on whole system pages. */
static bool is_whole(const void *addr, size_t size) {
	return size != 0 && (((uintptr_t)addr | size) & (os.page_size - 1)) == 0;
}

/* NOLINTNEXTLINE(readability-function-size): its parameters are given */
static void *default_alloc(extent_hooks_t *table, void *new_addr, size_t size, size_t align, bool *zero,
                           bool *commit, unsigned arena) {
	(void)table;
	(void)arena;
	uintptr_t base = (uintptr_t)new_addr;
	bool usable = is_whole(new_addr, size) && is_power_of_two(align);
	if (!usable || (base != 0 && ((base & (align - 1)) != 0 || os_map_at(new_addr, size) != 0)))
		return NULL;
	if (base == 0 && !hook_map(page_default_dss(), 0, size, size_max(align, os.page_size), &base))
		return NULL;
	*zero = *commit = true;
	return (void *)base;
}

static bool default_dalloc(extent_hooks_t *table, void *addr, size_t size, bool committed, unsigned arena) {
	(void)table;
	(void)committed;
	(void)arena;
	return hook_retains() || !is_whole(addr, size) || os_dss_owns(addr) || os_unmap(addr, size) != 0;
}

static void default_destroy(extent_hooks_t *table, void *addr, size_t size, bool committed, unsigned arena) {
	(void)table;
	(void)committed;
	(void)arena;
	if (!is_whole(addr, size))
		return;
	if (os_dss_owns(addr) || os_unmap(addr, size) != 0)
		(void)os_purge(addr, size);
}

/* Address space costs nothing here that could be given back but by purging. */
/* NOLINTNEXTLINE(readability-function-size): its parameters are given */
static bool default_commit(extent_hooks_t *table, void *addr, size_t size, size_t offset, size_t length,
                           unsigned arena) {
	(void)table;
	(void)addr;
	(void)size;
	(void)offset;
	(void)length;
	(void)arena;
	return true;
}

/* NOLINTNEXTLINE(readability-function-size): its parameters are given */
static bool default_purge_lazy(extent_hooks_t *table, void *addr, size_t size, size_t offset, size_t length,
                               unsigned arena) {
	(void)table;
	(void)size;
	(void)arena;
	char *at = (char *)addr + offset;
	return !is_whole(at, length) || os_purge_lazy(at, length) != 0;
}

/* NOLINTNEXTLINE(readability-function-size): its parameters are given */
static bool default_purge_forced(extent_hooks_t *table, void *addr, size_t size, size_t offset, size_t length,
                                 unsigned arena) {
	(void)table;
	(void)size;
	(void)arena;
	char *at = (char *)addr + offset;
	return !is_whole(at, length) || os_purge(at, length) != 0;
}

/* NOLINTNEXTLINE(readability-function-size): its parameters are given */
static bool default_split(extent_hooks_t *table, void *addr, size_t size, size_t size_a, size_t size_b,
                          bool committed, unsigned arena) {
	(void)table;
	(void)addr;
	(void)size;
	(void)size_a;
	(void)size_b;
	(void)committed;
	(void)arena;
	return false;
}

/* NOLINTNEXTLINE(readability-function-size): its parameters are given */
static bool default_merge(extent_hooks_t *table, void *addr_a, size_t size_a, void *addr_b, size_t size_b,
                          bool committed, unsigned arena) {
	(void)table;
	(void)size_a;
	(void)size_b;
	(void)committed;
	(void)arena;
	return os_dss_owns(addr_a) != os_dss_owns(addr_b);
}

extent_hooks_t page_default_hooks = {
	.alloc = default_alloc,
	.dalloc = default_dalloc,
	.destroy = default_destroy,
	.commit = default_commit,
	.decommit = default_commit,
	.purge_lazy = default_purge_lazy,
	.purge_forced = default_purge_forced,
	.split = default_split,
	.merge = default_merge,
};

/* -- calling --------------------------------------------------------------------------------------------------- */

/* A range that is of no use goes back; when nobody wants it, it stays where it is. */
static void give_up(struct hooked hooked, uintptr_t base, size_t size, bool committed) {
	if (base != 0 && !hook_dalloc(hooked, base, size, committed))
		(void)hook_destroy(hooked, base, size, committed);
}

bool hook_alloc(struct hooked hooked, size_t size, size_t align, struct grant *out) {
	bool zero = false, commit = false;
	if (hooked.table->alloc == NULL)
		return false;
	void *was = event_suspend();
	uintptr_t got =
		(uintptr_t)hooked.table->alloc(hooked.table, NULL, size, align, &zero, &commit, hooked.arena);
	event_resume(was);
	uintptr_t base = got & ~(uintptr_t)EXTENT_ALLOC_FLAG_MASK;
	*out = (struct grant){base, zero, commit, got & EXTENT_ALLOC_FLAG_PINNED};
	if (base != 0 && (base & (align - 1)) == 0 && base + size > base)
		return true;
	give_up(hooked, base, size, commit);
	return false;
}

bool hook_dalloc(struct hooked hooked, uintptr_t base, size_t size, bool committed) {
	if (hooked.table->dalloc == NULL)
		return false;
	void *was = event_suspend();
	bool declined = hooked.table->dalloc(hooked.table, (void *)base, size, committed, hooked.arena);
	event_resume(was);
	return !declined;
}

bool hook_destroy(struct hooked hooked, uintptr_t base, size_t size, bool committed) {
	if (hooked.table->destroy == NULL)
		return false;
	void *was = event_suspend();
	hooked.table->destroy(hooked.table, (void *)base, size, committed, hooked.arena);
	event_resume(was);
	return true;
}

/* commit, decommit and the two purges have one form. */
static bool call_part(struct hooked hooked, extent_purge_t *member, const struct hook_part *part) {
	if (member == NULL)
		return false;
	void *was = event_suspend();
	bool declined = member(hooked.table, (void *)part->base, part->size, part->offset, part->length,
	                       hooked.arena);
	event_resume(was);
	return !declined;
}

bool hook_commit(struct hooked hooked, const struct hook_part *part) {
	return call_part(hooked, hooked.table->commit, part);
}

bool hook_decommit(struct hooked hooked, const struct hook_part *part) {
	return call_part(hooked, hooked.table->decommit, part);
}

bool hook_purge_lazy(struct hooked hooked, const struct hook_part *part) {
	return call_part(hooked, hooked.table->purge_lazy, part);
}

bool hook_purge_forced(struct hooked hooked, const struct hook_part *part) {
	return call_part(hooked, hooked.table->purge_forced, part);
}

bool hook_split(struct hooked hooked, const struct hook_pair *pair) {
	if (hooked.table->split == NULL)
		return false;
	void *was = event_suspend();
	bool declined = hooked.table->split(hooked.table, (void *)pair->base, pair->size_a + pair->size_b,
	                                    pair->size_a, pair->size_b, pair->committed, hooked.arena);
	event_resume(was);
	return !declined;
}

bool hook_merge(struct hooked hooked, const struct hook_pair *pair) {
	if (hooked.table->merge == NULL)
		return false;
	void *was = event_suspend();
	bool declined = hooked.table->merge(hooked.table, (void *)pair->base, pair->size_a,
	                                    (void *)(pair->base + pair->size_a), pair->size_b,
	                                    pair->committed, hooked.arena);
	event_resume(was);
	return !declined;
}
