/* summary.c - where the memory is, in a few lines for people. */
#include "ctl/ctl.h"
#include "api/api.h"
#include "cache/cache.h"
#include "os/os.h"
#include "thread/thread.h"

#include <string.h>

#define TOP_CLASSES 8
#define STDERR      2

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
		.metadata = base.allocated,
		.mapped = arenas.mapped - arenas.retained + base.mapped,
		.retained = arenas.retained,
		.resident = arenas.active + arenas.dirty + arenas.muzzy + base.allocated,
		.system = os_resident(),
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

struct out {
	void (*write)(void *, const char *);
	void *opaque;
	struct text line;
};

static void write_stderr(void *opaque, const char *text) {
	(void)opaque;
	os_write(STDERR, text, strlen(text));
}

static void end_line(struct out *out) {
	text_add(&out->line, "\n");
	out->write(out->opaque, out->line.data);
	out->line = text_over(out->line.data, out->line.size);
}

/* "   12.3 MiB", 11 wide. */
static void put_bytes(struct out *out, size_t bytes) {
	size_t unit = bytes < MIB ? KIB : MIB;
	size_t tenths = (bytes / unit) * 10 + (bytes % unit) * 10 / unit;
	text_add(&out->line, "%6zu.%zu %s", tenths / 10, tenths % 10, unit == KIB ? "KiB" : "MiB");
}

static void put_amount(struct out *out, const char *what, size_t bytes) {
	text_add(&out->line, "  %-46s", what);
	put_bytes(out, bytes);
	end_line(out);
}

static void put_figures(struct out *out, const struct ctl_figures *figures) {
	put_amount(out, "live: in blocks the program holds", figures->live);
	put_amount(out, "free in thread caches and on the way to them", figures->cached);
	put_amount(out, "free in slabs", figures->slab_free);
	put_amount(out, "unused pages, not yet given back", figures->unused);
	put_amount(out, "the allocator's own records", figures->metadata);
	put_amount(out, "address space kept without memory", figures->retained);
	put_amount(out, "given back to the system so far", figures->purged);
	if (figures->system != 0)
		put_amount(out, "resident: the whole process, by the system", figures->system);
	text_add(&out->line,
	         "  threads with a cache: %u   arenas: %u of at most %u   CPUs: %u   helper thread: %s",
	         thread_count(), arena_made(), arena_limit(), os.cpus, thread_helper_runs() ? "yes" : "no");
	end_line(out);
}

static void put_class(struct out *out, const struct ctl_class *class, bool huge) {
	if (huge)
		text_add(&out->line, "  %10s", "above 32 K");
	else
		text_add(&out->line, "  %10zu", class->size);
	text_add(&out->line, " %12zu  ", class->blocks);
	put_bytes(out, class->bytes);
	text_add(&out->line, " %11zu %%", class->room == 0 ? 100 : class->bytes * 100 / class->room);
	end_line(out);
}

/* The classes that hold most bytes, most first. All figures are read before the first line is written:
 * writing may allocate. */
static void put_classes(struct out *out) {
	struct ctl_class top[TOP_CLASSES + 1] = {0};
	for (unsigned class = 0; class <= CLASS_LAST; class ++) {
		struct ctl_class next = class == CLASS_NONE ? ctl_read_huge() : ctl_read_class(class);
		unsigned at = TOP_CLASSES;
		for (; at > 0 && top[at - 1].bytes < next.bytes; at--)
			top[at] = top[at - 1];
		top[at] = next;
	}
	text_add(&out->line, "  size classes that hold most, thread caches included:");
	end_line(out);
	text_add(&out->line, "  %10s %12s %12s %14s", "bytes each", "blocks", "together", "of their pages");
	end_line(out);
	for (unsigned i = 0; i < TOP_CLASSES && top[i].bytes > 0; i++)
		put_class(out, &top[i], top[i].size == 0);
}

void ctl_summary(void (*write)(void *, const char *), void *opaque) {
	char buffer[256];
	struct ctl_figures figures = ctl_read_figures();
	struct out out = {.write = write, .opaque = opaque, .line = text_over(buffer, sizeof buffer)};
	if (write == NULL)
		out.write = malloc_message != NULL ? malloc_message : write_stderr;
	text_add(&out.line, "Ashlar %s heap summary", ASHLAR_VERSION);
	end_line(&out);
	put_figures(&out, &figures);
	put_classes(&out);
}

void ctl_print_at_exit(void) {
	if (opt_now(stats_print))
		ctl_summary(NULL, NULL);
}
