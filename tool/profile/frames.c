/* frames.c - what a location of a stack is called, and which frames are the allocator's own. */
#include "frames.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Functions through which a program comes to its allocator: what they call is of no interest. Names may begin with
 * je_ or tc_, or have the parameters of an operator behind. */
static const char *const allocators[] = {
	"malloc",
	"calloc",
	"realloc",
	"reallocarray",
	"memalign",
	"posix_memalign",
	"aligned_alloc",
	"valloc",
	"pvalloc",
	"free",
	"cfree",
	"mallocx",
	"rallocx",
	"xallocx",
	"dallocx",
	"sdallocx",
	"sdallocx_noflags",
	"operator new",
	"operator new[]",
	"newImpl",
	"void* newImpl",
	"fallbackNewImpl",
	"void* fallbackNewImpl",
	"malloc_default",
	"imalloc",
	"imalloc_body",
	"irallocx_prof",
	"do_rallocx",
	"ixallocx_prof",
	"prof_alloc_prep",
	"prof_backtrace",
	"prof_backtrace_impl",
	"prof_tctx_create",
};
static const char *const libraries[] = {"libjemalloc.", "libashlar.", "libtcmalloc"};

static const char *base_name(const char *path) {
	const char *slash = strrchr(path, '/');
	return slash != NULL ? slash + 1 : path;
}

static bool allocator_name(const char *name) {
	if (strncmp(name, "je_", 3) == 0 || strncmp(name, "tc_", 3) == 0)
		name += 3;
	for (size_t i = 0; i < sizeof allocators / sizeof *allocators; i++) {
		if (strcmp(name, allocators[i]) == 0)
			return true;
	}
	return false;
}

static bool allocator_file(const char *path) {
	for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
		if (strncmp(base_name(path), libraries[i], strlen(libraries[i])) == 0)
			return true;
	}
	return false;
}

static bool matches_name(const regex_t *regex, const struct profile *profile, const struct frame *frame) {
	return regex != NULL && (regexec(regex, text_of(profile, frame->name), 0, NULL, 0) == 0 ||
	                         regexec(regex, text_of(profile, frame->file), 0, NULL, 0) == 0);
}

/* The frame's number; the same for all that the granularity does not tell apart. */
static uint32_t add_frame(struct framer *framer, struct frame frame) {
	struct tree *tree = framer->tree;
	enum granularity granularity = tree->choice.granularity;
	struct frame key = frame;
	if (granularity == BY_FILE && key.file != 0)
		frame.name = key.name = key.file;
	if (granularity != BY_LINE && granularity != BY_ADDRESS)
		frame.line = key.line = 0, key.file = 0;
	if (granularity != BY_ADDRESS)
		frame.address = key.address = 0;
	struct index_key words = {
		{(uint64_t)key.name << 32 | key.file, (uint64_t)key.line, key.address << 1 | key.allocator}};
	uint32_t number = index_add(&framer->frames, words, (uint32_t)tree->frame_count);
	if (number == tree->frame_count) {
		frame.focused = matches_name(tree->choice.focus, tree->profile, &frame);
		frame.ignored = matches_name(tree->choice.ignore, tree->profile, &frame);
		frame.hidden = matches_name(tree->choice.hide, tree->profile, &frame);
		GROW(tree->frames, tree->frame_count, tree->frame_room);
		tree->frames[tree->frame_count++] = frame;
	}
	return number;
}

uint32_t frame_named(struct framer *framer, uint32_t name) {
	return add_frame(framer, (struct frame){.name = name});
}

static const char *mapping_file(const struct profile *profile, const struct location *location) {
	return location->mapping == NO_NUMBER ? ""
	                                      : text_of(profile, profile->mappings[location->mapping].file);
}

/* Without a function, what it lies in: [libx.so]. */
static uint32_t name_unknown(struct framer *framer, const struct location *location) {
	struct profile *profile = framer->tree->profile;
	const char *file = base_name(mapping_file(profile, location));
	char text[FRAME_TEXT];
	if (file[0] == '[')
		return profile_word(profile, file);
	snprintf(text, sizeof text, "[%s]", file[0] != 0 ? file : "unknown");
	return profile_word(profile, text);
}

static bool allocator_location(const struct profile *profile, const struct location *location) {
	bool only = location->line_count > 0;
	if (allocator_file(mapping_file(profile, location)))
		return true;
	for (uint32_t i = 0; i < location->line_count && only; i++) {
		const struct line *line = &profile->lines[location->first_line + i];
		only = allocator_name(text_of(profile, profile->functions[line->function].name));
	}
	return only;
}

uint32_t profile_own_frames(const struct profile *profile, const struct sample *sample) {
	uint32_t count = sample->depth;
	while (count > 0 &&
	       !allocator_location(profile, &profile->locations[profile->stacks[sample->stack + count - 1]]))
		count--;
	return count;
}

uint32_t frame_of(struct framer *framer, uint32_t number, uint32_t inlined) {
	struct profile *profile = framer->tree->profile;
	const struct location *location = &profile->locations[number];
	uint32_t *known = location->line_count == 0 ? &framer->of_location[number]
	                                            : &framer->of_line[location->first_line + inlined];
	if (*known != NO_NUMBER)
		return *known;
	struct frame frame = {.address = location->address,
	                      .allocator = allocator_file(mapping_file(profile, location))};
	if (location->line_count == 0) {
		frame.name = name_unknown(framer, location);
	} else {
		const struct line *line = &profile->lines[location->first_line + inlined];
		const struct function *function = &profile->functions[line->function];
		frame.name = function->name != 0 ? function->name : name_unknown(framer, location);
		frame.file = function->file;
		frame.line = line->number;
		frame.allocator |= allocator_name(text_of(profile, frame.name));
	}
	return *known = add_frame(framer, frame);
}

void framer_start(struct framer *framer, struct tree *tree) {
	*framer = (struct framer){.tree = tree};
	framer->of_location = zeroed(tree->profile->location_count, sizeof *framer->of_location);
	framer->of_line = zeroed(tree->profile->line_count, sizeof *framer->of_line);
	memset(framer->of_location, 0xff, tree->profile->location_count * sizeof *framer->of_location);
	memset(framer->of_line, 0xff, tree->profile->line_count * sizeof *framer->of_line);
}

void framer_end(struct framer *framer) {
	free(framer->of_location);
	free(framer->of_line);
	index_free(&framer->frames);
}

void frame_text(const struct tree *tree, uint32_t number, char text[FRAME_TEXT]) {
	const struct frame *frame = &tree->frames[number];
	const char *name = text_of(tree->profile, frame->name), *file = text_of(tree->profile, frame->file);
	int length = 0;
	if (frame->address != 0)
		length = snprintf(text, FRAME_TEXT, "0x%" PRIx64 " ", frame->address);
	if (frame->line > 0)
		snprintf(text + length, FRAME_TEXT - (size_t)length, "%s %s:%" PRId64, name, file,
		         frame->line);
	else
		snprintf(text + length, FRAME_TEXT - (size_t)length, "%s", name);
}
