/* print_metrics.c - the figures as OpenMetrics text, for a program that serves them to be scraped.
 *
 *   # HELP ashlar_live_bytes Bytes in blocks the program holds.
 *   # TYPE ashlar_live_bytes gauge
 *   # UNIT ashlar_live_bytes bytes
 *   ashlar_live_bytes 123456
 *   ...
 *   # EOF
 *
 * Figures of arenas have the label arena, those of size classes the label size (over all arenas), those of locks the label
 * lock. The family of a counter is named with _total in its head as well: the older text format of Prometheus reads the
 * same text then. */
#include "ctl/print.h"
#include "ctl/snapshot.h"

#include <string.h>

enum metric_kind { GAUGE, COUNTER };

struct metric {
	const char *name; /* without ashlar_ and _total */
	enum metric_kind kind;
	const char *unit;   /* NULL: none; else the name ends with it */
	const char *figure; /* behind a prefix */
	const char *help;
};

static const struct metric totals[] = {
	{"allocated_bytes", GAUGE, "bytes", "allocated", "Blocks handed out, with those in thread caches."},
	{"live_bytes", GAUGE, "bytes", "ashlar.live", "Blocks the program holds."},
	{"cached_bytes", GAUGE, "bytes", "ashlar.cached", "Free blocks in thread caches."},
	{"slab_free_bytes", GAUGE, "bytes", "ashlar.slab_free", "Room in slabs that is in no block."},
	{"active_bytes", GAUGE, "bytes", "active", "Pages with blocks."},
	{"dirty_bytes", GAUGE, "bytes", "ashlar.dirty", "Unused pages, not given back yet."},
	{"lazily_freed_bytes", GAUGE, "bytes", "ashlar.lazily_freed", "Unused pages the system may take."},
	{"metadata_bytes", GAUGE, "bytes", "metadata", "The allocator's own records."},
	{"mapped_bytes", GAUGE, "bytes", "mapped", "Address space in use."},
	{"retained_bytes", GAUGE, "bytes", "retained", "Address space kept without memory."},
	{"resident_bytes", GAUGE, "bytes", "resident", "At most so much of the heap is in memory."},
	{"process_resident_bytes", GAUGE, "bytes", "ashlar.resident_system", "Memory of the whole process."},
	{"huge_backed_bytes", GAUGE, "bytes", "ashlar.huge_backed", "Memory of the process in huge pages."},
	{"limit_soft_bytes", GAUGE, "bytes", "ashlar.limit.soft",
         "Above it unused pages go at once; 0: none."},
	{"limit_hard_bytes", GAUGE, "bytes", "ashlar.limit.hard", "Beyond it requests fail; 0: none."},
	{"limit_used_bytes", GAUGE, "bytes", "ashlar.limit.used", "What counts against the limits."},
	{"limit_above", GAUGE, NULL, "ashlar.limit.above", "1: more than the soft limit."},
	{"limit_exceeded", COUNTER, NULL, "ashlar.limit.exceeded", "Times it became so."},
	{"limit_purges", COUNTER, NULL, "ashlar.limit.purges", "Times unused pages were given back for it."},
	{"limit_refused", COUNTER, NULL, "ashlar.limit.refused", "Times the hard limit refused memory."},
	{"machine_cpus", GAUGE, NULL, "ashlar.machine.cpus", "CPUs by affinity and quotas."},
	{"machine_memory_max_bytes", GAUGE, "bytes", "ashlar.machine.memory_max",
         "The control group's; 0: none."},
	{"zero_reallocs", COUNTER, NULL, "zero_reallocs", "Calls of realloc(ptr, 0)."},
	{"helper_runs", COUNTER, NULL, "background_thread.num_runs", "Runs of the helper thread."},
};

static const struct metric per_arena[] = {
	{"arena_threads", GAUGE, NULL, "nthreads", "Threads that allocate from the arena."},
	{"arena_numa_node", GAUGE, NULL, "numa_node", "Memory node of the CPU that made the arena."},
	{"arena_small_bytes", GAUGE, "bytes", "small.allocated", "Small blocks handed out."},
	{"arena_large_bytes", GAUGE, "bytes", "large.allocated", "Large blocks handed out."},
	{"arena_active_pages", GAUGE, NULL, "pactive", "Pages with blocks."},
	{"arena_dirty_pages", GAUGE, NULL, "pdirty", "Unused pages, not given back yet."},
	{"arena_muzzy_pages", GAUGE, NULL, "pmuzzy", "Unused pages the system may take."},
	{"arena_mapped_bytes", GAUGE, "bytes", "mapped", "Address space in use."},
	{"arena_retained_bytes", GAUGE, "bytes", "retained", "Address space kept without memory."},
	{"arena_dirty_purged_pages", COUNTER, NULL, "dirty_purged", "Dirty pages given back."},
	{"arena_muzzy_purged_pages", COUNTER, NULL, "muzzy_purged", "Muzzy pages given back."},
};

static const struct metric per_bin[] = {
	{"bin_allocated_blocks", GAUGE, NULL, "curregs", "Blocks out of the slabs."},
	{"bin_slabs", GAUGE, NULL, "curslabs", "Slabs."},
	{"bin_nonfull_slabs", GAUGE, NULL, "nonfull_slabs", "Slabs with free blocks."},
	{"bin_taken_blocks", COUNTER, NULL, "nmalloc", "Blocks taken out of the slabs."},
	{"bin_given_blocks", COUNTER, NULL, "ndalloc", "Blocks brought back."},
	{"bin_requests", COUNTER, NULL, "nrequests", "Requests served."},
};

static const struct metric per_large[] = {
	{"large_allocated_blocks", GAUGE, NULL, "curlextents", "Large blocks handed out."},
	{"large_taken_blocks", COUNTER, NULL, "nmalloc", "Large blocks taken."},
	{"large_given_blocks", COUNTER, NULL, "ndalloc", "Large blocks given back."},
};

static const struct metric per_lock[] = {
	{"lock_takes", COUNTER, NULL, "num_ops", "Times the lock was taken."},
	{"lock_waits", COUNTER, NULL, "num_wait", "Times a thread slept for it."},
	{"lock_wait_seconds", COUNTER, "seconds", "total_wait_time", "Time threads slept for it."},
};

static void put_head(struct print *print, const struct metric *metric) {
	const char *end = metric->kind == COUNTER ? "_total" : "";
	print_add(print, "# HELP ashlar_%s%s %s\n# TYPE ashlar_%s%s %s\n", metric->name, end, metric->help,
	          metric->name, end, metric->kind == COUNTER ? "counter" : "gauge");
	if (metric->unit != NULL && metric->kind == GAUGE)
		print_add(print, "# UNIT ashlar_%s %s\n", metric->name, metric->unit);
}

/* Times are counted in nanoseconds. */
static void put_sample(struct print *print, const struct metric *metric, const char *label, uint64_t value) {
	print_add(print, "ashlar_%s%s%s ", metric->name, metric->kind == COUNTER ? "_total" : "", label);
	if (metric->unit != NULL && strcmp(metric->unit, "seconds") == 0)
		print_add(print, "%lu.%09lu\n", (unsigned long)(value / 1000000000),
		          (unsigned long)(value % 1000000000));
	else
		print_add(print, "%lu\n", (unsigned long)value);
}

static void put_totals(struct print *print) {
	static const size_t nowhere[2];
	for (unsigned i = 0; i < COUNT_OF(totals); i++) {
		struct column column = column_open("stats.", totals[i].figure);
		put_head(print, &totals[i]);
		put_sample(print, &totals[i], "", column_number(&column, nowhere));
	}
}

static void put_arenas(struct print *print) {
	for (unsigned i = 0; i < COUNT_OF(per_arena); i++) {
		struct column column = column_open("stats.arenas.0.", per_arena[i].figure);
		put_head(print, &per_arena[i]);
		for (size_t arena = 0; arena < arena_count(); arena++) {
			char label[32];
			struct text text = text_over(label, sizeof label);
			if (!snapshot_has(arena))
				continue;
			text_add(&text, "{arena=\"%zu\"}", arena);
			put_sample(print, &per_arena[i], label,
			           column_number(&column, (const size_t[2]){arena, 0}));
		}
	}
}

struct family {
	const struct metric *metrics;
	unsigned count, classes;
	const char *prefix;
	size_t (*size)(size_t class);
};

/* Classes that were never used are left out. */
static void put_classes(struct print *print, const struct family *family) {
	struct column used = column_open(family->prefix, "nmalloc");
	for (unsigned i = 0; i < family->count; i++) {
		struct column column = column_open(family->prefix, family->metrics[i].figure);
		put_head(print, &family->metrics[i]);
		for (size_t class = 0; class < family->classes; class ++) {
			const size_t at[2] = {CTL_ALL_ARENAS, class};
			char label[40];
			struct text text = text_over(label, sizeof label);
			if (column_number(&used, at) == 0)
				continue;
			text_add(&text, "{size=\"%zu\"}", family->size(class));
			put_sample(print, &family->metrics[i], label, column_number(&column, at));
		}
	}
}

/* Locks of the process; of those of arenas the sum. */
static void put_locks(struct print *print) {
	static const struct {
		const char *prefix, *names;
	} groups[] = {{"stats.mutexes.", GLOBAL_LOCKS}, {"stats.arenas.0.mutexes.", ARENA_LOCKS}};
	for (unsigned i = 0; i < COUNT_OF(per_lock); i++) {
		put_head(print, &per_lock[i]);
		for (unsigned group = 0; group < COUNT_OF(groups); group++) {
			const char *names = groups[group].names;
			struct word word;
			while (next_word(&names, &word)) {
				char name[PRINT_NAME], label[80];
				struct text whole = text_over(name, sizeof name),
					    text = text_over(label, sizeof label);
				text_add(&whole, "%s.%s", word.name, per_lock[i].figure);
				text_add(&text, "{lock=\"%s%s\"}", group == 0 ? "" : "arena_", word.key);
				struct column column = column_open(groups[group].prefix, name);
				put_sample(print, &per_lock[i], label,
				           column_number(&column, (const size_t[2]){CTL_ALL_ARENAS, 0}));
			}
		}
	}
}

void print_metrics(struct print *print) {
	put_totals(print);
	if (print->parts.arenas)
		put_arenas(print);
	if (print->parts.bins)
		put_classes(print, &(struct family){per_bin, COUNT_OF(per_bin), CLASS_SMALL_LAST,
		                                    "stats.arenas.0.bins.0.", print_bin_size});
	if (print->parts.large)
		put_classes(print, &(struct family){per_large, COUNT_OF(per_large), LARGE_CLASSES,
		                                    "stats.arenas.0.lextents.0.", print_large_size});
	if (print->parts.mutexes)
		put_locks(print);
	print_add(print, "# EOF\n");
}
