/* summary.c - where the memory is, in a few lines for people. */
#include "ctl/print.h"
#include "api/api.h"
#include "cache/cache.h"
#include "os/os.h"
#include "thread/thread.h"

#include <string.h>

#define TOP_CLASSES 5

/* Memory beyond live blocks worth a word about: so many bytes, and so large a part of those. */
#define MUCH      (8 * MIB)
#define MUCH_PART 4

/* -- figures --------------------------------------------------------------------------------------------- */

struct ctl_figures ctl_read_figures(void) {
	struct arena_stats arenas = arena_read_stats();
	struct base_stats base = base_read_stats();
	size_t taken = arenas.small + arenas.large;
	/* Caches change while they are counted: what they hold cannot be more than what was taken. */
	size_t cached = size_min(thread_cached_bytes(), taken);
	return (struct ctl_figures){
		.live = taken - cached,
		.cached = cached,
		.slab_free = arenas.slab_bytes - size_min(arenas.slab_bytes, arenas.small),
		.active = arenas.active,
		.unused = arenas.dirty + arenas.muzzy,
		.lazily_freed = arenas.muzzy,
		.metadata = base.allocated,
		.mapped = arenas.mapped - arenas.retained + base.mapped,
		.retained = arenas.retained,
		.resident = arenas.active + arenas.dirty + arenas.muzzy + base.allocated,
		.system = os_resident(),
		.huge = os_huge_resident(),
		.purged = (size_t)arenas.purged * PAGE,
	};
}

struct ctl_class ctl_read_class(unsigned class) {
	struct class_stats stats = arena_read_class(class);
	size_t blocks = (size_t)(stats.filled - stats.flushed), bytes = class_info[class].bytes;
	return (struct ctl_class){
		.size = bytes,
		.blocks = blocks,
		.bytes = blocks * bytes,
		.room = class > CLASS_SMALL_LAST ? blocks * bytes
	                                         : stats.slabs * class_info[class].slab_pages * PAGE,
		.slabs = stats.slabs,
		.taken = stats.filled,
		.given = stats.flushed,
	};
}

struct ctl_class ctl_read_huge(void) {
	struct ctl_class huge = {0};
	EACH_ARENA (arena, i) {
		for (unsigned large = CACHED_LARGE; large < LARGE_CLASSES; large++) {
			struct large_stats stats = arena_read_own_large(arena, large);
			huge.given += stats.given;
			huge.taken += stats.taken;
		}
		huge.bytes += load_relaxed(&arena->huge_bytes);
	}
	huge.blocks = (size_t)(huge.taken - huge.given);
	huge.room = huge.bytes;
	return huge;
}

/* -- lines ----------------------------------------------------------------------------------------------- */

/* "   12.3 MiB", 11 wide. */
static void put_bytes(struct print *print, size_t bytes) {
	size_t unit = bytes < MIB ? KIB : MIB;
	size_t tenths = (bytes / unit) * 10 + (bytes % unit) * 10 / unit;
	print_add(print, "%6zu.%zu %s", tenths / 10, tenths % 10, unit == KIB ? "KiB" : "MiB");
}

static void put_amount(struct print *print, const char *what, size_t bytes) {
	print_add(print, "  %-56s", what);
	put_bytes(print, bytes);
	print_add(print, "\n");
}

/* What the heap accounts for of the memory of the process. */
static size_t explained(const struct ctl_figures *figures) {
	return figures->active + figures->unused + figures->metadata;
}

static size_t unexplained(const struct ctl_figures *figures) {
	return figures->system - size_min(figures->system, explained(figures));
}

static void put_figures(struct print *print, const struct ctl_figures *figures) {
	put_amount(print, "live: in blocks the program holds", figures->live);
	put_amount(print, "cached in threads: free blocks, at hand for the next call", figures->cached);
	put_amount(print, "slab waste: room in slabs that is in no block", figures->slab_free);
	put_amount(print, "dirty: unused pages, not given back yet", figures->unused - figures->lazily_freed);
	put_amount(print, "lazily freed: unused pages that the system may take", figures->lazily_freed);
	put_amount(print, "metadata: the allocator's own records", figures->metadata);
	put_amount(print, "retained: address space without memory behind it", figures->retained);
	put_amount(print, "huge-page backed: of the process, as the system counts", figures->huge);
	put_amount(print, "process RSS: memory of the process, as the system counts", figures->system);
	put_amount(print, "unexplained: of that outside the heap (code, stacks, files)",
	           unexplained(figures));
}

/* Nothing where there are none. */
static void put_limits(struct print *print) {
	size_t soft = thread_limit(LIMIT_SOFT), hard = thread_limit(LIMIT_HARD);
	if (soft == 0 && hard == 0)
		return;
	struct limit_stats stats = thread_read_limits();
	if (soft != 0)
		put_amount(print, "limit, soft: above it unused pages are given back at once", soft);
	if (hard != 0)
		put_amount(print, "limit, hard: beyond it requests fail", hard);
	put_amount(print,
	           stats.above ? "limit, used: above the soft limit" : "limit, used: counts against it",
	           stats.used);
	print_add(print, "  limit: exceeded %lu times, %lu purges for it, %lu refusals\n",
	          (unsigned long)stats.exceeded, (unsigned long)stats.purges, (unsigned long)stats.refused);
}

/* Says which part is largest, when much memory is in use that no live block is in. */
static void put_cause(struct print *print, const struct ctl_figures *figures) {
	const struct {
		const char *what;
		size_t bytes;
	} causes[] = {
		{"slab waste; blocks of few sizes hold nearly empty slabs (see the classes below)",
	         figures->slab_free},
		{"thread caches; a lower cache_budget or tcache_max makes them smaller", figures->cached},
		{"dirty pages; a lower dirty_decay_ms gives them back sooner", figures->unused},
		{"metadata; many threads, arenas or small runs of pages need records", figures->metadata},
		{"memory outside the heap", unexplained(figures)},
	};
	size_t most = 0, sum = figures->slab_free + figures->cached + figures->unused + figures->metadata;
	for (size_t i = 1; i < COUNT_OF(causes); i++)
		most = causes[i].bytes > causes[most].bytes ? i : most;
	if (sum < MUCH || sum < figures->live / MUCH_PART)
		return;
	print_add(print, "likely cause: %s\n", causes[most].what);
}

static size_t waste_of(const struct ctl_class *class) {
	return class->room - size_min(class->room, class->bytes);
}

static void put_class(struct print *print, const struct ctl_class *class) {
	print_add(print, "  %10zu %10zu %12zu  ", class->size, class->slabs, class->blocks);
	put_bytes(print, waste_of(class));
	print_add(print, " %7zu %%\n", waste_of(class) * 100 / class->room);
}

/* The classes whose slabs waste most, most first. All figures are read before the first line is written:
 * writing may allocate. */
static void put_classes(struct print *print) {
	struct ctl_class top[TOP_CLASSES + 1] = {0};
	for (unsigned class = 1; class <= CLASS_SMALL_LAST; class ++) {
		struct ctl_class next = ctl_read_class(class);
		unsigned at = TOP_CLASSES;
		for (; at > 0 && waste_of(&top[at - 1]) < waste_of(&next); at--)
			top[at] = top[at - 1];
		top[at] = next;
	}
	if (waste_of(&top[0]) == 0)
		return;
	print_add(print, "size classes that waste most:\n  %10s %10s %12s %12s %9s\n", "bytes each", "slabs",
	          "blocks", "waste", "of slabs");
	for (unsigned i = 0; i < TOP_CLASSES && waste_of(&top[i]) > 0; i++)
		put_class(print, &top[i]);
}

void print_summary(struct print *print) {
	struct ctl_figures figures = ctl_read_figures();
	put_figures(print, &figures);
	put_limits(print);
	put_cause(print, &figures);
	put_classes(print);
}
