/* hooks.h - the functions a private pool gets its memory from and gives it back to: the program's, or our own.
 *
 * `page_default_hooks` is the table that arenas have from the start: mmap and, by preference, sbrk. Its members look
 * at nothing in the table they are called with, so that a program may call them with its own, and wrap them. Around
 * every call of a member the thread is suspended: what the member allocates comes from the first arena.
 *
 * The wrappers hook_* say true for done, unlike the members; a member that is NULL has declined. No lock is held by
 * the caller but PURGE. */
#ifndef ASHLAR_PAGE_HOOKS_H
#define ASHLAR_PAGE_HOOKS_H

#include "ashlar/extent_hooks.h"
#include "util/util.h"

/* When the program's break is moved for memory. */
enum page_dss { PAGE_DSS_DISABLED, PAGE_DSS_PRIMARY, PAGE_DSS_SECONDARY, PAGE_DSS_COUNT };

enum page_thp { PAGE_THP_DEFAULT, PAGE_THP_ALWAYS, PAGE_THP_NEVER };

#define PAGE_GROW_LIMIT_DEFAULT ((size_t)0x7000000000000000)

/* What options say; for everything made later. */
struct page_settings {
	enum page_dss dss; /* of new arenas, and of the shared pool */
	enum page_thp thp;
	bool thp_of_dense; /* huge pages are asked for in chunks that are in use for the most part, in mode `madvise` */
	bool thp_collapse;                /* and made at once */
	size_t thp_threshold;             /* bytes in use that make a chunk dense */
	uint64_t thp_delay;               /* seconds it must be */
	bool no_retain;                   /* purged chunks are unmapped */
	size_t fence_slabs, fence_larges; /* every n-th stands between guard pages; 0: none */
};
void page_prepare(const struct page_settings *settings);

/* The preference of arenas made later, and of the shared pool [atomic]. */
enum page_dss page_default_dss(void);
void page_set_default_dss(enum page_dss dss);

extern HIDDEN extent_hooks_t page_default_hooks; /* [const] */

/* The table to call, with its arena. */
struct hooked {
	extent_hooks_t *table;
	unsigned arena;
};

/* What alloc gave. */
struct grant {
	uintptr_t base;
	bool zeroed, committed, pinned;
};

/* False: refused, or the result was not usable (it was given back then). */
bool hook_alloc(struct hooked hooked, size_t size, size_t align, struct grant *out);
bool hook_dalloc(struct hooked hooked, uintptr_t base, size_t size, bool committed);
/* False: there is no such member. */
bool hook_destroy(struct hooked hooked, uintptr_t base, size_t size, bool committed);

struct hook_part {
	uintptr_t base;
	size_t size, offset, length;
};
bool hook_commit(struct hooked hooked, const struct hook_part *part);
bool hook_decommit(struct hooked hooked, const struct hook_part *part);
bool hook_purge_lazy(struct hooked hooked, const struct hook_part *part);
bool hook_purge_forced(struct hooked hooked, const struct hook_part *part);

/* | base, size_a | size_b | */
struct hook_pair {
	uintptr_t base;
	size_t size_a, size_b;
	bool committed;
};
bool hook_split(struct hooked hooked, const struct hook_pair *pair);
bool hook_merge(struct hooked hooked, const struct hook_pair *pair);

/* Memory as the default alloc makes it: by the preference, aligned, near `hint`. False: refused. */
bool hook_map(enum page_dss dss, uintptr_t hint, size_t size, size_t align, uintptr_t *out);
/* Transparent huge pages of fresh memory, as the option says. */
void hook_advise(uintptr_t base, size_t size);
bool hook_retains(void);
/* Huge pages: the system makes them in fresh mappings / we ask for them in dense chunks / bytes in use that make a
 * chunk dense, and seconds it must be / asks for one. */
bool hook_thp_comes(void);
bool hook_thp_of_dense(void);
size_t hook_thp_threshold(void);
uint64_t hook_thp_delay(void);
void hook_thp_make(uintptr_t base);

#endif
