/* options.c - from the five sources to `opt`. */
#include "ctl/options.h"
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

static const char *const zero_realloc_words[] = {"alloc", "free", "abort", NULL};

/* -- the table ------------------------------------------------------------------------------------------- */

#define INIT_BOOL(value)     (value)
#define INIT_UNSIGNED(value) (value)
#define INIT_SIZE(value)     (value)
#define INIT_SSIZE(value)    (value)
#define INIT_CHOICE(value)   (value)
#define INIT_LETTERS(value) \
	{ \
		{ value } \
	}

#define TYPE_LETTERS  OPTION_LETTERS_OF
#define TYPE_BOOL     OPTION_BOOL
#define TYPE_UNSIGNED OPTION_UNSIGNED
#define TYPE_SIZE     OPTION_SIZE
#define TYPE_SSIZE    OPTION_SSIZE
#define TYPE_CHOICE   OPTION_CHOICE

#define WORDS_BOOL(name)     NULL
#define WORDS_UNSIGNED(name) NULL
#define WORDS_SIZE(name)     NULL
#define WORDS_SSIZE(name)    NULL
#define WORDS_LETTERS(name)  NULL
#define WORDS_CHOICE(name)   name##_words

static const struct options defaults = {
#define OPTION(name, type, initial, ...) .name = INIT_##type(initial),
#define ALIAS(name, target, highest, sentence)
#include "ctl/options.def"
#undef OPTION
#undef ALIAS
};

struct options opt = {
#define OPTION(name, type, initial, ...) .name = INIT_##type(initial),
#define ALIAS(name, target, highest, sentence)
#include "ctl/options.def"
#undef OPTION
#undef ALIAS
};

static const struct option table[] = {
#define OPTION(name, type, initial, lowest, highest, outside, writable, sentence) \
	{#name,  sentence, #initial,           &opt.name, TYPE_##type, OPTION_##outside, \
	 lowest, highest,  WORDS_##type(name), false},
#define ALIAS(name, target, highest, sentence) \
	{#name, sentence, "", &opt.target, OPTION_SIZE, OPTION_CLIP, 0, highest, NULL, true},
#include "ctl/options.def"
#undef OPTION
#undef ALIAS
};

unsigned option_count(void) {
	return COUNT_OF(table);
}

const struct option *option_at(unsigned index) {
	return &table[index];
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
		if (steps < best && steps < length) {
			best = steps;
			nearest = name;
		}
	}
	return nearest;
}

/* -- values ---------------------------------------------------------------------------------------------- */

enum verdict { GOOD, INVALID, OUT_OF_RANGE };

/* A piece of a source; not terminated. */
struct piece {
	const char *text;
	size_t length;
};

static bool piece_is(struct piece piece, const char *word) {
	return strlen(word) == piece.length && memcmp(piece.text, word, piece.length) == 0;
}

static unsigned digit_of(char c) {
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 99;
}

/* Digits in C's three bases, all of `piece`. */
static bool parse_digits(struct piece piece, uint64_t *out) {
	unsigned base = 10;
	size_t i = 0;
	if (piece.length > 1 && piece.text[0] == '0') {
		base = (piece.text[1] | 0x20) == 'x' ? 16 : 8;
		i = base == 16 ? 2 : 1;
	}
	if (i == piece.length)
		return false;
	for (*out = 0; i < piece.length; i++) {
		unsigned digit = digit_of(piece.text[i]);
		if (digit >= base || __builtin_mul_overflow(*out, base, out) ||
		    __builtin_add_overflow(*out, digit, out))
			return false;
	}
	return true;
}

/* Blanks, a sign, digits. */
static bool parse_number(struct piece piece, bool *negative, uint64_t *out) {
	while (piece.length > 0 && (*piece.text == ' ' || (*piece.text >= '\t' && *piece.text <= '\r'))) {
		piece.text++;
		piece.length--;
	}
	*negative = piece.length > 0 && *piece.text == '-';
	if (*negative || (piece.length > 0 && *piece.text == '+')) {
		piece.text++;
		piece.length--;
	}
	return parse_digits(piece, out);
}

static enum verdict set_signed(const struct option *option, struct piece value) {
	bool negative;
	uint64_t magnitude;
	if (!parse_number(value, &negative, &magnitude))
		return INVALID;
	if (magnitude > INT64_MAX)
		return OUT_OF_RANGE;
	int64_t number = negative ? -(int64_t)magnitude : (int64_t)magnitude;
	if (number < option->lowest || (number > 0 && (uint64_t)number > option->highest))
		return OUT_OF_RANGE;
	*(ssize_t *)option->value = (ssize_t)number;
	return GOOD;
}

static enum verdict set_unsigned(const struct option *option, struct piece value) {
	bool negative;
	uint64_t number, lowest = (uint64_t)option->lowest;
	if (option->type == OPTION_UNSIGNED && piece_is(value, "default")) {
		*(unsigned *)option->value = 0;
		return GOOD;
	}
	if (!parse_number(value, &negative, &number))
		return INVALID;
	if (negative) /* as C converts it */
		number = 0 - number;
	if ((number < lowest || number > option->highest) && option->outside == OPTION_ERROR)
		return OUT_OF_RANGE;
	number = number < lowest ? lowest : number > option->highest ? option->highest : number;
	if (option->alias)
		number = (uint64_t)1 << number;
	if (option->type == OPTION_UNSIGNED)
		*(unsigned *)option->value = (unsigned)number;
	else
		*(size_t *)option->value = (size_t)number;
	return GOOD;
}

static enum verdict set_bool(const struct option *option, struct piece value) {
	bool wanted = piece_is(value, "true");
	if (!wanted && !piece_is(value, "false"))
		return INVALID;
	*(bool *)option->value = wanted;
	return GOOD;
}

static enum verdict set_choice(const struct option *option, struct piece value) {
	for (unsigned i = 0; option->words[i] != NULL; i++) {
		if (piece_is(value, option->words[i])) {
			memcpy(option->value, &i, sizeof i); /* an enum */
			return GOOD;
		}
	}
	return INVALID;
}

/* Letters that mean nothing are dropped, and those that are there already. */
static enum verdict set_letters(const struct option *option, struct piece value) {
	char *letters = ((struct option_letters *)option->value)->text;
	size_t used = strlen(letters);
	for (size_t i = 0; i < value.length; i++) {
		char letter = value.text[i];
		if (letter == 0 || strchr(OPTION_LETTERS, letter) == NULL || strchr(letters, letter) != NULL)
			continue;
		letters[used++] = letter;
		letters[used] = 0;
	}
	return GOOD;
}

static enum verdict set_value(const struct option *option, struct piece value) {
	switch (option->type) {
	case OPTION_BOOL:
		return set_bool(option, value);
	case OPTION_UNSIGNED:
	case OPTION_SIZE:
		return set_unsigned(option, value);
	case OPTION_SSIZE:
		return set_signed(option, value);
	case OPTION_CHOICE:
		return set_choice(option, value);
	case OPTION_LETTERS_OF:
		return set_letters(option, value);
	}
	return INVALID;
}

/* -- one source ------------------------------------------------------------------------------------------ */

/* The first pass looks for confirm_conf only and is silent, so that it counts for all sources. */
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

static void refuse_key(struct reading *reading, struct piece key, struct piece value) {
	complain("Invalid conf pair", key, value);
	const char *nearest = option_nearest(key.text, key.length);
	if (nearest != NULL)
		guard_message("<ashlar>: Did you mean %s?\n", nearest);
	reading->wrong |= !is_experiment(key);
}

static void take_pair(struct reading *reading, struct piece key, struct piece value) {
	const struct option *option = table;
	while (option < table + COUNT_OF(table) && !piece_is(key, option->name))
		option++;
	if (reading->first_pass) {
		if (option < table + COUNT_OF(table) && option->value == &opt.confirm_conf)
			(void)set_value(option, value);
		return;
	}
	if (option == table + COUNT_OF(table)) {
		refuse_key(reading, key, value);
		return;
	}
	enum verdict verdict = set_value(option, value);
	if (verdict != GOOD) {
		complain(verdict == INVALID ? "Invalid conf value" : "Out-of-range conf value", key, value);
		reading->wrong = true;
	} else if (opt.confirm_conf) {
		complain("-- Set conf value", key, value);
	}
}

static bool is_key_character(char c) {
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Gives up the rest of the source. The excerpt is what was read of the offending pair. */
static void give_up(struct reading *reading, const char *what, struct piece excerpt) {
	if (reading->first_pass)
		return;
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
		give_up(reading, "Conf string ends with comma", (struct piece){end, 0});
		return NULL;
	}
	return end + 1;
}

static void read_source(struct reading *reading, const char *text) {
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

void options_read(const char *const texts[OPTION_SOURCES]) {
	struct reading reading = {.first_pass = true};
	opt = defaults;
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

/* Arena numbers are part of the flag word of mallocx, which leaves room for so many. */
#define NARENAS_LIMIT 4094u

static void settle_narenas(void) {
	if (opt.narenas == 0)
		opt.narenas = os.cpus > 1 ? (unsigned)size_min((size_t)os.cpus * 4, NARENAS_LIMIT) : 1;
	if (opt.narenas > NARENAS_LIMIT) {
		guard_message("<ashlar>: Reducing narenas to limit (%u)\n", NARENAS_LIMIT);
		opt.narenas = NARENAS_LIMIT;
	}
}

void options_start(void) {
	static char link[PATH_MAX];
	const char *texts[OPTION_SOURCES] = {ASHLAR_CONF, malloc_conf, NULL, os_env("MALLOC_CONF"),
	                                     malloc_conf_2_conf_harder};
	if (os_read_link(LINK_PATH, link, sizeof link))
		texts[2] = link;
	options_read(texts);
	settle_narenas();
}
