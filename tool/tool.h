/* tool.h - the command `ashlar`: runs programs on the library and shows the tables the library is made of.
 *
 * It is linked with the inside of the library and reads options.def and names.def through the same functions as
 * mallctl does, so that what it prints cannot differ from what is answered. Output is stdout; a mistake of the user
 * is one line on stderr and exit status 2. */
#ifndef ASHLAR_TOOL_H
#define ASHLAR_TOOL_H

#include "ctl/names.h"

#include <stdbool.h>

#define EXIT_USAGE 2

/* Prints "ashlar: <text>" on stderr and ends with EXIT_USAGE. */
_Noreturn void usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Does `name` contain `pattern`, in which * stands for anything? NULL matches all. */
bool matches(const char *name, const char *pattern);

/* Words for the columns of the tables. Those with a buffer return it, or a constant. */
#define WORD_SIZE 96
const char *option_type_word(const struct option *option);
const char *option_default_word(unsigned row, char word[WORD_SIZE]);
const char *option_range_word(const struct option *option, char word[WORD_SIZE]);
/* start: by the sources read at start; live: by mallctl as well; silent: as start, and cannot be read. */
const char *option_set_word(const struct option *option);
/* works, or accepted: checked and readable, and changes nothing. */
const char *option_effect_word(const struct option *option);
const char *name_type_word(const struct ctl_name *name);
/* r- -w rw; -- for an action; ** for a call that the sentence describes. */
const char *name_access_word(const struct ctl_name *name);
/* The name as users know it: with <i>, <j> for its indices. */
const char *name_text(const struct ctl_name *name, char *text, size_t size);
#define NAME_SIZE 128

/* What the tables say of a row in words, by its number; and an option's default as the table writes it. */
const char *option_sentence(unsigned row);
const char *option_initial(unsigned row);
const char *name_sentence(unsigned row);

/* The commands: arguments after the command's word. They return the exit status. */
int list_options(int count, char **arguments);
int list_names(int count, char **arguments);
int profile_command(int count, char **arguments);

/* Copies the text of a manual page from stdin to stdout, with the tables in the places marked for them. */
int write_manual(void);

#endif
