/* print_json.c - the report as one JSON object, compact, its keys in a fixed order.
 *
 * Everything is lists of words: a word is a key, and the name of its figure behind a prefix. A figure that cannot be read
 * is left out. */
#include "ctl/print.h"
#include "ctl/snapshot.h"

#include <string.h>

#define COLUMNS_MAX 16

static void key(struct print *print, const char *text) {
	if (print->comma)
		print_add(print, ",");
	if (text != NULL)
		print_add(print, "\"%s\":", text);
	print->comma = true;
}

static void begin(struct print *print, const char *text, char bracket) {
	key(print, text);
	print_add(print, "%c", bracket);
	print->comma = false;
}

static void finish(struct print *print, char bracket) {
	print_add(print, "%c", bracket);
	print->comma = true;
}

/* A ratio is written as text. */
static void member(struct print *print, const struct word *word, const struct column *column,
                   const size_t at[2]) {
	union ctl_value value;
	if (!column_read(column, at, &value))
		return;
	key(print, word->key);
	if (strcmp(word->key, "hpa_dirty_mult") == 0) {
		char ratio[24];
		print_ratio(value.as_uint32, ratio);
		print_add(print, "\"%s\"", ratio);
		return;
	}
	print_value(print, column->type, &value);
}

static void members(struct print *print, const char *prefix, const char *list, const size_t at[2]) {
	struct word word;
	while (next_word(&list, &word)) {
		struct column column = column_open(prefix, word.name);
		member(print, &word, &column, at);
	}
}

static const size_t nowhere[2];

static void object(struct print *print, const char *name, const char *prefix, const char *list) {
	begin(print, name, '{');
	members(print, prefix, list, nowhere);
	finish(print, '}');
}

static void arena_object(struct print *print, const char *name, const char *list, size_t arena) {
	char prefix[PRINT_NAME];
	struct text text = text_over(prefix, sizeof prefix);
	text_add(&text, "stats.arenas.0.%s.", name);
	begin(print, name, '{');
	members(print, prefix, list, (const size_t[2]){arena, 0});
	finish(print, '}');
}

/* -- arrays ---------------------------------------------------------------------------------------------- */

struct columns {
	unsigned count;
	struct word word[COLUMNS_MAX];
	struct column column[COLUMNS_MAX];
};

static void open_columns(struct columns *columns, const char *prefix, const char *list) {
	columns->count = 0;
	while (columns->count < COLUMNS_MAX && next_word(&list, &columns->word[columns->count])) {
		unsigned i = columns->count++;
		columns->column[i] = column_open(prefix, columns->word[i].name);
	}
}

static void row(struct print *print, const struct columns *columns, const size_t at[2]) {
	for (unsigned i = 0; i < columns->count; i++)
		member(print, &columns->word[i], &columns->column[i], at);
}

struct array {
	const char *key, *prefix, *list;
	size_t count;
	bool requests; /* of large classes, first */
};

static void requests(struct print *print, bool small, size_t i, size_t arena) {
	static const char *const keys[REQUEST_FIGURES] = {"prof_live_requested", "prof_live_count",
	                                                  "prof_accum_requested", "prof_accum_count"};
	uint64_t figures[REQUEST_FIGURES];
	if (!print_has_requests(arena))
		return;
	print_read_requests(small, i, figures);
	for (unsigned f = 0; f < REQUEST_FIGURES; f++) {
		key(print, keys[f]);
		print_add(print, "%lu", (unsigned long)figures[f]);
	}
}

static void array(struct print *print, const struct array *array, size_t arena) {
	struct columns columns;
	open_columns(&columns, array->prefix, array->list);
	begin(print, array->key, '[');
	for (size_t i = 0; i < array->count; i++) {
		begin(print, NULL, '{');
		if (array->requests)
			requests(print, false, i, arena);
		row(print, &columns, (const size_t[2]){arena, i});
		finish(print, '}');
	}
	finish(print, ']');
}

static void bins(struct print *print, size_t arena) {
	struct columns blocks, slabs, mutex;
	open_columns(&blocks, "stats.arenas.0.bins.0.", "nmalloc ndalloc curregs nrequests");
	open_columns(&slabs, "stats.arenas.0.bins.0.", "nfills nflushes nreslabs curslabs nonfull_slabs");
	open_columns(&mutex, "stats.arenas.0.bins.0.mutex.", LOCK_FIGURES);
	begin(print, "bins", '[');
	for (size_t i = 0; i < CLASS_SMALL_LAST; i++) {
		const size_t at[2] = {arena, i};
		begin(print, NULL, '{');
		row(print, &blocks, at);
		requests(print, true, i, arena);
		row(print, &slabs, at);
		if (print->parts.mutexes) {
			begin(print, "mutex", '{');
			row(print, &mutex, at);
			finish(print, '}');
		}
		finish(print, '}');
	}
	finish(print, ']');
}

static void mutexes(struct print *print, const char *base, const char *names, const size_t at[2]) {
	struct word word;
	begin(print, "mutexes", '{');
	while (next_word(&names, &word)) {
		char prefix[PRINT_NAME];
		struct text text = text_over(prefix, sizeof prefix);
		text_add(&text, "%s%s.", base, word.name);
		begin(print, word.key, '{');
		members(print, prefix, LOCK_FIGURES, at);
		finish(print, '}');
	}
	finish(print, '}');
}

/* -- huge page slabs ------------------------------------------------------------------------------------- */

#define SLABS_BY_SIZE \
	"npageslabs_huge nactive_huge ndirty_huge npageslabs_nonhuge nactive_nonhuge ndirty_nonhuge"

/* What no name tells: pages of small-page slabs that are neither in use nor dirty. */
static void retained(struct print *print, const char *prefix, const size_t at[2]) {
	struct column slabs = column_open(prefix, "npageslabs_nonhuge"),
		      active = column_open(prefix, "nactive_nonhuge"),
		      dirty = column_open(prefix, "ndirty_nonhuge");
	key(print, "nretained_nonhuge");
	print_add(print, "%lu",
	          (unsigned long)(column_number(&slabs, at) * CHUNK_PAGES - column_number(&active, at) -
	                          column_number(&dirty, at)));
}

static void slabs(struct print *print, const char *name, const char *prefix, const size_t at[2]) {
	begin(print, name, '{');
	members(print, prefix, SLABS_BY_SIZE, at);
	retained(print, prefix, at);
	finish(print, '}');
}

static void hpa(struct print *print, size_t arena) {
	static const char base[] = "stats.arenas.0.hpa_shard.";
	const size_t at[2] = {arena, 0};
	begin(print, "hpa_shard", '{');
	members(print, "stats.arenas.0.hpa_",
	        "sec_bytes sec_hits sec_misses sec_dalloc_noflush sec_dalloc_flush sec_overfills", at);
	members(print, base,
	        "npageslabs nactive ndirty npurge_passes npurges nhugifies nhugify_failures ndehugifies", at);
	begin(print, "slabs", '{');
	members(print, "stats.arenas.0.hpa_shard.slabs.", "npageslabs_nonhuge nactive_nonhuge ndirty_nonhuge",
	        at);
	retained(print, "stats.arenas.0.hpa_shard.slabs.", at);
	members(print, "stats.arenas.0.hpa_shard.slabs.", "npageslabs_huge nactive_huge ndirty_huge", at);
	finish(print, '}');
	array(print,
	      &(struct array){"extent_allocation_distribution", "stats.arenas.0.hpa_shard.alloc.0.",
	                      "min_extents max_extents extents ps pages_per_ps extents_per_ps "
	                      "total_elapsed_ns_per_ps",
	                      CTL_HPA_POWERS, false},
	      arena);
	slabs(print, "full_slabs", "stats.arenas.0.hpa_shard.full_slabs.", at);
	slabs(print, "empty_slabs", "stats.arenas.0.hpa_shard.empty_slabs.", at);
	begin(print, "nonfull_slabs", '[');
	for (size_t i = 0; i < CTL_HPA_SLABS; i++)
		slabs(print, NULL, "stats.arenas.0.hpa_shard.nonfull_slabs.0.", (const size_t[2]){arena, i});
	finish(print, ']');
	finish(print, '}');
}

/* -- sections -------------------------------------------------------------------------------------------- */

/* A source of options that is not there reads as an empty one. */
static void sources(struct print *print, const char *list) {
	struct word word;
	while (next_word(&list, &word)) {
		union ctl_value value;
		struct column column = column_open("opt.malloc_conf.", word.name);
		bool known = column_read(&column, nowhere, &value) && value.as_text != NULL;
		key(print, word.key);
		print_add(print, "\"%s\"", known ? value.as_text : "");
	}
}

static void options(struct print *print) {
	begin(print, "opt", '{');
	sources(print, "global_var symlink env_var");
	members(print, "opt.malloc_conf.", "global_var_2_conf_harder", nowhere);
	members(print, "opt.", OPTIONS, nowhere);
	finish(print, '}');
}

static void general(struct print *print) {
	members(print, "", "version", nowhere);
	object(print, "config", "config.", CONFIGS);
	begin(print, "system", '{');
	key(print, "thp_mode");
	print_add(print, "\"%s\"", print_thp_mode());
	finish(print, '}');
	options(print);
	object(print, "prof", "prof.", PROFILING);
	begin(print, "arenas", '{');
	members(print, "arenas.",
	        "narenas dirty_decay_ms muzzy_decay_ms quantum page hugepage tcache_max nbins nhbins",
	        nowhere);
	array(print,
	      &(struct array){"bin", "arenas.bin.0.", "size nregs slab_size nshards", CLASS_SMALL_LAST,
	                      false},
	      0);
	members(print, "arenas.", "nlextents", nowhere);
	array(print, &(struct array){"lextent", "arenas.lextent.0.", "size", LARGE_CLASSES, false}, 0);
	finish(print, '}');
}

static void totals(struct print *print) {
	begin(print, "stats", '{');
	members(print, "stats.",
	        "allocated active metadata metadata_edata metadata_rtree metadata_thp resident mapped "
	        "retained "
	        "pinned zero_reallocs",
	        nowhere);
	object(print, "background_thread", "stats.background_thread.", "num_threads num_runs run_interval");
	if (print->parts.mutexes)
		mutexes(print, "stats.mutexes.", GLOBAL_LOCKS, nowhere);
	finish(print, '}');
}

static void arena_key(struct print *print, size_t arena) {
	char number[16];
	struct text text = text_over(number, sizeof number);
	text_add(&text, "%zu", arena);
	begin(print,
	      arena == CTL_ALL_ARENAS         ? "merged"
	      : arena == CTL_DESTROYED_ARENAS ? "destroyed"
	                                      : number,
	      '{');
	if (arena < ARENA_LIMIT) {
		char name[ARENA_NAME_MAX];
		ctl_arena_name(arena, name);
		key(print, "name");
		print_add(print, "\"%s\"", name);
	}
}

static void one_arena(struct print *print, size_t arena) {
	static const char base[] = "stats.arenas.0.",
			  blocks[] = "allocated nmalloc ndalloc nrequests nfills nflushes";
	const size_t at[2] = {arena, 0};
	arena_key(print, arena);
	members(print, base,
	        "nthreads uptime_ns=uptime dss dirty_decay_ms muzzy_decay_ms pactive pdirty pmuzzy "
	        "dirty_npurge dirty_nmadvise dirty_purged muzzy_npurge muzzy_nmadvise muzzy_purged",
	        at);
	arena_object(print, "small", blocks, arena);
	arena_object(print, "large", blocks, arena);
	members(print, base,
	        "mapped retained pinned base internal metadata_edata metadata_rtree metadata_thp "
	        "tcache_bytes "
	        "tcache_stashed_bytes resident abandoned_vm extent_avail",
	        at);
	if (arena < ARENA_LIMIT)
		members(print, base, "numa_node", at);
	if (print->parts.mutexes)
		mutexes(print, "stats.arenas.0.mutexes.", ARENA_LOCKS, at);
	if (print->parts.bins)
		bins(print, arena);
	if (print->parts.large)
		array(print,
		      &(struct array){"lextents", "stats.arenas.0.lextents.0.", "curlextents", LARGE_CLASSES,
		                      true},
		      arena);
	if (print->parts.extents)
		array(print,
		      &(struct array){
			      "extents", "stats.arenas.0.extents.0.",
			      "ndirty nmuzzy nretained npinned dirty_bytes muzzy_bytes retained_bytes "
			      "pinned_bytes",
			      EXTENT_CLASSES, false},
		      arena);
	if (print->parts.hpa)
		hpa(print, arena);
	finish(print, '}');
}

void print_json(struct print *print) {
	print_add(print, "{");
	print->comma = false;
	begin(print, "jemalloc", '{');
	if (print->parts.general)
		general(print);
	totals(print);
	if (print_any_arena(print)) {
		begin(print, "stats.arenas", '{');
		print_each_arena(print, one_arena);
		finish(print, '}');
	}
	begin(print, "ashlar", '{');
	members(print, "stats.ashlar.", SNAPSHOT_OWN, nowhere);
	object(print, "opt", "opt.", OWN_OPTIONS);
	object(print, "limit", "stats.ashlar.limit.", SNAPSHOT_LIMIT);
	object(print, "percpu", "stats.ashlar.percpu.", SNAPSHOT_PERCPU);
	object(print, "machine", "stats.ashlar.machine.", SNAPSHOT_MACHINE);
	finish(print, '}');
	print_add(print, "}}");
}
