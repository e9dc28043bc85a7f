/* symbolize.c - which file an address is looked up in, and the progress of doing so. */
#include "symbolize.h"
#include "elf_file.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PATH_SIZE 4096
#define TICK_NS   100000000 /* between two lines of progress */

/* -- progress -------------------------------------------------------------------------------------------- */

struct work {
	struct profile *profile;
	const struct places *places;
	char *debug_path;
	bool terminal;
	size_t done, all;
	int64_t shown_ns;
};

static int64_t now_ns(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void clear_progress(const struct work *work) {
	if (work->terminal && work->shown_ns != 0)
		fputs("\r\033[K", stderr);
}

static void show_progress(struct work *work, const char *file) {
	int64_t now = work->terminal ? now_ns() : 0;
	if (!work->terminal || now - work->shown_ns < TICK_NS)
		return;
	const char *slash = strrchr(file, '/');
	fprintf(stderr, "\rlooking up names: %zu of %zu addresses, %.40s\033[K", work->done, work->all,
	        slash != NULL ? slash + 1 : file);
	work->shown_ns = now;
}

static void remark(const struct work *work, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void remark(const struct work *work, const char *format, ...) {
	va_list arguments;
	if (work->places->silent)
		return;
	clear_progress(work);
	va_start(arguments, format);
	fputs("ashlar: profile: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
}

/* -- files ----------------------------------------------------------------------------------------------- */

/* A file by build id: <folder>/.build-id/ab/cdef, whole or with debug information only. */
static bool open_by_id(struct work *work, const char *id, struct elf *elf) {
	static const char *const endings[] = {"", ".debug"};
	char path[PATH_SIZE];
	if (strlen(id) < 3 || strspn(id, "0123456789abcdef") != strlen(id))
		return false;
	for (const char *at = work->debug_path; *at != 0; at += *at == ':') {
		size_t length = strcspn(at, ":");
		for (size_t i = 0; i < 2 && length > 0 && at[0] == '/'; i++) {
			snprintf(path, sizeof path, "%.*s/.build-id/%.2s/%s%s", (int)length, at, id, id + 2,
			         endings[i]);
			if (elf_open(elf, path, work->debug_path)) {
				if (strcmp(elf->build_id, id) == 0)
					return true;
				elf_close(elf);
			}
		}
		at += length;
	}
	return false;
}

/* The file of a mapping, or one with its build id. */
static bool open_file(struct work *work, const struct mapping *mapping, struct elf *elf) {
	static const char deleted[] = " (deleted)";
	const char *file = text_of(work->profile, mapping->file);
	const char *id = text_of(work->profile, mapping->build_id);
	const char *root = work->places->root != NULL ? work->places->root : "";
	size_t length = strlen(file), ending = sizeof deleted - 1;
	char path[PATH_SIZE];
	bool was_deleted = length > ending && strcmp(file + length - ending, deleted) == 0;
	if (file[0] != '/' && id[0] == 0)
		return false; /* [vdso], [heap], nothing */
	snprintf(path, sizeof path, "%s%.*s", root, (int)(length - (was_deleted ? ending : 0)), file);
	bool there = file[0] == '/' && elf_open(elf, path, work->debug_path);
	if (there && (id[0] == 0 || strcmp(id, elf->build_id) == 0)) {
		if (was_deleted && id[0] == 0)
			remark(work, "%s was replaced while the program ran: names in it may be wrong", path);
		return true;
	}
	if (there)
		elf_close(elf);
	if (open_by_id(work, id, elf))
		return true;
	remark(work, "%s: %s; its functions stay without names", path,
	       there ? "not the build that was profiled" : "not there, or no ELF file");
	return false;
}

/* -- locations ------------------------------------------------------------------------------------------- */

static uint32_t function_of(struct profile *profile, const struct place *place) {
	char *readable = readable_name(place->function);
	struct function function = {
		.name = profile_word(profile, readable),
		.system_name = profile_word(profile, place->function),
		.file = place->file != NULL ? profile_word(profile, place->file) : 0,
		.start_line = place->start_line,
	};
	free(readable);
	return profile_add_function(profile, &function);
}

static void look_up(struct work *work, struct elf *elf, uint32_t number) {
	struct place places[MOST_LINES];
	struct profile *profile = work->profile;
	struct location *location = &profile->locations[number];
	const struct mapping *mapping = &profile->mappings[location->mapping];
	uint64_t address = elf_address(elf, mapping, location->address);
	size_t count = address != 0 ? elf_find(elf, address, places) : 0;
	location->first_line = (uint32_t)profile->line_count;
	for (size_t i = 0; i < count; i++) {
		if (places[i].function == NULL)
			continue;
		struct line line = {function_of(profile, &places[i]), places[i].line};
		profile_add_line(profile, &line);
		location->line_count++;
	}
}

struct job {
	uint32_t file, build_id, location;
	uint64_t address;
};

static int by_file(const void *left, const void *right) {
	const struct job *a = left, *b = right;
	if (a->file != b->file)
		return a->file < b->file ? -1 : 1;
	if (a->build_id != b->build_id)
		return a->build_id < b->build_id ? -1 : 1;
	return (a->address > b->address) - (a->address < b->address);
}

static struct job *collect_jobs(struct work *work) {
	const struct profile *profile = work->profile;
	struct job *jobs = zeroed(profile->location_count, sizeof *jobs);
	for (uint32_t i = 0; i < profile->location_count; i++) {
		const struct location *location = &profile->locations[i];
		if (location->line_count > 0 || location->mapping == NO_NUMBER)
			continue;
		const struct mapping *mapping = &profile->mappings[location->mapping];
		jobs[work->all++] = (struct job){mapping->file, mapping->build_id, i, location->address};
	}
	if (work->all > 0)
		qsort(jobs, work->all, sizeof *jobs, by_file);
	return jobs;
}

/* Folders for libdw: that of the file, .debug/ in it, and the ones for all. */
static char *search_path(const char *folders) {
	static const char near[] = ":.debug:";
	struct bytes path = {0};
	bytes_add(&path, near, sizeof near - 1);
	bytes_add(&path, folders, strlen(folders) + 1);
	return (char *)path.data;
}

void symbolize(struct profile *profile, const struct places *places) {
	struct work work = {
		.profile = profile,
		.places = places,
		.debug_path = search_path(places->debug_path != NULL ? places->debug_path : "/usr/lib/debug"),
		.terminal = !places->silent && isatty(STDERR_FILENO) == 1,
	};
	struct job *jobs = collect_jobs(&work);
	struct elf elf;
	bool open = false;
	for (size_t i = 0; i < work.all; i++, work.done++) {
		const struct job *job = &jobs[i], *before = i > 0 ? job - 1 : NULL;
		const struct mapping *mapping = &profile->mappings[profile->locations[job->location].mapping];
		if (before == NULL || before->file != job->file || before->build_id != job->build_id) {
			if (open)
				elf_close(&elf);
			open = open_file(&work, mapping, &elf);
		}
		show_progress(&work, text_of(profile, mapping->file));
		if (open)
			look_up(&work, &elf, job->location);
	}
	if (open)
		elf_close(&elf);
	clear_progress(&work);
	free(jobs);
	free(work.debug_path);
}
