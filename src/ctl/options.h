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
 * Runs inside the first malloc: no allocation, no stdio, no lock. */
#ifndef ASHLAR_CTL_OPTIONS_H
#define ASHLAR_CTL_OPTIONS_H

#include "page/page.h"

#include <limits.h>
#include <sys/types.h>

enum opt_zero_realloc { ZERO_REALLOC_ALLOC, ZERO_REALLOC_FREE, ZERO_REALLOC_ABORT };

/* Letters of a statistics print, terminated, each once. */
#define OPTION_LETTERS "Jgmdablxeh"
struct option_letters {
	char text[sizeof OPTION_LETTERS];
};

#define OPTION_TYPE_BOOL(name)     bool
#define OPTION_TYPE_UNSIGNED(name) unsigned
#define OPTION_TYPE_SIZE(name)     size_t
#define OPTION_TYPE_SSIZE(name)    ssize_t
#define OPTION_TYPE_CHOICE(name)   enum opt_##name
#define OPTION_TYPE_LETTERS(name)  struct option_letters

/* All fields: [const after start]. */
struct options {
#define OPTION(name, type, ...) OPTION_TYPE_##type(name) name;
#define ALIAS(name, target, highest, sentence)
#include "ctl/options.def"
#undef OPTION
#undef ALIAS
};
extern struct options opt;

/* Reads all sources into `opt`, prints complaints (guard_message), aborts if abort_conf asks for that, and
 * puts the number of arenas for the word `default`: needs os_start. Called once, before any other thread is
 * in the allocator. */
void options_start(void);

/* The same from the given texts instead of the sources (any may be NULL) into `opt`, whose defaults are
 * restored first: for tests. */
#define OPTION_SOURCES 5
void options_read(const char *const texts[OPTION_SOURCES]);

/* One option for those who list them: mallctl and the manual. */
enum option_type {
	OPTION_BOOL,
	OPTION_UNSIGNED,
	OPTION_SIZE,
	OPTION_SSIZE,
	OPTION_CHOICE,
	OPTION_LETTERS_OF
};
enum option_outside { OPTION_CLIP, OPTION_ERROR };
struct option {
	const char *name;
	const char *sentence;
	const char *initial; /* the default as written in the table */
	void *value;         /* its field in opt; an alias: that of its target */
	enum option_type type;
	enum option_outside outside;
	int64_t lowest;
	uint64_t highest;
	const char *const *words; /* of a CHOICE, ended by NULL; value is the index */
	bool alias;               /* sets its target to 2^n; cannot be read by mallctl */
};
unsigned option_count(void);
const struct option *option_at(unsigned index);

/* The known option name nearest to a mistyped one; NULL when none is near. */
const char *option_nearest(const char *key, size_t length);

#endif
