/* profile.h - a heap profile in memory, as `ashlar profile` reads, adds up and writes it.
 *
 * Two formats come in (heap_v2 text, profile.proto) and both become this: samples, each a stack of locations with one
 * value per type. Several files, and the base of a comparison, are read into one profile, so that their strings,
 * functions and stacks are the same. Nothing here needs more than the C library; gzip and symbols are elsewhere.
 *
 *      sample --> stack[] of locations, innermost first --> location --> lines[] --> function --> strings
 *        |                                                     |         innermost (inlined) first
 *        +--> values[type], labels[]                           +--> mapping --> file, build id
 *
 * Everything is an array and refers by number. A text is a number too: equal texts have equal numbers, 0 is "".
 * Values are doubles: samples are scaled to what they stand for, and sums of hostile numbers cannot overflow.
 *
 * Readers never end the process: they return false, and the failure says what is wrong and where. Only memory that
 * runs out ends it. */
#ifndef PROFILE_PROFILE_H
#define PROFILE_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define MOST_TYPES  8    /* sample types of one profile */
#define MOST_FRAMES 4096 /* of one stack, inlined ones included */
#define MOST_LINES  256  /* functions inlined at one address */
#define NO_NUMBER   UINT32_MAX

struct failure {
	char text[256];
};
/* Writes the text; always false. */
bool failure_say(struct failure *failure, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* -- memory ---------------------------------------------------------------------------------------------- */

/* Room for one more element behind `count`; ends the process when there is no memory. */
void *grow(void *array, size_t count, size_t *room, size_t element);
#define GROW(array, count, room) ((array) = grow((array), (count), &(room), sizeof *(array)))
void *zeroed(size_t count, size_t element);

/* Finds numbers by keys of three words. */
struct index {
	struct index_slot *slots;
	size_t room, used;
};
struct index_key {
	uint64_t word[3];
};
/* The number the key was given, or `next`, which it has from now on. */
uint32_t index_add(struct index *index, struct index_key key, uint32_t next);
/* NO_NUMBER when the key has none. */
uint32_t index_find(const struct index *index, struct index_key key);
void index_free(struct index *index);

/* -- the profile ----------------------------------------------------------------------------------------- */

struct sample_type {
	uint32_t name, unit; /* inuse_space, bytes */
};

struct mapping {
	uint64_t start, limit; /* addresses of the process; limit is the first behind it */
	uint64_t offset;       /* of `start` in the file, in bytes */
	uint32_t file, build_id;
	uint32_t source; /* which file of the command line; mappings of different processes overlap */
};

struct function {
	uint32_t name, system_name, file;
	int64_t start_line;
};

struct line {
	uint32_t function;
	int64_t number; /* 0 when not known */
};

struct location {
	uint64_t address; /* inside the call instruction, not behind it */
	uint32_t mapping; /* NO_NUMBER when not known */
	uint32_t first_line, line_count;
};

struct label {
	uint32_t key, text, unit;
	int64_t number; /* counts when text is 0 */
};

struct sample {
	size_t stack, labels; /* where they begin */
	uint32_t depth, label_count;
	uint32_t values_read; /* while it is read */
	bool base;            /* of the profile that is compared with */
	double values[MOST_TYPES];
};

struct profile {
	char **texts;
	uint32_t *text_slots;
	struct sample_type types[MOST_TYPES];
	struct mapping *mappings;
	struct function *functions;
	struct line *lines;
	struct location *locations;
	uint32_t *stacks;
	struct label *labels;
	struct sample *samples;
	struct index function_index;
	size_t text_count, text_room, text_slot_room, mapping_count, mapping_room, function_count,
		function_room, line_count, line_room, location_count, location_room, stack_count, stack_room,
		label_count, label_room, sample_count, sample_room;
	uint32_t type_count, source_count;
	uint32_t default_type; /* text; 0 when the file does not say */
	int64_t period, time_ns, duration_ns;
	uint32_t period_type, period_unit;
	bool reads_base; /* what is read now is compared with */
	bool per_thread; /* of heap_v2 the lines of the threads, with labels, instead of the sums */
	bool any_base;
};

void profile_start(struct profile *profile);
void profile_free(struct profile *profile);

/* A text that can be shown anywhere: bytes that are no UTF-8 become '?', as do control characters. To be freed. */
char *clean_copy(const char *bytes, size_t length);
/* The number of such a text. */
uint32_t profile_text(struct profile *profile, const char *bytes, size_t length);
uint32_t profile_word(struct profile *profile, const char *text);
const char *text_of(const struct profile *profile, uint32_t number);

/* Each adds one and returns its number; the function and the type may be there already. */
uint32_t profile_add_mapping(struct profile *profile, const struct mapping *mapping);
uint32_t profile_add_function(struct profile *profile, const struct function *function);
uint32_t profile_add_location(struct profile *profile, const struct location *location);
void profile_add_line(struct profile *profile, const struct line *line);
/* NO_NUMBER when there are MOST_TYPES, or one of this name and another unit. */
uint32_t profile_add_type(struct profile *profile, uint32_t name, uint32_t unit);
/* NO_NUMBER when no type has the name. */
uint32_t profile_find_type(const struct profile *profile, const char *name);

/* A sample is begun, gets its locations (innermost first) and labels, and holds values of 0 until they are set. The
 * pointer is good until the next is begun. */
struct sample *profile_add_sample(struct profile *profile);
void profile_add_frame(struct profile *profile, struct sample *sample, uint32_t location);
void profile_add_label(struct profile *profile, struct sample *sample, const struct label *label);

/* -- files ----------------------------------------------------------------------------------------------- */

struct bytes {
	unsigned char *data;
	size_t length, room;
};
void bytes_add(struct bytes *bytes, const void *data, size_t length);

/* heap_v2, or the older `heap profile: ... @ heap_v2/N`; values are scaled to what the samples stand for. */
bool read_heap(struct profile *profile, const char *data, size_t length, struct failure *failure);
/* profile.proto, not compressed. */
bool read_proto(struct profile *profile, const unsigned char *data, size_t length, struct failure *failure);
/* Either of them. Both add to what the profile holds; after a failure it may hold a part of the file. */
bool read_profile(struct profile *profile, const void *data, size_t length, struct failure *failure);

/* How many frames at a stack's inner end are the allocator's own: nobody wants to see them. */
uint32_t profile_own_frames(const struct profile *profile, const struct sample *sample);

/* profile.proto; samples of the base come with negative values and the label pprof::base. */
void write_proto(const struct profile *profile, uint32_t default_type, struct bytes *bytes);
/* Text in the older form, of the four usual types. */
void write_heap(const struct profile *profile, FILE *out);

#endif
