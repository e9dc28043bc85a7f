/* manual.c - fills the tables into the manual page.
 *
 * A line of the page that begins with @ names a table: @options works, @options accepted, @names GROUP (a
 * beginning, or top for names without a dot), @list GROUP, @classes. @version@ is replaced anywhere. All else is copied. The page is written in the macros of man(7). */
#include "tool.h"
#include "version.h"

#include <stdio.h>
#include <string.h>

#define LINE_SIZE 1024
#define LINE_TEXT 72

/* A letter that means something to roff, in the way to write it. */
static void put_letter(char letter) {
	if (letter == '\\')
		fputs("\\e", stdout);
	else if (letter == '-')
		fputs("\\-", stdout);
	else if (letter == '`')
		fputs("\\(ga", stdout);
	else if (letter == '\'')
		fputs("\\(aq", stdout);
	else
		putchar(letter);
}

/* Text, then `after`, in lines that are not long and break where a sentence ends. */
static void put_text(const char *text, const char *after) {
	size_t column = 0;
	while (*text != 0) {
		size_t length = strcspn(text, " ");
		if (column > 0 && (column + length >= LINE_TEXT || text[-2] == '.')) {
			putchar('\n');
			column = 0;
		} else if (column > 0) {
			putchar(' ');
		}
		if (column == 0 && (*text == '.' || *text == '\''))
			fputs("\\&", stdout);
		for (size_t i = 0; i < length; i++)
			put_letter(text[i]);
		column += length + 1;
		text += length + (text[length] == ' ');
	}
	puts(after);
}

static void put_options(bool accepted) {
	char range[WORD_SIZE], initial[WORD_SIZE];
	for (unsigned i = 0; i < option_count(); i++) {
		const struct option *option = option_at(i);
		const char *word = option_default_word(i, initial);
		if ((option->effect == OPTION_ACCEPTED) != accepted)
			continue;
		printf(".TP\n.B %s\n(", option->name);
		put_text(option_type_word(option), ";");
		if (*word != 0) {
			fputs("default ", stdout);
			put_text(word, ";");
		}
		put_text(option_range_word(option, range), option->writable == OPTION_LIVE ? ";" : ")");
		if (option->writable == OPTION_LIVE)
			puts("live)");
		puts(".br");
		put_text(option_sentence(i), "");
	}
}

/* Is this a name of the group? `top` has those of one part. */
static bool in_group(const char *name, const char *group) {
	if (strcmp(group, "top") == 0)
		return strchr(name, '.') == NULL;
	return strncmp(name, group, strlen(group)) == 0;
}

static void put_names(const char *group) {
	char text[NAME_SIZE];
	for (unsigned i = 0; i < ctl_name_count(); i++) {
		const struct ctl_name *name = ctl_name_at(i);
		if (!in_group(name_text(name, text, sizeof text), group))
			continue;
		printf(".TP\n.B %s\n(%s; ", text, name_type_word(name));
		put_text(name_access_word(name), ")");
		puts(".br");
		put_text(name_sentence(i), "");
	}
}

/* Names whose sentences stand elsewhere: those of options. */
static void put_names_only(const char *group) {
	char text[NAME_SIZE];
	for (unsigned i = 0; i < ctl_name_count(); i++) {
		const struct ctl_name *name = ctl_name_at(i);
		if (in_group(name_text(name, text, sizeof text), group))
			printf(".B %s\n(%s);\n", text, name_type_word(name));
	}
}

/* Rows of tbl(1). */
static void put_classes(void) {
	for (unsigned class = 1; class <= CLASS_LAST; class ++) {
		const struct class_info *info = &class_info[class];
		if (class <= CLASS_SMALL_LAST)
			printf("%u\t%u\t%u\t%u\n", class - 1, info->bytes, (unsigned)info->slab_pages,
			       (unsigned)info->regions);
		else
			printf("%u\t%u\t%u\t\\-\n", class - 1, info->bytes, (unsigned)info->slab_pages);
	}
}

/* True when the line names a table. */
static bool put_table(const char *line) {
	if (strcmp(line, "@options works") == 0)
		put_options(false);
	else if (strcmp(line, "@options accepted") == 0)
		put_options(true);
	else if (strncmp(line, "@names ", 7) == 0)
		put_names(line + 7);
	else if (strncmp(line, "@list ", 6) == 0)
		put_names_only(line + 6);
	else if (strcmp(line, "@classes") == 0)
		put_classes();
	else
		return false;
	return true;
}

static void put_line(const char *line) {
	static const char word[] = "@version@";
	const char *found = strstr(line, word);
	if (found != NULL)
		printf("%.*s%s%s\n", (int)(found - line), line, ASHLAR_BUILD_VERSION,
		       found + sizeof word - 1);
	else
		puts(line);
}

int write_manual(void) {
	char line[LINE_SIZE];
	while (fgets(line, sizeof line, stdin) != NULL) {
		line[strcspn(line, "\n")] = 0;
		if (line[0] == '@' && !put_table(line))
			usage_error("--manual: no table '%s'", line);
		else if (line[0] != '@')
			put_line(line);
	}
	return 0;
}
