/* manual.c - fills the tables into the manual page.
 *
 * A line of the page that begins with @ names a table: @options, @names PREFIX, @classes; anywhere in a line,
 * @version@ and @date@ are replaced. All else is copied. The page is written in the macros of man(7). */
#include "tool.h"
#include "version.h"

#include <stdio.h>
#include <string.h>

#define LINE_SIZE 1024

/* Text of a sentence: a dash that is a minus sign, a backslash, and a line that would look like a macro. */
static void put_text(const char *text) {
	size_t column = 0;
	for (; *text != 0; text++) {
		if (column == 0 && (*text == '.' || *text == '\''))
			fputs("\\&", stdout);
		if (*text == '\\')
			fputs("\\e", stdout);
		else if (*text == '-')
			fputs("\\-", stdout);
		else if (*text == ' ' && (column > 60 || (column > 0 && strchr(".;:", text[-1]) != NULL)))
			putchar('\n');
		else
			putchar(*text);
		column = *text == ' ' && (column > 60 || strchr(".;:", text[-1]) != NULL) ? 0 : column + 1;
	}
	putchar('\n');
}

static void put_options(void) {
	char range[WORD_SIZE], initial[WORD_SIZE];
	for (unsigned i = 0; i < option_count(); i++) {
		const struct option *option = option_at(i);
		const char *word = option_default_word(option, initial);
		printf(".TP\n.B %s\n.RI ( %s ,\n", option->name, option_type_word(option));
		if (*word != 0) {
			fputs("default ", stdout);
			put_text(word);
			fputs(";\n", stdout);
		}
		put_text(option_range_word(option, range));
		fputs(")\n.br\n", stdout);
		put_text(option->sentence);
	}
}

static void put_names(const char *prefix) {
	char text[NAME_SIZE];
	size_t length = strlen(prefix);
	for (unsigned i = 0; i < ctl_name_count(); i++) {
		const struct ctl_name *name = ctl_name_at(i);
		if (strncmp(name_text(name, text, sizeof text), prefix, length) != 0)
			continue;
		printf(".TP\n.B %s\n.RI ( \"%s\" )\n", text, name_type_word(name));
		printf("\\fR%s\\fP\n.br\n", name_access_word(name));
		put_text(name->sentence);
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
	if (strcmp(line, "@options") == 0)
		put_options();
	else if (strncmp(line, "@names ", 7) == 0)
		put_names(line + 7);
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
