/* options.h - the options of the program, made from options.def.
 *
 * Five sources, later ones override earlier ones, option by option:
 *
 *   1  the string given when the library was built (ASHLAR_CONF)
 *   2  the program's variable malloc_conf
 *   3  the target text of the symbolic link /etc/malloc.conf
 *   4  the environment variable MALLOC_CONF (not in set-id programs)
 *   5  the program's variable malloc_conf_2_conf_harder
 *
 *   source = pair { "," pair }      pair = key ":" value
 *   key = letters, digits, _        value = anything but ","
 *
 * They are read inside the first malloc: no allocation, no stdio, no lock. */
#ifndef ASHLAR_CTL_OPTIONS_H
#define ASHLAR_CTL_OPTIONS_H

#include "page/page.h"

#include <limits.h>
#include <sys/types.h>

enum opt_dss { DSS_DISABLED, DSS_PRIMARY, DSS_SECONDARY };
enum opt_percpu_arena { PERCPU_ARENA_PERCPU, PERCPU_ARENA_PHYCPU, PERCPU_ARENA_DISABLED };
enum opt_thp { THP_DEFAULT, THP_ALWAYS, THP_NEVER, THP_NOT_SUPPORTED = THP_NEVER + 2 };
enum opt_metadata_thp { METADATA_THP_DISABLED, METADATA_THP_AUTO, METADATA_THP_ALWAYS };
enum opt_zero_realloc { ZERO_REALLOC_ALLOC, ZERO_REALLOC_FREE, ZERO_REALLOC_ABORT };
enum opt_junk { JUNK_FALSE, JUNK_TRUE, JUNK_ALLOC, JUNK_FREE };
enum opt_hpa_hugify_style {
	HPA_HUGIFY_STYLE_AUTO,
	HPA_HUGIFY_STYLE_NONE,
	HPA_HUGIFY_STYLE_EAGER,
	HPA_HUGIFY_STYLE_LAZY
};
enum opt_prof_unwinder { PROF_UNWINDER_DWARF, PROF_UNWINDER_FRAME };
enum opt_prof_format { PROF_FORMAT_TEXT, PROF_FORMAT_GPERFTOOLS, PROF_FORMAT_PROTO };
enum opt_prof_time_resolution { PROF_TIME_RESOLUTION_DEFAULT, PROF_TIME_RESOLUTION_HIGH };

/* Most helper threads that can be asked for, as in jemalloc. */
#define OPTION_THREADS_LIMIT 4095

/* Letters of a statistics print, terminated, each once. */
#define OPTION_LETTERS "JgmdablxehO"
struct option_letters {
	char text[sizeof OPTION_LETTERS];
};

struct option_text {
	char text[PATH_MAX];
};

/* An amount of memory as it was given, terminated. */
struct option_limit {
	char text[32];
};

/* A number for each size class; 0: nothing was set, n + 1: n was. */
struct option_ranges {
	uint16_t above[CLASS_COUNT];
};

#define OPTION_TYPE_BOOL(name)     bool
#define OPTION_TYPE_UNSIGNED(name) unsigned
#define OPTION_TYPE_SIZE(name)     size_t
#define OPTION_TYPE_SSIZE(name)    ssize_t
#define OPTION_TYPE_UINT64(name)   uint64_t
#define OPTION_TYPE_INT64(name)    int64_t
#define OPTION_TYPE_RATIO(name)    uint32_t
#define OPTION_TYPE_CHOICE(name)   enum opt_##name
#define OPTION_TYPE_LETTERS(name)  struct option_letters
#define OPTION_TYPE_TEXT(name)     struct option_text
#define OPTION_TYPE_RANGES(name)   struct option_ranges
#define OPTION_TYPE_LIMIT(name)    struct option_limit

#define OPTION_FIELD_START(type)  type
#define OPTION_FIELD_SILENT(type) type
#define OPTION_FIELD_LIVE(type)   _Atomic(type)

/* Fields of LIVE options: [atomic], read by opt_now; all others: [const after start]. */
struct options { /* NOLINT(clang-analyzer-optin.performance.Padding): in the order of the table */
#define OPTION(name, type, initial, lowest, highest, outside, writable, ...) \
	OPTION_FIELD_##writable(OPTION_TYPE_##type(name)) name;
#define ALIAS(name, kind, target, highest, sentence)
#include "ctl/options.def"
#undef OPTION
#undef ALIAS
};
extern HIDDEN struct options opt;
extern HIDDEN const struct options option_defaults;

/* The value of a LIVE option. */
#define opt_now(name) load_relaxed(&opt.name)

#define RATIO_ONE   65536u     /* 1 as a RATIO */
#define RATIO_NEVER UINT32_MAX /* the text -1 */
#define RATIO_OF(x) ((uint32_t)((x)*RATIO_ONE))

/* Reads all sources into `opt`, prints complaints (guard_message), aborts if abort_conf asks for that, and
 * resolves what depends on the machine and on other options: needs os_start. Called once, before any other thread is
 * in the allocator. */
void options_start(void);

/* The same from the given texts instead of the sources (any may be NULL) into `opt`, whose defaults are
 * restored first, and nothing is resolved: for tests. */
#define OPTION_SOURCES 5
void options_read(const char *const texts[OPTION_SOURCES]);

/* The text that options_start found in a source; NULL: there is none. */
enum option_source { SOURCE_BUILD, SOURCE_VARIABLE, SOURCE_LINK, SOURCE_ENVIRONMENT, SOURCE_HARDER };
const char *option_source(enum option_source source);

/* One option for those who list them: mallctl and the manual. */
enum option_type {
	OPTION_IS_BOOL,
	OPTION_IS_UNSIGNED,
	OPTION_IS_SIZE,
	OPTION_IS_SSIZE,
	OPTION_IS_UINT64,
	OPTION_IS_INT64,
	OPTION_IS_RATIO,
	OPTION_IS_CHOICE,
	OPTION_IS_LETTERS,
	OPTION_IS_TEXT,
	OPTION_IS_RANGES,
	OPTION_IS_LIMIT
};
enum option_outside { OPTION_CLIP, OPTION_ERROR };
enum option_writable { OPTION_START, OPTION_LIVE, OPTION_SILENT };
enum option_effect { OPTION_WORKS, OPTION_ACCEPTED };
enum option_alias { OPTION_PLAIN, OPTION_POWER, OPTION_SHARE };
struct option {
	const char *name;
	void *value; /* its field in opt; an alias: that of its target */
	enum option_type type;
	enum option_outside outside;
	enum option_writable writable;
	enum option_effect effect;
	enum option_alias alias; /* not OPTION_PLAIN: sets its target, and cannot be read by mallctl */
	int64_t lowest;
	uint64_t highest;
	const char *const *words; /* of a CHOICE, ended by NULL; value is the index */
};
unsigned option_count(void);
const struct option *option_at(unsigned index);

/* The option with this field of opt. */
const struct option *option_of(const void *field);

/* True when a source named the option (or an alias of it) with a value that was taken. */
bool option_was_set(const void *field);

/* Sets a LIVE option while the program runs, by the rules of its row: a bool or number (a negative one as C converts
 * it), or a word of a CHOICE. 0, or EINVAL. */
int option_change(const struct option *option, uint64_t number);
int option_change_word(const struct option *option, const char *word);

/* What RANGES holds for a class. False: nothing was set for it. */
bool option_range(const struct option_ranges *ranges, unsigned class, unsigned *value);

/* What a LIMIT comes to in bytes where there are `whole`. False: it is `default`. */
bool option_limit(const struct option_limit *limit, size_t whole, size_t *bytes);

/* Takes `start-end:value|...` apart, which need not be terminated, and hands each segment to `take`, in order. All of
 * the text is looked at before the first call: false, and no call, when it is malformed. An empty text is fine and has
 * no segments. False also when `take` returned false, which ends it. */
struct option_segment {
	uint64_t first, last; /* sizes, inclusive */
	uint64_t value;
};
typedef bool option_take(void *context, const struct option_segment *segment);
bool option_parse_ranges(const char *text, size_t length, option_take *take, void *context);

/* The known option name nearest to a mistyped one; NULL when none is near. */
const char *option_nearest(const char *key, size_t length);

#endif
