/* print.h - inside malloc_stats_print: text goes through one buffer, figures come through names.
 *
 *   print.c          the buffer, columns of figures, and which parts the letters leave in
 *   print_json.c     letter J              print_text.c     the report for people
 *   print_metrics.c  letter O              print_tables.c   its tables of classes, locks and extents
 *
 * A column is a name resolved once; reading it puts other indices in. The callback may allocate, and may call mallctl: no
 * lock is held when it runs, and nothing here allocates. */
#ifndef ASHLAR_CTL_PRINT_H
#define ASHLAR_CTL_PRINT_H

#include "ctl/names.h"

/* What the letters leave in. */
struct print_parts {
	bool json, metrics;
	bool general, merged, destroyed, arenas, bins, large, mutexes, extents, hpa;
};

struct print {
	void (*write)(void *opaque, const char *text);
	void *opaque;
	struct print_parts parts;
	struct text text;
	bool comma; /* JSON: the next member comes after another */
};

/* Adds to the text; it is written out whenever the buffer is full. */
void print_add(struct print *print, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* -- figures --------------------------------------------------------------------------------------------------- */

#define PRINT_NAME 96 /* bytes of a name, at most */

struct column {
	size_t mib[CTL_DEPTH];
	size_t length; /* 0: there is no such name */
	enum ctl_type type;
	unsigned place[2]; /* of its indices in mib; CTL_DEPTH: has none */
	bool of_arena;     /* the first index is an arena, not a class */
};

/* The name is prefix + name, with 0 for its indices. */
struct column column_open(const char *prefix, const char *name);
/* Reads it for the given indices: those of the arena, and of the class in it, or of the one index it has. */
bool column_read(const struct column *column, const size_t at[2], union ctl_value *value);
/* The same as a number; 0 when it cannot be read. */
uint64_t column_number(const struct column *column, const size_t at[2]);
/* A number by its whole name, without indices. */
uint64_t print_number(const char *name);

/* Adds a value the way both formats write it: numbers, true and false, "text". */
void print_value(struct print *print, enum ctl_type type, const union ctl_value *value);

/* Takes the next word off a list "word word=name word": false at its end. */
struct word {
	char key[48], name[48];
};
bool next_word(const char **list, struct word *word);

/* A decimal fraction out of 16 binary digits before and after the point; all ones: "-1". */
void print_ratio(uint32_t value, char text[24]);
const char *print_thp_mode(void);

/* Sampled requests by size class are told of all arenas together, where the option prof_stats has them counted. */
bool print_has_requests(size_t arena);
#define REQUEST_FIGURES 4
/* Live bytes, live count, and the two of all so far; `row` counts small or large classes from 0. */
void print_read_requests(bool small, size_t row, uint64_t figures[REQUEST_FIGURES]);

/* -- what is printed ------------------------------------------------------------------------------------------- */

/* The seven figures of a lock, in order. */
#define LOCK_FIGURES \
	"num_ops num_wait num_spin_acq num_owner_switch total_wait_time max_wait_time max_num_thds"
#define GLOBAL_LOCKS \
	"background_thread max_per_bg_thd ctl prof prof_thds_data prof_dump prof_recent_alloc " \
	"prof_recent_dump " \
	"prof_stats"
#define ARENA_LOCKS \
	"large extent_avail extents_dirty extents_muzzy extents_retained extents_pinned decay_dirty " \
	"decay_muzzy " \
	"base tcache_list hpa_shard hpa_shard_grow hpa_sec"
#define CONFIGS \
	"cache_oblivious debug fill lazy_lock malloc_conf opt_safety_checks prof prof_libgcc " \
	"prof_libunwind " \
	"prof_frameptr stats utrace xmalloc"
/* opt.*, in the order of the report. */
#define OPTIONS \
	"abort abort_conf cache_oblivious confirm_conf experimental_hpa_start_huge_if_thp_always " \
	"experimental_hpa_enforce_hugify retain dss narenas percpu_arena oversize_threshold hpa " \
	"hpa_slab_max_alloc hpa_hugification_threshold hpa_hugify_delay_ms hpa_hugify_sync " \
	"hpa_min_purge_interval_ms experimental_hpa_max_purge_nhp hpa_dirty_mult hpa_purge_threshold " \
	"hpa_min_purge_delay_ms hpa_hugify_style hpa_sec_nshards hpa_sec_max_alloc hpa_sec_max_bytes " \
	"huge_arena_pac_thp metadata_thp mutex_max_spin background_thread dirty_decay_ms muzzy_decay_ms " \
	"lg_extent_max_active_fit junk zero utrace xmalloc experimental_infallible_new " \
	"experimental_tcache_gc " \
	"tcache tcache_max tcache_nslots_small_min tcache_nslots_small_max tcache_nslots_large " \
	"lg_tcache_nslots_mul tcache_gc_incr_bytes tcache_gc_delay_bytes lg_tcache_flush_small_div " \
	"lg_tcache_flush_large_div debug_double_free_max_scan thp prof prof_bt_max prof_prefix prof_active " \
	"prof_thread_active_init lg_prof_sample prof_accum lg_prof_interval prof_gdump prof_final " \
	"prof_leak " \
	"prof_leak_error stats_print stats_print_opts stats_interval stats_interval_opts zero_realloc " \
	"process_madvise_max_batch disable_large_size_classes"
#define OWN_OPTIONS "memory_limit_soft memory_limit_hard percpu_cache"
#define PROFILING   "thread_active_init active gdump interval lg_sample"

/* The sums or arenas a report is about, in its order: calls `each` for the merged arenas, for the destroyed ones, and for
 * every one that exists, as far as the letters leave them in. */
void print_each_arena(struct print *print, void (*each)(struct print *, size_t arena));
/* Is there any? */
bool print_any_arena(const struct print *print);

void print_json(struct print *print);
void print_text(struct print *print);
void print_metrics(struct print *print);

/* The tables of the text report: locks of the process, and of one arena with everything below. */
void print_global_locks(struct print *print);
void print_arena_tables(struct print *print, size_t arena, uint64_t seconds);
/* Bytes of a block of the class with this index of arenas.bin / arenas.lextent. */
size_t print_bin_size(size_t row);
size_t print_large_size(size_t row);
/* count / seconds of uptime; below one second the count itself. */
uint64_t print_rate(uint64_t count, uint64_t uptime_ns);

/* What stands above the report: where the memory is, and why. */
void print_summary(struct print *print);

#endif
