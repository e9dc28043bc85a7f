/* tables.c - the tables of options and names as text and as columns. */
#include "tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SENTENCE_WIDTH 100

bool matches(const char *name, const char *pattern) {
	if (pattern == NULL)
		return true;
	/* A pattern is found anywhere: try each place, and let * skip. */
	for (;; name++) {
		const char *n = name, *p = pattern;
		while (*p != 0 && *p != '*' && *n == *p)
			n++, p++;
		if (*p == 0 || (*p == '*' && matches(n, p + 1)))
			return true;
		if (*name == 0)
			return false;
	}
}

/* -- words ----------------------------------------------------------------------------------------------- */

const char *option_type_word(const struct option *option) {
	static const char *const words[] = {
		[OPTION_IS_BOOL] = "bool",     [OPTION_IS_UNSIGNED] = "number",
		[OPTION_IS_SIZE] = "bytes",    [OPTION_IS_SSIZE] = "signed",
		[OPTION_IS_CHOICE] = "word",   [OPTION_IS_LETTERS] = "letters",
		[OPTION_IS_UINT64] = "number", [OPTION_IS_INT64] = "signed",
		[OPTION_IS_RATIO] = "ratio",   [OPTION_IS_TEXT] = "text",
		[OPTION_IS_RANGES] = "ranges", [OPTION_IS_LIMIT] = "memory",
	};
	return option->alias ? "exponent" : words[option->type];
}

/* Reads the value an option has when no source says anything. */
static union ctl_value default_value(const struct option *option) {
	static const char *const nothing[OPTION_SOURCES];
	struct options ours = opt;
	options_read(nothing);
	union ctl_value value = ctl_read_option(option->value);
	opt = ours;
	return value;
}

/* As the user would type it; the table has it as C does. */
const char *option_default_word(unsigned row, char word[WORD_SIZE]) {
	const struct option *option = option_at(row);
	union ctl_value value = default_value(option);
	word[0] = 0;
	if (option->alias != OPTION_PLAIN)
		return word;
	switch (option->type) {
	case OPTION_IS_BOOL:
		return value.as_bool ? "true" : "false";
	case OPTION_IS_UNSIGNED:
		snprintf(word, WORD_SIZE, "%u", value.as_unsigned);
		return option->value == &opt.narenas ? "default" : word;
	case OPTION_IS_SIZE:
		snprintf(word, WORD_SIZE, "%zu", value.as_size);
		return word;
	case OPTION_IS_SSIZE:
		snprintf(word, WORD_SIZE, "%zd", value.as_ssize);
		return word;
	case OPTION_IS_UINT64:
		snprintf(word, WORD_SIZE, "%" PRIu64, value.as_uint64);
		return word;
	case OPTION_IS_INT64:
		snprintf(word, WORD_SIZE, "%" PRId64, value.as_int64);
		return word;
	case OPTION_IS_CHOICE:
		return value.as_text;
	case OPTION_IS_LIMIT:
	case OPTION_IS_TEXT: /* a literal */
		snprintf(word, WORD_SIZE, "%.*s", (int)strlen(option_initial(row)) - 2,
		         option_initial(row) + 1);
		return word;
	case OPTION_IS_RATIO:
		return option_initial(row);
	case OPTION_IS_LETTERS:
	case OPTION_IS_RANGES:
		return word;
	}
	return word;
}

/* The largest number of the type is no bound worth printing. */
static bool unbounded(const struct option *option) {
	return (option->type == OPTION_IS_UNSIGNED && option->highest == UINT_MAX) ||
	       option->highest == UINT64_MAX || option->highest == INT64_MAX;
}

static const char *number_range(const struct option *option, char word[WORD_SIZE]) {
	int length = 0;
	if (option->alias == OPTION_SHARE)
		return "0 to 1";
	if (unbounded(option))
		length = snprintf(word, WORD_SIZE, "%" PRId64 " or more", option->lowest);
	else if (option->highest == SIZE_LIMIT)
		length = snprintf(word, WORD_SIZE, "%" PRId64 " to 7 EiB", option->lowest);
	else
		length =
			snprintf(word, WORD_SIZE, "%" PRId64 " to %" PRIu64, option->lowest, option->highest);
	if (option->outside == OPTION_CLIP)
		snprintf(word + length, WORD_SIZE - (size_t)length, ", clipped");
	return word;
}

const char *option_range_word(const struct option *option, char word[WORD_SIZE]) {
	size_t length = 0;
	word[0] = 0;
	switch (option->type) {
	case OPTION_IS_BOOL:
		return "true, false";
	case OPTION_IS_LETTERS:
		return OPTION_LETTERS;
	case OPTION_IS_CHOICE:
		for (const char *const *choice = option->words; *choice != NULL && length < WORD_SIZE;
		     choice++)
			length += (size_t)snprintf(word + length, WORD_SIZE - length, "%s%s",
			                           length > 0 ? ", " : "", *choice);
		return word;
	case OPTION_IS_UNSIGNED:
	case OPTION_IS_SIZE:
	case OPTION_IS_SSIZE:
	case OPTION_IS_UINT64:
	case OPTION_IS_INT64:
		return number_range(option, word);
	case OPTION_IS_TEXT:
		return "any text";
	case OPTION_IS_RATIO:
		return option->lowest < 0 ? "0 or more, -1" : "0 or more";
	case OPTION_IS_RANGES:
		return "size-size:number|...";
	case OPTION_IS_LIMIT:
		return "bytes, 1k, 1m, 1g, 1t, 50%, default";
	}
	return word;
}

const char *option_set_word(const struct option *option) {
	static const char *const words[] = {
		[OPTION_START] = "start", [OPTION_LIVE] = "live", [OPTION_SILENT] = "silent"};
	return option->alias == OPTION_PLAIN ? words[option->writable] : "silent";
}

const char *option_effect_word(const struct option *option) {
	return option->effect == OPTION_WORKS ? "works" : "accepted";
}

const char *name_type_word(const struct ctl_name *name) {
	static const char *const words[] = {
		[CTL_BOOL] = "bool",       [CTL_UNSIGNED] = "unsigned", [CTL_UINT32] = "uint32_t",
		[CTL_UINT64] = "uint64_t", [CTL_INT64] = "int64_t",     [CTL_SIZE] = "size_t",
		[CTL_SSIZE] = "ssize_t",   [CTL_TEXT] = "const char *", [CTL_POINTER] = "void *",
		[CTL_STRUCT] = "struct",   [CTL_NOTHING] = "void",
	};
	return words[name->type];
}

const char *name_access_word(const struct ctl_name *name) {
	static const char *const words[] = {
		[CTL_READ] = "r-",       [CTL_WRITE] = "-w",  [CTL_READ_WRITE] = "rw",
		[CTL_WRITE_READ] = "rw", [CTL_ACTION] = "--", [CTL_RAW] = "**",
	};
	return words[name->access];
}

const char *name_text(const struct ctl_name *name, char *text, size_t size) {
	size_t length = 0;
	char letter = 'i';
	for (const char *from = name->name; *from != 0 && length + 4 < size; from++) {
		text[length++] = *from;
		if (*from == '<') {
			text[length++] = letter++;
			from = strchr(from, '>');
			text[length++] = '>';
		}
	}
	text[length] = 0;
	return text;
}

/* -- the two lists --------------------------------------------------------------------------------------- */

struct listing {
	bool tsv;
	const char *pattern;
};

static struct listing read_arguments(const char *command, int count, char **arguments) {
	struct listing listing = {0};
	for (int i = 0; i < count; i++) {
		if (strcmp(arguments[i], "--tsv") == 0)
			listing.tsv = true;
		else if (arguments[i][0] == '-')
			usage_error("%s: unknown option '%s'; ashlar --help tells more", command,
			            arguments[i]);
		else if (listing.pattern != NULL)
			usage_error("%s: one pattern at most", command);
		else
			listing.pattern = arguments[i];
	}
	return listing;
}

/* Prints a sentence below its row, in lines that fit a screen; or as the last column. */
static void print_sentence(const char *text, bool tsv) {
	size_t column = 0;
	if (tsv) {
		puts(text);
		return;
	}
	while (*text != 0) {
		size_t length = strcspn(text, " ");
		if (column > 0 && column + 1 + length > SENTENCE_WIDTH) {
			putchar('\n');
			column = 0;
		}
		column += (size_t)printf("%s%.*s", column == 0 ? "    " : " ", (int)length, text);
		text += length + (text[length] == ' ');
	}
	putchar('\n');
}

/* Nothing found is a mistake of the one who asked. */
static int found(const char *command, unsigned rows, const char *pattern) {
	if (rows == 0)
		usage_error("%s: nothing matches '%s'", command, pattern);
	return 0;
}

int list_options(int count, char **arguments) {
	struct listing listing = read_arguments("options", count, arguments);
	unsigned rows = 0;
	char range[WORD_SIZE], initial[WORD_SIZE];
	if (listing.tsv)
		puts("name\ttype\tdefault\trange\tset\teffect\tsentence");
	for (unsigned i = 0; i < option_count(); i++) {
		const struct option *option = option_at(i);
		if (!matches(option->name, listing.pattern))
			continue;
		rows++;
		const char *format =
			listing.tsv ? "%s\t%s\t%s\t%s\t%s\t%s\t" : "%-26s %-8s %-10s %-26s %-6s %s\n";
		printf(format, option->name, option_type_word(option), option_default_word(i, initial),
		       option_range_word(option, range), option_set_word(option), option_effect_word(option));
		print_sentence(option_sentence(i), listing.tsv);
	}
	return found("options", rows, listing.pattern);
}

int list_names(int count, char **arguments) {
	struct listing listing = read_arguments("names", count, arguments);
	unsigned rows = 0;
	char text[NAME_SIZE];
	if (listing.tsv)
		puts("name\ttype\taccess\tsentence");
	for (unsigned i = 0; i < ctl_name_count(); i++) {
		const struct ctl_name *name = ctl_name_at(i);
		if (!matches(name_text(name, text, sizeof text), listing.pattern))
			continue;
		rows++;
		printf(listing.tsv ? "%s\t%s\t%s\t" : "%-44s %-13s %s\n", text, name_type_word(name),
		       name_access_word(name));
		print_sentence(name_sentence(i), listing.tsv);
	}
	return found("names", rows, listing.pattern);
}
