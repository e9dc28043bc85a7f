/* command.c - `ashlar profile`: its options, and what is done in which order. */
#include "gzip.h"
#include "show.h"
#include "symbolize.h"
#include "tool.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_BAD_FILE 1
#define EXIT_ABOVE    3 /* --fail-above */
#define MOST_ROWS     40
#define LEAST_OF_TREE 0.5 /* percent */
#define TEXT_SIZE     1024

/* -- options --------------------------------------------------------------------------------------------- */

/* Options that may be given again and again; NULL at the end. */
struct texts {
	char **texts;
	size_t count, room;
};

struct request {
	bool top, tree, callers, leak, pinned, cumulated, exact, lines, files, addresses, no_symbols, quiet;
	const char *type, *focus, *ignore, *hide, *label, *by, *root, *pprof, *heap, *folded, *flame, *rows,
		*least, *fail_above;
	struct texts profiles, bases, folders;
};

enum kind { KIND_FLAG, KIND_TEXT, KIND_LIST };

static const struct option_row {
	const char *name;
	enum kind kind;
	size_t place;
	const char *value, *sentence;
} rows[] = {
	{"--top", KIND_FLAG, offsetof(struct request, top), "",
         "functions (without another view or file: this)"},
	{"--tree", KIND_FLAG, offsetof(struct request, tree), "",
         "calls, from the outermost function inwards"},
	{"--callers", KIND_FLAG, offsetof(struct request, callers), "",
         "calls, from what holds something outwards"},
	{"--leak", KIND_FLAG, offsetof(struct request, leak), "", "each stack that holds something"},
	{"--pinned", KIND_FLAG, offsetof(struct request, pinned), "",
         "each stack that keeps slabs from being given back"},
	{"--diff", KIND_LIST, offsetof(struct request, bases), "FILE", "differences from this file"},
	{"--type", KIND_TEXT, offsetof(struct request, type), "TYPE",
         "inuse_space, inuse_objects, alloc_space, ..."},
	{"--focus", KIND_TEXT, offsetof(struct request, focus), "REGEX",
         "only stacks with such a function or file"},
	{"--ignore", KIND_TEXT, offsetof(struct request, ignore), "REGEX", "only stacks without"},
	{"--hide", KIND_TEXT, offsetof(struct request, hide), "REGEX", "without such functions"},
	{"--label", KIND_TEXT, offsetof(struct request, label), "KEY[=VALUE]",
         "only samples with this label"},
	{"--by", KIND_TEXT, offsetof(struct request, by), "KEY",
         "a label (thread, arena) as the outermost frames"},
	{"--lines", KIND_FLAG, offsetof(struct request, lines), "", "tell lines apart, not functions"},
	{"--files", KIND_FLAG, offsetof(struct request, files), "", "tell files apart"},
	{"--addresses", KIND_FLAG, offsetof(struct request, addresses), "", "tell addresses apart"},
	{"--cum", KIND_FLAG, offsetof(struct request, cumulated), "",
         "order by what a function holds with all it calls"},
	{"--bytes", KIND_FLAG, offsetof(struct request, exact), "", "bytes as plain numbers"},
	{"-n", KIND_TEXT, offsetof(struct request, rows), "N", "at most N rows; 0: all"},
	{"--least", KIND_TEXT, offsetof(struct request, least), "PERCENT", "leave out what is less"},
	{"--fail-above", KIND_TEXT, offsetof(struct request, fail_above), "N",
         "exit status 3 when the total is more"},
	{"--pprof", KIND_TEXT, offsetof(struct request, pprof), "FILE",
         "write profile.proto with names, compressed"},
	{"--heap", KIND_TEXT, offsetof(struct request, heap), "FILE", "write the text google-pprof reads"},
	{"--folded", KIND_TEXT, offsetof(struct request, folded), "FILE", "write folded stacks"},
	{"--flame", KIND_TEXT, offsetof(struct request, flame), "FILE", "write a page with a flame graph"},
	{"--root", KIND_TEXT, offsetof(struct request, root), "FOLDER",
         "put before the paths of programs and libraries"},
	{"--debug-dir", KIND_LIST, offsetof(struct request, folders), "FOLDER", "a folder with .build-id/"},
	{"--no-symbols", KIND_FLAG, offsetof(struct request, no_symbols), "", "look up no names"},
	{"--quiet", KIND_FLAG, offsetof(struct request, quiet), "", "no progress, no remarks"},
};

static void show_help(void) {
	puts("usage: ashlar profile [OPTION ...] FILE ...      - is standard input; see ashlar(1)\n");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		printf("  %-13s %-12s %s\n", rows[i].name, rows[i].value, rows[i].sentence);
}

static const struct option_row *find_row(const char *text, size_t length) {
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (strlen(rows[i].name) == length && memcmp(rows[i].name, text, length) == 0)
			return &rows[i];
	}
	usage_error("profile: unknown option '%s'; ashlar profile --help tells more", text);
}

static void texts_add(struct texts *list, char *text) {
	GROW(list->texts, list->count, list->room);
	list->texts[list->count++] = text;
}

/* Takes `--name`, `--name text` or `--name=text`; returns how many arguments that were. */
static int read_option(struct request *request, int left, char **arguments) {
	char *equals = strncmp(arguments[0], "--", 2) == 0 ? strchr(arguments[0], '=') : NULL;
	size_t length = equals != NULL ? (size_t)(equals - arguments[0]) : strlen(arguments[0]);
	const struct option_row *row = find_row(arguments[0], length);
	void *place = (char *)request + row->place;
	if (row->kind == KIND_FLAG) {
		if (equals != NULL)
			usage_error("profile: %s takes no value", row->name);
		*(bool *)place = true;
		return 1;
	}
	char *text = equals != NULL ? equals + 1 : left > 1 ? arguments[1] : NULL;
	if (text == NULL)
		usage_error("profile: %s needs a value; ashlar profile --help tells more", row->name);
	if (row->kind == KIND_LIST)
		texts_add(place, text);
	else
		*(const char **)place = text;
	return equals != NULL ? 1 : 2;
}

static double number_of(const char *option, const char *text, double otherwise) {
	char *end;
	if (text == NULL)
		return otherwise;
	double number = strtod(text, &end);
	if (end == text || *end != 0 || !(number >= 0 && number <= 1e18))
		usage_error("profile: %s: '%s' is no number", option, text);
	return number;
}

static void read_request(struct request *request, int count, char **arguments) {
	bool options = true;
	for (int at = 0; at < count;) {
		bool option = options && arguments[at][0] == '-' && arguments[at][1] != 0;
		if (option && strcmp(arguments[at], "--") == 0) {
			options = false;
			at++;
		} else if (option) {
			at += read_option(request, count - at, arguments + at);
		} else {
			texts_add(&request->profiles, arguments[at++]);
		}
	}
	if (request->profiles.count == 0)
		usage_error("profile: no file is named; ashlar profile --help tells more");
	if (request->lines + request->files + request->addresses > 1)
		usage_error("profile: --lines, --files and --addresses exclude each other");
	if (request->heap != NULL && request->bases.count > 0)
		usage_error("profile: --heap and --diff exclude each other");
	number_of("-n", request->rows, 0);
	number_of("--least", request->least, 0);
	number_of("--fail-above", request->fail_above, 0);
}

/* -- the profile ----------------------------------------------------------------------------------------- */

static _Noreturn void file_error(const char *path, const char *text) {
	fprintf(stderr, "ashlar: profile: %s: %s\n", path, text);
	exit(EXIT_BAD_FILE);
}

static void read_list(struct profile *profile, const struct texts *list, bool base) {
	struct failure failure;
	profile->reads_base = base;
	for (size_t i = 0; i < list->count; i++) {
		struct bytes bytes = {0};
		if (!read_file(list->texts[i], &bytes, &failure) ||
		    !read_profile(profile, bytes.data, bytes.length, &failure))
			file_error(list->texts[i], failure.text);
		free(bytes.data);
	}
}

/* The folders of --debug-dir, of DEBUGINFO_PATH, and the usual one, with colons between; to be freed. */
static char *debug_path(const struct texts *folders) {
	static const char usual[] = "/usr/lib/debug";
	const char *variable = getenv("DEBUGINFO_PATH");
	struct bytes path = {0};
	for (size_t i = 0; i < folders->count; i++) {
		bytes_add(&path, folders->texts[i], strlen(folders->texts[i]));
		bytes_add(&path, ":", 1);
	}
	if (variable != NULL && *variable != 0) {
		bytes_add(&path, variable, strlen(variable));
		bytes_add(&path, ":", 1);
	}
	bytes_add(&path, usual, sizeof usual);
	return (char *)path.data;
}

static void read_all(struct profile *profile, const struct request *request) {
	struct places places = {.root = request->root, .silent = request->quiet};
	profile_start(profile);
	profile->per_thread = (request->by != NULL && strcmp(request->by, "thread") == 0) ||
	                      (request->label != NULL && strncmp(request->label, "thread=", 7) == 0);
	read_list(profile, &request->profiles, false);
	read_list(profile, &request->bases, true);
	if (profile->type_count == 0) /* an empty heap */
		profile_add_type(profile, profile_word(profile, "inuse_space"),
		                 profile_word(profile, "bytes"));
	if (request->no_symbols)
		return;
	char *path = debug_path(&request->folders);
	places.debug_path = path;
	symbolize(profile, &places);
	free(path);
}

/* Without --type what the file says, else what most people want to know. */
static uint32_t choose_type(const struct profile *profile, const struct request *request,
                            const char *wanted) {
	const char *first = request->profiles.texts[0];
	char text[TEXT_SIZE];
	uint32_t type = NO_NUMBER;
	if (wanted != NULL) {
		type = profile_find_type(profile, wanted);
		size_t length =
			(size_t)snprintf(text, sizeof text, "there is no %.99s in it; there is", wanted);
		for (uint32_t i = 0; i < profile->type_count; i++)
			length += (size_t)snprintf(text + length, sizeof text - length, " %.99s",
			                           text_of(profile, profile->types[i].name));
		if (type == NO_NUMBER)
			file_error(first, text);
		return type;
	}
	if (profile->default_type != 0)
		type = profile_find_type(profile, text_of(profile, profile->default_type));
	if (type == NO_NUMBER)
		type = profile_find_type(profile, "inuse_space");
	return type != NO_NUMBER ? type : profile->type_count - 1;
}

/* -- what is shown --------------------------------------------------------------------------------------- */

static const regex_t *compile(regex_t *regex, const char *option, const char *text) {
	char reason[TEXT_SIZE];
	if (text == NULL)
		return NULL;
	int error = regcomp(regex, text, REG_EXTENDED | REG_NOSUB);
	if (error == 0)
		return regex;
	regerror(error, regex, reason, sizeof reason);
	usage_error("profile: %s: '%s': %s", option, text, reason);
}

struct job {
	struct profile *profile;
	const struct request *request;
	struct choice choice;
	struct style style;
};

/* A tree of its own for each view: they differ in what a frame is, and in direction. */
static void build(struct job *job, struct tree *tree, const char *type, bool inverted, bool lines) {
	struct choice choice = job->choice;
	choice.type = choose_type(job->profile, job->request, type);
	choice.inverted = inverted;
	if (lines && choice.granularity == BY_FUNCTION)
		choice.granularity = BY_LINE;
	tree_build(tree, job->profile, &choice);
}

static void show_one_tree(struct job *job, bool inverted) {
	struct tree tree;
	build(job, &tree, job->request->type, inverted, false);
	job->style.rows = (uint32_t)fmin(number_of("-n", job->request->rows, 0), UINT32_MAX);
	job->style.least = number_of("--least", job->request->least, LEAST_OF_TREE);
	show_tree(&tree, &job->style, stdout);
	tree_free(&tree);
}

static void show_views(struct job *job) {
	const struct request *request = job->request;
	const char *verb = job->choice.diff ? "more than before" : "live";
	bool outputs = request->pprof != NULL || request->heap != NULL || request->folded != NULL ||
	               request->flame != NULL;
	bool views = request->tree || request->callers || request->leak || request->pinned;
	struct tree tree;
	job->style.rows = (uint32_t)fmin(number_of("-n", request->rows, MOST_ROWS), UINT32_MAX);
	job->style.least = number_of("--least", request->least, 0);
	if (request->top || (!views && !outputs)) {
		build(job, &tree, request->type, false, false);
		show_top(&tree, &job->style, stdout);
		tree_free(&tree);
	}
	if (request->leak) {
		build(job, &tree, request->type, false, true);
		show_stacks(&tree, &job->style, verb, stdout);
		tree_free(&tree);
	}
	if (request->pinned) {
		build(job, &tree, "pinned_space", false, true);
		show_stacks(&tree, &job->style, "of slabs kept from being given back", stdout);
		tree_free(&tree);
	}
	if (request->tree)
		show_one_tree(job, false);
	if (request->callers)
		show_one_tree(job, true);
}

/* -- files that are written ------------------------------------------------------------------------------ */

static FILE *open_output(const char *path) {
	FILE *out = strcmp(path, "-") == 0 ? stdout : fopen(path, "wb");
	if (out == NULL)
		file_error(path, strerror(errno));
	return out;
}

static void close_output(const char *path, FILE *out) {
	bool done = ferror(out) == 0 && fflush(out) == 0;
	int error = errno;
	if (out != stdout && fclose(out) != 0 && done) {
		done = false;
		error = errno;
	}
	if (!done)
		file_error(path, strerror(error));
}

static void write_pprof(struct job *job) {
	const char *path = job->request->pprof;
	struct bytes plain = {0}, packed = {0};
	uint32_t type = choose_type(job->profile, job->request, job->request->type);
	write_proto(job->profile, job->profile->types[type].name, &plain);
	compress_bytes(&plain, &packed);
	FILE *out = open_output(path);
	fwrite(packed.data, 1, packed.length, out);
	close_output(path, out);
	free(plain.data);
	free(packed.data);
}

static void write_files(struct job *job) {
	const struct request *request = job->request;
	struct tree tree;
	FILE *out;
	if (request->pprof != NULL)
		write_pprof(job);
	if (request->heap != NULL) {
		out = open_output(request->heap);
		write_heap(job->profile, out);
		close_output(request->heap, out);
	}
	if (request->folded == NULL && request->flame == NULL)
		return;
	build(job, &tree, request->pinned ? "pinned_space" : request->type, request->callers, false);
	if (request->folded != NULL) {
		out = open_output(request->folded);
		write_folded(&tree, out);
		close_output(request->folded, out);
	}
	if (request->flame != NULL) {
		out = open_output(request->flame);
		write_flame(&tree, &job->style, out);
		close_output(request->flame, out);
	}
	tree_free(&tree);
}

/* -- the command ----------------------------------------------------------------------------------------- */

static char *title(const struct request *request) {
	struct bytes text = {0};
	for (size_t i = 0; i < request->profiles.count; i++) {
		bytes_add(&text, " ", i > 0);
		bytes_add(&text, request->profiles.texts[i], strlen(request->profiles.texts[i]));
	}
	for (size_t i = 0; i < request->bases.count; i++) {
		bytes_add(&text, i == 0 ? " against " : " ", i == 0 ? 9 : 1);
		bytes_add(&text, request->bases.texts[i], strlen(request->bases.texts[i]));
	}
	return clean_copy((const char *)text.data, text.length);
}

/* 3 when more is there than the user allows. */
static int judge(struct job *job) {
	struct tree tree;
	if (job->request->fail_above == NULL)
		return 0;
	build(job, &tree, job->request->pinned ? "pinned_space" : job->request->type, false, false);
	double total = tree_total(&tree, 0);
	tree_free(&tree);
	return total > number_of("--fail-above", job->request->fail_above, 0) ? EXIT_ABOVE : 0;
}

int profile_command(int count, char **arguments) {
	struct request request = {0};
	struct profile profile;
	regex_t focus, ignore, hide;
	if (count > 0 && strcmp(arguments[0], "--help") == 0) {
		show_help();
		return 0;
	}
	read_request(&request, count, arguments);
	struct job job = {
		.profile = &profile,
		.request = &request,
		.choice = {.granularity = request.lines       ? BY_LINE
	                                  : request.files     ? BY_FILE
	                                  : request.addresses ? BY_ADDRESS
	                                                      : BY_FUNCTION,
	                   .diff = request.bases.count > 0,
	                   .focus = compile(&focus, "--focus", request.focus),
	                   .ignore = compile(&ignore, "--ignore", request.ignore),
	                   .hide = compile(&hide, "--hide", request.hide),
	                   .label = request.label,
	                   .by = request.by},
		.style = {.exact = request.exact, .cumulated = request.cumulated, .name = title(&request)},
	};
	read_all(&profile, &request);
	show_views(&job);
	write_files(&job);
	return judge(&job);
}
