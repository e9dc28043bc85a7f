/* print_text.c - the report for people: settings, totals, and a block for every arena. */
#include "ctl/print.h"
#include "ctl/snapshot.h"

#include <string.h>

static const size_t nowhere[2];

/* -- settings -------------------------------------------------------------------------------------------- */

static bool is_word(const char *list, const char *text) {
	struct word word;
	while (next_word(&list, &word))
		if (strcmp(word.key, text) == 0)
			return true;
	return false;
}

/* What an option's value is by now, where there is a name for that. */
static void put_counterpart(struct print *print, const char *option) {
	static const char *const names[][2] = {
		{"background_thread", "background_thread"},
		{"dirty_decay_ms", "arenas.dirty_decay_ms"},
		{"muzzy_decay_ms", "arenas.muzzy_decay_ms"},
		{"prof_active", "prof.active"},
		{"prof_thread_active_init", "prof.thread_active_init"},
		{"lg_prof_sample", "prof.lg_sample"},
		{"memory_limit_soft", "ashlar.limit.soft"},
		{"memory_limit_hard", "ashlar.limit.hard"},
		{"percpu_cache", "stats.ashlar.percpu.on"},
	};
	for (unsigned i = 0; i < COUNT_OF(names); i++) {
		union ctl_value value;
		struct column column = column_open(names[i][1], "");
		if (strcmp(option, names[i][0]) != 0 || !column_read(&column, nowhere, &value))
			continue;
		print_add(print, " (%s: ", names[i][1]);
		print_value(print, column.type, &value);
		print_add(print, ")");
	}
}

static void put_setting(struct print *print, const char *prefix, const struct word *word) {
	union ctl_value value;
	struct column column = column_open(prefix, word->name);
	if (!column_read(&column, nowhere, &value))
		return;
	print_add(print, "  %s%s: ", prefix, word->key);
	if (is_word("hpa_dirty_mult", word->key)) {
		char ratio[24];
		print_ratio(value.as_uint32, ratio);
		print_add(print, "\"%s\"", ratio);
	} else {
		print_value(print, column.type, &value);
	}
	if (strcmp(prefix, "opt.") == 0)
		put_counterpart(print, word->key);
	print_add(print, "\n");
}

static void put_settings(struct print *print, const char *prefix, const char *list) {
	struct word word;
	while (next_word(&list, &word))
		put_setting(print, prefix, &word);
}

static void put_sources(struct print *print) {
	static const struct {
		const char *title, *name;
		bool always;
	} sources[] = {
		{"Global variable malloc_conf", "opt.malloc_conf.global_var", true},
		{"Symbolic link malloc.conf", "opt.malloc_conf.symlink", true},
		{"Environment variable MALLOC_CONF", "opt.malloc_conf.env_var", true},
		{"Global variable malloc_conf_2_conf_harder", "opt.malloc_conf.global_var_2_conf_harder",
	         false},
	};
	for (unsigned i = 0; i < COUNT_OF(sources); i++) {
		union ctl_value value;
		struct column column = column_open(sources[i].name, "");
		bool known = column_read(&column, nowhere, &value) && value.as_text != NULL;
		if (known || sources[i].always)
			print_add(print, "  %s: \"%s\"\n", sources[i].title, known ? value.as_text : "");
	}
}

static void put_general(struct print *print) {
	static const char *const arenas[][2] = {
		{"Arenas", "narenas"},
		{"Quantum size", "quantum"},
		{"Page size", "page"},
		{"Hugepage size", "hugepage"},
		{"Maximum thread-cached size class", "tcache_max"},
		{"Number of bin size classes", "nbins"},
		{"Number of thread-cache bin size classes", "nhbins"},
		{"Number of large size classes", "nlextents"},
	};
	union ctl_value value;
	struct column version = column_open("version", "");
	if (column_read(&version, nowhere, &value))
		print_add(print, "Version: \"%s\"\n", value.as_text);
	print_add(print, "Build-time option settings\n");
	put_settings(print, "config.", CONFIGS);
	print_add(print, "System configuration\n  system.thp_mode: \"%s\"\n", print_thp_mode());
	put_settings(print, "stats.ashlar.machine.", SNAPSHOT_MACHINE);
	put_settings(print, "stats.ashlar.percpu.", SNAPSHOT_PERCPU);
	print_add(print, "Run-time option settings\n");
	put_sources(print);
	put_settings(print, "opt.", OPTIONS);
	put_settings(print, "opt.", OWN_OPTIONS);
	print_add(print, "Profiling settings\n");
	put_settings(print, "prof.", PROFILING);
	for (unsigned i = 0; i < COUNT_OF(arenas); i++) {
		struct column column = column_open("arenas.", arenas[i][1]);
		if (column_read(&column, nowhere, &value))
			print_add(print, "%s: %lu\n", arenas[i][0],
			          (unsigned long)column_number(&column, nowhere));
	}
}

/* -- totals ---------------------------------------------------------------------------------------------- */

static void put_totals(struct print *print) {
	struct snapshot_totals all = snapshot_totals();
	print_add(print,
	          "Allocated: %lu, active: %lu, metadata: %lu (n_thp %lu, edata %lu, rtree %lu), resident: "
	          "%lu, mapped: %lu, retained: %lu, pinned: %lu\n",
	          (unsigned long)all.allocated, (unsigned long)all.active, (unsigned long)all.metadata,
	          (unsigned long)all.metadata_thp, (unsigned long)all.metadata_edata,
	          (unsigned long)all.metadata_rtree, (unsigned long)all.resident, (unsigned long)all.mapped,
	          (unsigned long)all.retained, (unsigned long)all.pinned);
	print_add(print, "Count of realloc(non-null-ptr, 0) calls: %lu\n", (unsigned long)all.zero_reallocs);
	print_add(print, "Background threads: %lu, num_runs: %lu, run_interval: %lu ns\n",
	          (unsigned long)print_number("stats.background_thread.num_threads"),
	          (unsigned long)print_number("stats.background_thread.num_runs"),
	          (unsigned long)print_number("stats.background_thread.run_interval"));
	print_global_locks(print);
}

/* -- one arena ------------------------------------------------------------------------------------------- */

static uint64_t number(size_t arena, const char *name) {
	struct column column = column_open("stats.arenas.0.", name);
	return column_number(&column, (const size_t[2]){arena, 0});
}

static void put_decay(struct print *print, size_t arena) {
	static const char *const states[] = {"dirty", "muzzy"};
	print_add(print, "%-9s%6s%13s%13s%13s%13s\n", "decaying:", "time", "npages", "sweeps", "madvises",
	          "purged");
	for (unsigned i = 0; i < COUNT_OF(states); i++) {
		static const char *const forms[] = {"_decay_ms", "_npurge", "_nmadvise", "_purged"};
		uint64_t figure[COUNT_OF(forms)];
		char name[PRINT_NAME];
		for (unsigned k = 0; k < COUNT_OF(forms); k++) {
			struct text text = text_over(name, sizeof name);
			text_add(&text, "%s%s", states[i], forms[k]);
			figure[k] = number(arena, name);
		}
		if ((int64_t)figure[0] < 0)
			print_add(print, "%8s:%6s", states[i], "N/A");
		else
			print_add(print, "%8s:%6ld", states[i], (long)figure[0]);
		print_add(print, "%13lu%13lu%13lu%13lu\n",
		          (unsigned long)number(arena, i == 0 ? "pdirty" : "pmuzzy"),
		          (unsigned long)figure[1], (unsigned long)figure[2], (unsigned long)figure[3]);
	}
}

#define COUNTS 6

static void put_counts_row(struct print *print, const char *title, const uint64_t counts[COUNTS],
                           uint64_t uptime) {
	print_add(print, "%-21s%16lu", title, (unsigned long)counts[0]);
	for (unsigned i = 1; i < COUNTS; i++)
		print_add(print, "%16lu%10lu", (unsigned long)counts[i],
		          (unsigned long)print_rate(counts[i], uptime));
	print_add(print, "\n");
}

static void put_counts(struct print *print, size_t arena, uint64_t uptime) {
	static const char *const names[COUNTS] = {"allocated", "nmalloc", "ndalloc",
	                                          "nrequests", "nfills",  "nflushes"},
				 *const titles[COUNTS] = {"allocated", "nmalloc", "ndalloc",
	                                                  "nrequests", "nfill",   "nflush"},
				 *const kinds[] = {"small", "large"};
	uint64_t total[COUNTS] = {0};
	print_add(print, "%-21s%16s", "", titles[0]);
	for (unsigned i = 1; i < COUNTS; i++)
		print_add(print, "%16s%10s", titles[i], "(#/sec)");
	print_add(print, "\n");
	for (unsigned kind = 0; kind < COUNT_OF(kinds); kind++) {
		uint64_t counts[COUNTS];
		char name[PRINT_NAME];
		for (unsigned i = 0; i < COUNTS; i++) {
			struct text text = text_over(name, sizeof name);
			text_add(&text, "%s.%s", kinds[kind], names[i]);
			total[i] += counts[i] = number(arena, name);
		}
		struct text title = text_over(name, sizeof name);
		text_add(&title, "%s:", kinds[kind]);
		put_counts_row(print, name, counts, uptime);
	}
	put_counts_row(print, "total:", total, uptime);
}

static void put_memory(struct print *print, size_t arena) {
	static const char rows[] =
		"mapped retained pinned base internal metadata_edata metadata_rtree "
		"metadata_thp tcache_bytes tcache_stashed_bytes resident abandoned_vm extent_avail";
	const char *list = rows;
	struct word word;
	print_add(print, "\n%-21s%16lu\n", "active:", (unsigned long)(number(arena, "pactive") * PAGE));
	while (next_word(&list, &word)) {
		char title[PRINT_NAME];
		struct text text = text_over(title, sizeof title);
		text_add(&text, "%s:", word.key);
		print_add(print, "%-21s%16lu\n", title, (unsigned long)number(arena, word.name));
	}
}

static void put_heading(struct print *print, size_t arena) {
	if (arena == CTL_ALL_ARENAS) {
		print_add(print, "Merged arenas stats:\n");
	} else if (arena == CTL_DESTROYED_ARENAS) {
		print_add(print, "Destroyed arenas stats:\n");
	} else {
		char name[ARENA_NAME_MAX];
		ctl_arena_name(arena, name);
		print_add(print, "arenas[%zu]:\nname: \"%s\"\n", arena, name);
	}
}

static void put_arena(struct print *print, size_t arena) {
	union ctl_value dss;
	struct column column = column_open("stats.arenas.0.", "dss");
	uint64_t uptime = number(arena, "uptime");
	put_heading(print, arena);
	print_add(print, "assigned threads: %lu\nuptime: %lu\n", (unsigned long)number(arena, "nthreads"),
	          (unsigned long)uptime);
	if (arena < ARENA_LIMIT)
		print_add(print, "numa node: %lu\n", (unsigned long)number(arena, "numa_node"));
	if (column_read(&column, (const size_t[2]){arena, 0}, &dss))
		print_add(print, "dss allocation precedence: \"%s\"\n", dss.as_text);
	put_decay(print, arena);
	put_counts(print, arena, uptime);
	put_memory(print, arena);
	print_arena_tables(print, arena, uptime);
}

void print_text(struct print *print) {
	print_add(print, "___ Begin jemalloc statistics ___\n");
	print_summary(print);
	if (print->parts.general)
		put_general(print);
	put_totals(print);
	print_each_arena(print, put_arena);
	print_add(print, "--- End jemalloc statistics ---\n");
}
