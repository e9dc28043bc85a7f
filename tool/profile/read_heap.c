/* read_heap.c - heap profiles as text.
 *
 *      heap_v2/524288                                 mean distance between samples, in bytes
 *        t*: 7: 5767168 [0: 0]                        sums: live objects: bytes [all there were: bytes]
 *        t0: 4: 3670016 [0: 0] main                   of each thread, with its name
 *      @ 0x55d0c0de1010 0x55d0c0de2020                a stack: addresses behind the calls, innermost first
 *        t*: 4: 3670016 [0: 0]
 *        t0: 4: 3670016 [0: 0]
 *
 *      MAPPED_LIBRARIES:                              and /proc/<pid>/maps
 *
 * The older form has `heap profile: N: N [N: N] @ heap_v2/524288` and lines `N: N [N: N] @ 0x... 0x...`; with `heapprofile`
 * in that place the numbers are no samples, and are taken as they are.
 *
 * A line with n objects of s bytes stands for both times 1 / (1 - e^(-(s/n) / distance)): the chance that an object
 * of that size was sampled, turned over. Each is rounded, as profile.proto has whole numbers. */
#include "profile.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ALLOC_OBJECTS, ALLOC_SPACE, INUSE_OBJECTS, INUSE_SPACE, VALUES };

struct reader {
	struct profile *profile;
	struct failure *failure;
	const char *at, *end; /* of what was not read yet */
	const char *word, *line_end;
	unsigned number;   /* of the line */
	uint64_t distance; /* 0: no samples */
	bool older;
	uint32_t types[VALUES];
	uint32_t thread_key;
	bool in_stack; /* a stack's addresses were read */
	bool counted;  /* and its sum */
	struct index locations, thread_names;
	uint32_t *stack; /* of the stack that is read: locations */
	size_t depth, stack_room;
};

/* -- words of a line ------------------------------------------------------------------------------------- */

static bool complain(struct reader *reader, const char *what) {
	return failure_say(reader->failure, "line %u: %s", reader->number, what);
}

/* The next line without the blanks around it; false at the end. */
static bool next_line(struct reader *reader) {
	if (reader->at == reader->end)
		return false;
	const char *newline = memchr(reader->at, '\n', (size_t)(reader->end - reader->at));
	reader->word = reader->at;
	reader->line_end = newline != NULL ? newline : reader->end;
	reader->at = newline != NULL ? newline + 1 : reader->end;
	reader->number++;
	while (reader->word < reader->line_end && isspace((unsigned char)*reader->word))
		reader->word++;
	while (reader->word < reader->line_end && isspace((unsigned char)reader->line_end[-1]))
		reader->line_end--;
	return true;
}

static void skip_blanks(struct reader *reader) {
	while (reader->word < reader->line_end && isblank((unsigned char)*reader->word))
		reader->word++;
}

static bool take(struct reader *reader, const char *text) {
	size_t length = strlen(text);
	if ((size_t)(reader->line_end - reader->word) < length || memcmp(reader->word, text, length) != 0)
		return false;
	reader->word += length;
	return true;
}

static unsigned digit_of(char letter) {
	unsigned digit = (unsigned char)letter;
	if (digit - '0' < 10)
		return digit - '0';
	digit |= 0x20;
	return digit - 'a' < 6 ? digit - 'a' + 10 : 99;
}

/* False when there is no number, or one of more than 64 bits. */
static bool take_number(struct reader *reader, unsigned base, uint64_t *number) {
	const char *first = reader->word;
	*number = 0;
	while (reader->word < reader->line_end && digit_of(*reader->word) < base) {
		if (*number > (UINT64_MAX - base) / base)
			return false;
		*number = *number * base + digit_of(*reader->word++);
	}
	return reader->word > first;
}

/* `n: s [n: s]` */
static bool take_counters(struct reader *reader, uint64_t counters[VALUES]) {
	static const char *const after[VALUES] = {":", " [", ":", "]"};
	static const int order[VALUES] = {INUSE_OBJECTS, INUSE_SPACE, ALLOC_OBJECTS, ALLOC_SPACE};
	for (int i = 0; i < VALUES; i++) {
		skip_blanks(reader);
		if (!take_number(reader, 10, &counters[order[i]]) || !take(reader, after[i]))
			return complain(reader, "counters 'objects: bytes [objects: bytes]' are wanted");
	}
	return true;
}

/* -- samples --------------------------------------------------------------------------------------------- */

static void scale(uint64_t distance, uint64_t objects, uint64_t space, double *values) {
	double factor = 1;
	if (distance != 0 && objects != 0 && space != 0)
		factor = -1 / expm1(-((double)space / (double)objects) / (double)distance);
	values[0] = round((double)objects * factor);
	values[1] = round((double)space * factor);
}

/* Types that are all 0, as accumulated ones mostly are, do not come into being. */
static bool set_values(struct reader *reader, struct sample *sample, const uint64_t counters[VALUES]) {
	static const char *const names[VALUES] = {"alloc_objects", "alloc_space", "inuse_objects",
	                                          "inuse_space"};
	double values[VALUES];
	scale(reader->distance, counters[ALLOC_OBJECTS], counters[ALLOC_SPACE], &values[ALLOC_OBJECTS]);
	scale(reader->distance, counters[INUSE_OBJECTS], counters[INUSE_SPACE], &values[INUSE_OBJECTS]);
	for (int i = 0; i < VALUES; i++) {
		struct profile *profile = reader->profile;
		if (reader->types[i] == NO_NUMBER && (counters[i] != 0 || i >= INUSE_OBJECTS)) {
			const char *unit = i == ALLOC_OBJECTS || i == INUSE_OBJECTS ? "count" : "bytes";
			reader->types[i] = profile_add_type(profile, profile_word(profile, names[i]),
			                                    profile_word(profile, unit));
			if (reader->types[i] == NO_NUMBER)
				return complain(reader, "its values are not those of the files before");
		}
		if (reader->types[i] != NO_NUMBER)
			sample->values[reader->types[i]] = values[i];
	}
	return true;
}

/* The location of an address of a stack. */
static uint32_t location_at(struct reader *reader, uint64_t address) {
	struct location location = {.address = address > 0 ? address - 1 : 0, .mapping = NO_NUMBER};
	struct index_key key = {{location.address}};
	uint32_t next = (uint32_t)reader->profile->location_count;
	uint32_t found = index_add(&reader->locations, key, next);
	return found == next ? profile_add_location(reader->profile, &location) : found;
}

static bool take_stack(struct reader *reader) {
	uint64_t address;
	reader->depth = 0;
	for (skip_blanks(reader); reader->word < reader->line_end; skip_blanks(reader)) {
		if (!take(reader, "0x") || !take_number(reader, 16, &address))
			return complain(reader, "an address 0x... is wanted");
		if (reader->depth == MOST_FRAMES)
			return complain(reader, "a stack of more than 4096 addresses");
		GROW(reader->stack, reader->depth, reader->stack_room);
		reader->stack[reader->depth++] = location_at(reader, address);
	}
	reader->in_stack = true;
	reader->counted = false;
	return true;
}

static struct sample *add_sample(struct reader *reader, const uint64_t counters[VALUES]) {
	struct sample *sample = profile_add_sample(reader->profile);
	for (size_t i = 0; i < reader->depth; i++)
		profile_add_frame(reader->profile, sample, reader->stack[i]);
	return set_values(reader, sample, counters) ? sample : NULL;
}

/* A thread is called by its name; `word` is its number. */
static void label_thread(struct reader *reader, struct sample *sample, uint64_t thread, uint32_t word) {
	uint32_t name = index_find(&reader->thread_names, (struct index_key){{thread}});
	struct label label = {.key = reader->thread_key, .text = name != NO_NUMBER ? name : word};
	profile_add_label(reader->profile, sample, &label);
}

/* `t*: ...` or `t3: ... name`, in the head or below a stack; the t was taken. */
static bool read_thread_line(struct reader *reader) {
	uint64_t thread = 0, counters[VALUES] = {0};
	const char *word = reader->word;
	bool sum = take(reader, "*");
	if (!sum && !take_number(reader, 10, &thread))
		return complain(reader, "a thread, t* or t<number>, is wanted");
	size_t length = (size_t)(reader->word - word);
	if (!take(reader, ":"))
		return complain(reader, "a colon is wanted behind the thread");
	if (!take_counters(reader, counters))
		return false;
	skip_blanks(reader);
	if (!reader->in_stack) {
		if (!sum && reader->word < reader->line_end)
			index_add(&reader->thread_names, (struct index_key){{thread}},
			          profile_text(reader->profile, reader->word,
			                       (size_t)(reader->line_end - reader->word)));
		return true;
	}
	if (reader->word < reader->line_end)
		return complain(reader, "something stands behind the counters");
	reader->counted |= sum;
	if (sum == reader->profile->per_thread)
		return true;
	struct sample *sample = add_sample(reader, counters);
	if (sample != NULL && !sum)
		label_thread(reader, sample, thread, profile_text(reader->profile, word, length));
	return sample != NULL;
}

/* `n: s [n: s] @ 0x... 0x...` */
static bool read_older_line(struct reader *reader) {
	uint64_t counters[VALUES] = {0};
	if (!take_counters(reader, counters))
		return false;
	skip_blanks(reader);
	if (!take(reader, "@"))
		return complain(reader, "a stack, @ 0x..., is wanted");
	if (!take_stack(reader))
		return false;
	reader->counted = true;
	return add_sample(reader, counters) != NULL;
}

/* -- mappings -------------------------------------------------------------------------------------------- */

/* `start-end r-xp offset device inode  path`; only what can be executed is kept. */
static bool read_mapping(struct reader *reader) {
	struct mapping mapping = {0};
	uint64_t ignored;
	if (!take_number(reader, 16, &mapping.start) || !take(reader, "-") ||
	    !take_number(reader, 16, &mapping.limit) || mapping.limit <= mapping.start || !take(reader, " "))
		return complain(reader, "a mapping, start-end, is wanted");
	bool executable = reader->line_end - reader->word >= 4 && reader->word[2] == 'x';
	for (int i = 0; i < 4 && reader->word < reader->line_end; i++)
		reader->word++;
	skip_blanks(reader);
	if (!take_number(reader, 16, &mapping.offset))
		return complain(reader, "a mapping's offset is wanted");
	skip_blanks(reader);
	if (!take_number(reader, 16, &ignored) || !take(reader, ":") || !take_number(reader, 16, &ignored))
		return complain(reader, "a mapping's device is wanted");
	skip_blanks(reader);
	if (!take_number(reader, 10, &ignored))
		return complain(reader, "a mapping's inode is wanted");
	skip_blanks(reader);
	mapping.file = profile_text(reader->profile, reader->word, (size_t)(reader->line_end - reader->word));
	if (executable)
		profile_add_mapping(reader->profile, &mapping);
	return true;
}

static int by_start(const void *left, const void *right) {
	const struct mapping *a = left, *b = right;
	return (a->start > b->start) - (a->start < b->start);
}

/* The number of the mapping that holds an address; they are sorted and begin with `first`. */
static uint32_t mapping_of(const struct profile *profile, size_t first, uint64_t address) {
	size_t low = first, high = profile->mapping_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (profile->mappings[middle].limit <= address)
			low = middle + 1;
		else
			high = middle;
	}
	bool inside = low < profile->mapping_count && profile->mappings[low].start <= address;
	return inside ? (uint32_t)low : NO_NUMBER;
}

/* The system's list is made in pieces, between which a program may change its mappings: of two that overlap the one that
 * begins later loses what the other has. */
static void cut_overlaps(struct profile *profile, size_t first) {
	size_t kept = first;
	uint64_t end = 0;
	for (size_t i = first; i < profile->mapping_count; i++) {
		struct mapping mapping = profile->mappings[i];
		if (mapping.limit <= end)
			continue;
		if (mapping.start < end) {
			mapping.offset += end - mapping.start;
			mapping.start = end;
		}
		end = mapping.limit;
		profile->mappings[kept++] = mapping;
	}
	profile->mapping_count = kept;
}

static bool read_mappings(struct reader *reader, size_t first_location) {
	struct profile *profile = reader->profile;
	size_t first = profile->mapping_count;
	while (next_line(reader)) {
		if (reader->word < reader->line_end && !read_mapping(reader))
			return false;
	}
	if (profile->mapping_count > first)
		qsort(profile->mappings + first, profile->mapping_count - first, sizeof *profile->mappings,
		      by_start);
	cut_overlaps(profile, first);
	for (size_t i = first_location; i < profile->location_count; i++)
		profile->locations[i].mapping = mapping_of(profile, first, profile->locations[i].address);
	return true;
}

/* -- the file -------------------------------------------------------------------------------------------- */

static bool read_header(struct reader *reader) {
	uint64_t counters[VALUES] = {0};
	if (!next_line(reader))
		return complain(reader, "the file is empty");
	if (take(reader, "heap profile:")) {
		reader->older = true;
		if (!take_counters(reader, counters))
			return false;
		skip_blanks(reader);
		if (take(reader, "@ heapprofile") && reader->word == reader->line_end)
			return true;
		if (!take(reader, "@ "))
			return complain(reader, "'@ heap_v2/' and a number of bytes is wanted");
	}
	if (!take(reader, "heap_v2/") || !take_number(reader, 10, &reader->distance) ||
	    reader->word < reader->line_end || reader->distance == 0 || reader->distance > INT64_MAX)
		return complain(reader, "heap_v2/ and a number of bytes is wanted");
	return true;
}

static bool read_lines(struct reader *reader, size_t first_location) {
	while (next_line(reader)) {
		bool good = true, stack = take(reader, "@");
		bool maps = !stack && take(reader, "MAPPED_LIBRARIES:");
		if ((stack || maps) && reader->in_stack && !reader->counted)
			return complain(reader, "the stack before has no counters");
		if (maps)
			return read_mappings(reader, first_location);
		if (stack)
			good = !reader->older ? take_stack(reader) : complain(reader, "counters are wanted");
		else if (!reader->older && take(reader, "t"))
			good = read_thread_line(reader);
		else if (reader->word < reader->line_end)
			good = reader->older ? read_older_line(reader)
			                     : complain(reader, "neither a stack nor counters");
		if (!good)
			return false;
	}
	reader->number++;
	return !reader->in_stack || reader->counted || complain(reader, "the last stack has no counters");
}

static bool is_whole(struct reader *reader) {
	return (reader->end > reader->at && reader->end[-1] == '\n') ||
	       failure_say(reader->failure, "the file ends within a line: it was cut off");
}

bool read_heap(struct profile *profile, const char *data, size_t length, struct failure *failure) {
	struct reader reader = {
		.profile = profile,
		.failure = failure,
		.at = data,
		.end = data + length,
		.types = {NO_NUMBER, NO_NUMBER, NO_NUMBER, NO_NUMBER},
		.thread_key = profile_word(profile, "thread"),
	};
	bool done = is_whole(&reader) && read_header(&reader) && read_lines(&reader, profile->location_count);
	profile->period = (int64_t)reader.distance;
	profile->period_type = profile_word(profile, "space");
	profile->period_unit = profile_word(profile, "bytes");
	index_free(&reader.locations);
	index_free(&reader.thread_names);
	free(reader.stack);
	return done;
}
