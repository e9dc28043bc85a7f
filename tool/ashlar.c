/* ashlar.c - the command line: which command, and running a program on the library. */
#include "tool.h"
#include "api/api.h"
#include "version.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_SIZE 4096

static const char help[] =
	"usage: ashlar run [-o OPTIONS] [--] PROGRAM [ARGUMENT ...]     run a program on Ashlar\n"
	"       ashlar stats [-o OPTIONS] [--] PROGRAM [ARGUMENT ...]   the same, and a report of its heap "
	"at the end\n"
	"       ashlar options [--tsv] [PATTERN]                        list the options\n"
	"       ashlar names [--tsv] [PATTERN]                          list the names of mallctl\n"
	"       ashlar profile [OPTION ...] FILE ...                    show heap profiles; --help tells "
	"more\n"
	"       ashlar PROGRAM [ARGUMENT ...]                           short for ashlar run\n"
	"       ashlar --help | --version\n"
	"\n"
	"OPTIONS are name:value pairs with commas between, and are added to those of MALLOC_CONF. PATTERN is "
	"a part of\n"
	"the name; * in it stands for anything. --tsv separates columns by tabs. See ashlar(1), ashlar(3).\n";

void usage_error(const char *format, ...) {
	va_list arguments;
	va_start(arguments, format);
	fputs("ashlar: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	exit(EXIT_USAGE);
}

/* -- running a program ----------------------------------------------------------------------------------- */

/* The library lies beside the command in the folder of a build, in the folder for libraries when installed. */
static void find_library(char path[PATH_SIZE]) {
	static const char *const places[] = {"", ASHLAR_BIN_TO_LIB "/"};
	char folder[PATH_SIZE / 2];
	ssize_t length = readlink("/proc/self/exe", folder, sizeof folder - 1);
	if (length < 0)
		usage_error("/proc/self/exe: %s", strerror(errno));
	folder[length] = 0;
	char *slash = strrchr(folder, '/');
	if (slash != NULL)
		slash[1] = 0;
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
		snprintf(path, PATH_SIZE, "%s%s%s", folder, places[i], ASHLAR_SONAME);
		if (access(path, R_OK) == 0)
			return;
	}
	usage_error("%s is not where it was installed: %s", ASHLAR_SONAME, path);
}

/* Puts `text` before or after what a variable of the environment holds. */
static void extend(const char *variable, const char *before, const char *separator, const char *after) {
	const char *old = getenv(variable);
	bool any = old != NULL && *old != 0;
	char *joined = NULL;
	const char *left = before != NULL ? before : (any ? old : ""),
		   *right = after != NULL ? after : (any ? old : "");
	if (asprintf(&joined, "%s%s%s", left, any ? separator : "", right) < 0 ||
	    setenv(variable, joined, 1) != 0)
		usage_error("%s: %s", variable, strerror(errno));
	free(joined);
}

static void refuse(void *opaque, const char *text) {
	UNUSED(opaque);
	static const char prefix[] = "<ashlar>: ";
	if (strncmp(text, prefix, sizeof prefix - 1) == 0)
		text += sizeof prefix - 1;
	if (strncmp(text, "malloc_conf #", 13) == 0 || strncmp(text, "-- Set ", 7) == 0)
		return; /* what confirm_conf prints */
	if (write(STDERR_FILENO, "ashlar: -o: ", 12) >= 0 && write(STDERR_FILENO, text, strlen(text)) >= 0)
		_exit(EXIT_USAGE);
	_exit(EXIT_USAGE);
}

/* Reads the options as the program will, and ends at the first complaint. This command allocates nothing after it. */
static void check_options(const char *options) {
	const char *texts[OPTION_SOURCES] = {options};
	if (options == NULL)
		return;
	malloc_message = refuse;
	options_read(texts);
	malloc_message = NULL;
}

static int run_program(const char *options, const char *extra, char **arguments) {
	char library[PATH_SIZE];
	find_library(library);
	extend("LD_PRELOAD", library, ":", NULL);
	if (options != NULL)
		extend("MALLOC_CONF", NULL, ",", options);
	if (extra != NULL)
		extend("MALLOC_CONF", NULL, ",", extra);
	check_options(options);
	execvp(arguments[0], arguments);
	usage_error("%s: %s", arguments[0], errno == ENOENT ? "no such program" : strerror(errno));
}

/* `run` and `stats` after their word. */
static int run_command(const char *command, int count, char **arguments) {
	const char *options = NULL;
	int at = 0;
	for (; at < count && arguments[at][0] == '-'; at++) {
		if (strcmp(arguments[at], "--") == 0) {
			at++;
			break;
		}
		if (strcmp(arguments[at], "-o") != 0)
			usage_error("%s: unknown option '%s'; ashlar --help tells more", command,
			            arguments[at]);
		if (++at == count)
			usage_error("%s: -o needs options, name:value,...", command);
		options = arguments[at];
	}
	if (at >= count)
		usage_error("%s: no program is named; ashlar --help tells more", command);
	return run_program(options, strcmp(command, "stats") == 0 ? "stats_print:true" : NULL,
	                   arguments + at);
}

/* -- commands -------------------------------------------------------------------------------------------- */

static int end_output(int status) {
	if (fflush(stdout) != 0)
		usage_error("output: %s", strerror(errno));
	return status;
}

static int profile(int count, char **arguments) {
#ifdef ASHLAR_HAVE_PROFILE
	return profile_command(count, arguments);
#else
	UNUSED(count);
	UNUSED(arguments);
	usage_error("profile: this command was built without libdw and zlib, which profiles need");
#endif
}

int main(int count, char **arguments) {
	if (count < 2) {
		fputs("ashlar: no command is named; ashlar --help tells more\n", stderr);
		return EXIT_USAGE;
	}
	const char *command = arguments[1];
	count -= 2;
	arguments += 2;
	if (strcmp(command, "run") == 0 || strcmp(command, "stats") == 0)
		return run_command(command, count, arguments);
	if (strcmp(command, "options") == 0)
		return end_output(list_options(count, arguments));
	if (strcmp(command, "names") == 0)
		return end_output(list_names(count, arguments));
	if (strcmp(command, "profile") == 0)
		return end_output(profile(count, arguments));
	if (strcmp(command, "-h") == 0 || strcmp(command, "--help") == 0)
		return end_output(fputs(help, stdout) < 0);
	if (strcmp(command, "--version") == 0)
		return end_output(printf("ashlar %s (%.12s)\n", ASHLAR_BUILD_VERSION, ASHLAR_BUILD_GIT_ID) <
		                  0);
	if (strcmp(command, "--manual") == 0)
		return end_output(write_manual());
	if (strcmp(command, "--") != 0 && command[0] == '-')
		usage_error("unknown option '%s'; ashlar --help tells more", command);
	if (strcmp(command, "--") != 0)
		arguments--, count++;
	if (count == 0)
		usage_error("no program is named; ashlar --help tells more");
	return run_program(NULL, NULL, arguments);
}
