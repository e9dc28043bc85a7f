/* options.c - from the five sources to `opt`. */
#include "ctl/option_values.h"
#include "api/api.h"
#include "guard/guard.h"
#include "os/os.h"

#include <string.h>

#ifndef ASHLAR_CONF
#define ASHLAR_CONF "" /* source 1: given when the library is built */
#endif

#define LINK_PATH "/etc/malloc.conf"
#define NEAR      3 /* more mistakes in a key, and it is not taken for a misspelt one */
#define KEY_MAX   48

/* -- the table ------------------------------------------------------------------------------------------- */

static const char *const dss_words[] = {"disabled", "primary", "secondary", NULL};
static const char *const percpu_arena_words[] = {"percpu", "phycpu", "disabled", NULL};
static const char *const thp_words[] = {"default", "always", "never", NULL, "not supported"}; /* read only */
static const char *const metadata_thp_words[] = {"disabled", "auto", "always", NULL};
static const char *const zero_realloc_words[] = {"alloc", "free", "abort", NULL};
static const char *const junk_words[] = {"false", "true", "alloc", "free", NULL};
static const char *const hpa_hugify_style_words[] = {"auto", "none", "eager", "lazy", NULL};
static const char *const prof_unwinder_words[] = {"dwarf", "frame", NULL};
static const char *const prof_format_words[] = {"text", "gperftools", "proto", NULL};
static const char *const prof_time_resolution_words[] = {"default", "high", NULL};

#define WORDS_BOOL(name)     NULL
#define WORDS_UNSIGNED(name) NULL
#define WORDS_SIZE(name)     NULL
#define WORDS_SSIZE(name)    NULL
#define WORDS_UINT64(name)   NULL
#define WORDS_INT64(name)    NULL
#define WORDS_RATIO(name)    NULL
#define WORDS_LETTERS(name)  NULL
#define WORDS_TEXT(name)     NULL
#define WORDS_RANGES(name)   NULL
#define WORDS_LIMIT(name)    NULL
#define WORDS_CHOICE(name)   name##_words

/* An alias has the effect of its target. */
enum {
#define OPTION(name, type, initial, lowest, highest, outside, writable, effect, sentence) \
	EFFECT_##name = OPTION_##effect,
#define ALIAS(name, kind, target, highest, sentence)
#include "ctl/options.def"
#undef OPTION
#undef ALIAS
};

static const struct option table[] = {
#define OPTION(name_, type_, initial_, lowest_, highest_, outside_, writable_, effect_, sentence_) \
	{.name = #name_, \
	 .value = &opt.name_, \
	 .type = OPTION_IS_##type_, \
	 .outside = OPTION_##outside_, \
	 .writable = OPTION_##writable_, \
	 .effect = OPTION_##effect_, \
	 .lowest = (lowest_), \
	 .highest = (highest_), \
	 .words = WORDS_##type_(name_)},
#define ALIAS(name_, kind, target, highest_, sentence_) \
	{.name = #name_, \
	 .value = &opt.target, \
	 .type = OPTION_IS_SIZE, \
	 .outside = OPTION_CLIP, \
	 .writable = OPTION_SILENT, \
	 .effect = (enum option_effect)EFFECT_##target, \
	 .alias = OPTION_##kind, \
	 .highest = (highest_)},
#include "ctl/options.def"
#undef OPTION
#undef ALIAS
};

static bool was_set[COUNT_OF(table)]; /* a source named it                  [const after start] */

unsigned option_count(void) {
	return COUNT_OF(table);
}

const struct option *option_at(unsigned index) {
	return &table[index];
}

const struct option *option_of(const void *field) {
	const struct option *option = table;
	while (option->value != field || option->alias != OPTION_PLAIN)
		option++;
	return option;
}

STARTUP bool option_was_set(const void *field) {
	return was_set[option_of(field) - table];
}

/* -- near misses ----------------------------------------------------------------------------------------- */

static unsigned least(unsigned a, unsigned b, unsigned c) {
	a = a < b ? a : b;
	return a < c ? a : c;
}

/* Insertions, deletions and replacements that turn `key` into `name`. */
static unsigned distance(const char *key, size_t length, const char *name) {
	unsigned row[KEY_MAX + 1];
	for (unsigned i = 0; i <= length; i++)
		row[i] = i;
	for (; *name != 0; name++) {
		unsigned diagonal = row[0]++;
		for (size_t i = 1; i <= length; i++) {
			unsigned above = row[i];
			row[i] = least(diagonal + (key[i - 1] != *name), above + 1, row[i - 1] + 1);
			diagonal = above;
		}
	}
	return row[length];
}

const char *option_nearest(const char *key, size_t length) {
	const char *nearest = NULL;
	unsigned best = NEAR + 1;
	if (length < 3 || length > KEY_MAX)
		return NULL;
	for (unsigned i = 0; i < COUNT_OF(table); i++) {
		const char *name = table[i].name;
		unsigned steps = distance(key, length, name);
		if (strlen(name) > length && memcmp(name, key, length) == 0) /* the beginning of a name */
			steps = 1;
		if (steps < best && steps <= length / 3) {
			best = steps;
			nearest = name;
		}
	}
	return nearest;
}

/* -- one source ------------------------------------------------------------------------------------------ */

/* The first pass looks for confirm_conf only, so that it counts for all sources. It names pairs of broken form, as the
 * second does again, but not values: those may be right by then. */
struct reading {
	bool first_pass;
	bool wrong; /* something that counts as an error was seen so far */
};

static void complain(const char *what, struct piece key, struct piece value) {
	guard_message("<ashlar>: %s: %.*s:%.*s\n", what, (int)key.length, key.text, (int)value.length,
	              value.text);
}

static bool is_experiment(struct piece key) {
	static const char prefix[] = "experimental_";
	return key.length >= sizeof prefix - 1 && memcmp(key.text, prefix, sizeof prefix - 1) == 0;
}

/* Options that jemalloc once had: named, but nobody's program ends for them. */
static bool is_removed(struct piece key) {
	return piece_is(key, "hpa_sec_bytes_after_flush") || piece_is(key, "hpa_sec_batch_fill_extra");
}

static void refuse_key(struct reading *reading, struct piece key, struct piece value) {
	complain("Invalid conf pair", key, value);
	if (is_removed(key))
		return;
	const char *nearest = option_nearest(key.text, key.length);
	if (nearest != NULL)
		guard_message("<ashlar>: Did you mean %s?\n", nearest);
	reading->wrong |= !is_experiment(key);
}

static void refuse_value(struct reading *reading, const struct option *option, enum verdict verdict,
                         struct piece value) {
	struct piece key = {option->name, strlen(option->name)};
	if (option->type == OPTION_IS_RANGES)
		guard_message("<ashlar>: Invalid settings for %s: %s:%.*s\n", option->name, option->name,
		              (int)value.length, value.text);
	else
		complain(verdict == VALUE_INVALID ? "Invalid conf value" : "Out-of-range conf value", key,
		         value);
	reading->wrong |= !is_experiment(key);
}

static void take_pair(struct reading *reading, struct piece key, struct piece value) {
	const struct option *option = table;
	while (option < table + COUNT_OF(table) && !piece_is(key, option->name))
		option++;
	if (reading->first_pass) {
		if (option < table + COUNT_OF(table) && option->value == &opt.confirm_conf)
			(void)option_set(option, value);
		return;
	}
	if (option == table + COUNT_OF(table)) {
		refuse_key(reading, key, value);
		return;
	}
	enum verdict verdict = option_set(option, value);
	if (verdict != VALUE_GOOD) {
		refuse_value(reading, option, verdict, value);
		return;
	}
	was_set[option_of(option->value) - table] = true;
	if (opt.confirm_conf)
		complain("-- Set conf value", key, value);
}

static bool is_key_character(char c) {
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Gives up the rest of the source. The excerpt is what was read of the offending pair. */
static void give_up(struct reading *reading, const char *what, struct piece excerpt) {
	guard_message("<ashlar>: %s -- %.*s\n", what, (int)excerpt.length, excerpt.text);
	reading->wrong = true;
}

/* Reads one pair and the comma after it. Returns where the next begins; NULL: that was the last. */
static const char *read_pair(struct reading *reading, const char *text) {
	struct piece key = {text, 0}, value;
	while (is_key_character(text[key.length]))
		key.length++;
	if (text[key.length] == 0) {
		give_up(reading, "Conf string ends with key", key);
		return NULL;
	}
	if (text[key.length] != ':') {
		give_up(reading, "Malformed conf string", key);
		return NULL;
	}
	value = (struct piece){text + key.length + 1, 0};
	while (value.text[value.length] != 0 && value.text[value.length] != ',')
		value.length++;
	take_pair(reading, key, value);
	const char *end = value.text + value.length;
	if (*end == 0)
		return NULL;
	if (end[1] == 0) {
		give_up(reading, "Conf string ends with comma",
		        (struct piece){key.text, (size_t)(end - key.text)});
		return NULL;
	}
	return end + 1;
}

static STARTUP void read_source(struct reading *reading, const char *text) {
	if (text != NULL && *text == 0)
		text = NULL;
	while (text != NULL)
		text = read_pair(reading, text);
	if (reading->wrong && opt.abort_conf) {
		guard_message("<ashlar>: Abort (abort_conf:true) on invalid conf value (see above).\n");
		os_abort();
	}
}

/* -- all sources ----------------------------------------------------------------------------------------- */

static const char *const source_names[OPTION_SOURCES] = {
	"string specified via --with-malloc-conf",
	"string pointed to by the global variable malloc_conf",
	"\"name\" of the file referenced by the symbolic link named /etc/malloc.conf",
	"value of the environment variable MALLOC_CONF",
	"string pointed to by the global variable malloc_conf_2_conf_harder",
};

STARTUP void options_read(const char *const texts[OPTION_SOURCES]) {
	struct reading reading = {.first_pass = true};
	opt = option_defaults;
	memset(was_set, 0, sizeof was_set);
	for (int i = 0; i < OPTION_SOURCES; i++)
		read_source(&reading, texts[i]);
	reading.first_pass = false;
	for (int i = 0; i < OPTION_SOURCES; i++) {
		if (opt.confirm_conf)
			guard_message("<ashlar>: malloc_conf #%d (%s): \"%s\"\n", i + 1, source_names[i],
			              texts[i] == NULL ? "" : texts[i]);
		read_source(&reading, texts[i]);
	}
}

/* -- what depends on the machine and on other options ------------------------------------------------------ */

/* Arena numbers are part of the flag word of mallocx, which leaves room for so many. */
#define NARENAS_LIMIT 4094u

static void settle_narenas(void) {
	if (opt.narenas == 0) {
		uint64_t count = (uint64_t)os.cpus * opt.narenas_ratio / RATIO_ONE;
		opt.narenas = os.cpus > 1 && count > 1 ? (unsigned)size_min(count, NARENAS_LIMIT) : 1;
	}
	if (opt.narenas > NARENAS_LIMIT) {
		guard_message("<ashlar>: Reducing narenas to limit (%u)\n", NARENAS_LIMIT);
		opt.narenas = NARENAS_LIMIT;
	}
}

static void settle_profiling(void) {
	if (opt.prof_leak_error && !opt.prof_final) {
		guard_message("<ashlar>: prof_leak_error is set w/o prof_final.\n");
		if (opt.abort_conf)
			os_abort();
	}
	opt.prof_leak |= opt.prof_leak_error;
	if (opt.prof_leak && !opt.prof) {
		opt.prof = true;
		opt.prof_gdump = false;
		opt.lg_prof_interval = -1;
	}
}

static void settle_huge_pages(void) {
	if (os.thp == OS_THP_UNKNOWN)
		opt.thp = THP_NOT_SUPPORTED;
	if (opt.hpa_hugify_style == HPA_HUGIFY_STYLE_AUTO)
		opt.hpa_hugify_style =
			os.thp == OS_THP_MADVISE ? HPA_HUGIFY_STYLE_LAZY : HPA_HUGIFY_STYLE_NONE;
}

#define OVERSIZE_LEAST  LARGE_MIN /* a smaller threshold switches the arena of large blocks off */
#define THREADS_DEFAULT 4
#define UAF_ALIGN_LEAST 12

static void settle(void) {
	settle_narenas();
	settle_profiling();
	settle_huge_pages();
	if (opt.oversize_threshold < OVERSIZE_LEAST)
		opt.oversize_threshold = 0;
	if (opt.max_background_threads > OPTION_THREADS_LIMIT)
		opt.max_background_threads = THREADS_DEFAULT;
	if (opt.lg_san_uaf_align >= 0 && opt.lg_san_uaf_align < UAF_ALIGN_LEAST)
		opt.lg_san_uaf_align = UAF_ALIGN_LEAST;
}

static const char *sources[OPTION_SOURCES]; /* [const after start] */

const char *option_source(enum option_source source) {
	return sources[source];
}

STARTUP void options_start(void) {
	static char link[PATH_MAX];
	sources[SOURCE_BUILD] = ASHLAR_CONF;
	sources[SOURCE_VARIABLE] = malloc_conf;
	sources[SOURCE_LINK] = os_read_link(LINK_PATH, link, sizeof link) ? link : NULL;
	sources[SOURCE_ENVIRONMENT] = os_env("MALLOC_CONF");
	sources[SOURCE_HARDER] = malloc_conf_2_conf_harder;
	options_read(sources);
	settle();
}
