/* profile.c - the profile's arrays, texts and indices. */
#include "profile.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 64

bool failure_say(struct failure *failure, const char *format, ...) {
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(failure->text, sizeof failure->text, format, arguments);
	va_end(arguments);
	return false;
}

/* -- memory ---------------------------------------------------------------------------------------------- */

static void *checked(void *block) {
	if (block == NULL) {
		fputs("ashlar: profile: no memory\n", stderr);
		exit(1);
	}
	return block;
}

void *grow(void *array, size_t count, size_t *room, size_t element) {
	if (count < *room)
		return array;
	*room = *room == 0 ? FIRST_ROOM : *room * 2;
	return checked(reallocarray(array, *room, element));
}

void *zeroed(size_t count, size_t element) {
	return checked(calloc(count > 0 ? count : 1, element));
}

void bytes_add(struct bytes *bytes, const void *data, size_t length) {
	while (bytes->room - bytes->length < length)
		bytes->data = grow(bytes->data, bytes->room, &bytes->room, 1);
	if (length > 0)
		memcpy(bytes->data + bytes->length, data, length);
	bytes->length += length;
}

/* -- index ----------------------------------------------------------------------------------------------- */

struct index_slot {
	struct index_key key;
	uint32_t number; /* NO_NUMBER: free */
};

/* Differs from run to run where addresses do, so that nobody can prepare keys that collide. */
static uint64_t mix(uint64_t sum, uint64_t word) {
	static char seed;
	sum = (sum ^ word ^ (uintptr_t)&seed) * 0x9e3779b97f4a7c15u;
	return sum ^ sum >> 29;
}

static struct index_slot *index_slot(const struct index *index, struct index_key key) {
	uint64_t hash = mix(mix(mix(0, key.word[0]), key.word[1]), key.word[2]);
	for (size_t at = hash & (index->room - 1);; at = (at + 1) & (index->room - 1)) {
		struct index_slot *slot = &index->slots[at];
		if (slot->number == NO_NUMBER || memcmp(&slot->key, &key, sizeof key) == 0)
			return slot;
	}
}

static void index_widen(struct index *index) {
	struct index old = *index;
	index->room = old.room == 0 ? FIRST_ROOM : old.room * 2;
	index->slots = zeroed(index->room, sizeof *index->slots);
	for (size_t i = 0; i < index->room; i++)
		index->slots[i].number = NO_NUMBER;
	for (size_t i = 0; i < old.room; i++) {
		if (old.slots[i].number != NO_NUMBER)
			*index_slot(index, old.slots[i].key) = old.slots[i];
	}
	free(old.slots);
}

uint32_t index_add(struct index *index, struct index_key key, uint32_t next) {
	if (index->used * 2 >= index->room)
		index_widen(index);
	struct index_slot *slot = index_slot(index, key);
	if (slot->number == NO_NUMBER) {
		*slot = (struct index_slot){key, next};
		index->used++;
	}
	return slot->number;
}

uint32_t index_find(const struct index *index, struct index_key key) {
	return index->room == 0 ? NO_NUMBER : index_slot(index, key)->number;
}

void index_free(struct index *index) {
	free(index->slots);
	*index = (struct index){0};
}

/* -- texts ----------------------------------------------------------------------------------------------- */

/* Length of the UTF-8 sequence at `at`, 0 when it is none. Overlong forms and surrogates are let pass. */
static size_t utf8_length(const unsigned char *at, size_t left) {
	size_t length = *at < 0x80   ? 1
	                : *at < 0xc2 ? 0
	                : *at < 0xe0 ? 2
	                : *at < 0xf0 ? 3
	                : *at < 0xf5 ? 4
	                             : 0;
	if (length > left)
		return 0;
	for (size_t i = 1; i < length; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	}
	return length;
}

char *clean_copy(const char *bytes, size_t length) {
	unsigned char *copy = zeroed(length + 1, 1);
	memcpy(copy, bytes, length);
	for (size_t at = 0; at < length;) {
		size_t step = utf8_length(copy + at, length - at);
		if (step == 0 || copy[at] < 0x20 || copy[at] == 0x7f) {
			copy[at] = '?';
			step = 1;
		}
		at += step;
	}
	return (char *)copy;
}

static uint32_t *text_slot(const struct profile *profile, const char *text) {
	uint64_t hash = 0;
	for (const char *at = text; *at != 0; at++)
		hash = mix(hash, (unsigned char)*at);
	size_t mask = profile->text_slot_room - 1;
	for (size_t at = hash & mask;; at = (at + 1) & mask) {
		uint32_t *slot = &profile->text_slots[at];
		if (*slot == NO_NUMBER || strcmp(profile->texts[*slot], text) == 0)
			return slot;
	}
}

static void widen_text_slots(struct profile *profile) {
	free(profile->text_slots);
	profile->text_slot_room = profile->text_slot_room == 0 ? FIRST_ROOM : profile->text_slot_room * 2;
	profile->text_slots = zeroed(profile->text_slot_room, sizeof *profile->text_slots);
	memset(profile->text_slots, 0xff, profile->text_slot_room * sizeof *profile->text_slots);
	for (size_t i = 0; i < profile->text_count; i++)
		*text_slot(profile, profile->texts[i]) = (uint32_t)i;
}

uint32_t profile_text(struct profile *profile, const char *bytes, size_t length) {
	if (profile->text_count * 2 >= profile->text_slot_room)
		widen_text_slots(profile);
	char *text = clean_copy(bytes, length);
	uint32_t *slot = text_slot(profile, text);
	if (*slot != NO_NUMBER) {
		free(text);
		return *slot;
	}
	GROW(profile->texts, profile->text_count, profile->text_room);
	profile->texts[profile->text_count] = text;
	return *slot = (uint32_t)profile->text_count++;
}

uint32_t profile_word(struct profile *profile, const char *text) {
	return profile_text(profile, text, strlen(text));
}

const char *text_of(const struct profile *profile, uint32_t number) {
	return profile->texts[number];
}

/* -- the profile ----------------------------------------------------------------------------------------- */

void profile_start(struct profile *profile) {
	*profile = (struct profile){0};
	profile_word(profile, "");
}

void profile_free(struct profile *profile) {
	for (size_t i = 0; i < profile->text_count; i++)
		free(profile->texts[i]);
	free(profile->texts);
	free(profile->text_slots);
	free(profile->mappings);
	free(profile->functions);
	free(profile->lines);
	free(profile->locations);
	free(profile->stacks);
	free(profile->labels);
	free(profile->samples);
	index_free(&profile->function_index);
}

uint32_t profile_add_mapping(struct profile *profile, const struct mapping *mapping) {
	GROW(profile->mappings, profile->mapping_count, profile->mapping_room);
	profile->mappings[profile->mapping_count] = *mapping;
	profile->mappings[profile->mapping_count].source = profile->source_count;
	return (uint32_t)profile->mapping_count++;
}

uint32_t profile_add_function(struct profile *profile, const struct function *function) {
	struct index_key key = {{(uint64_t)function->name << 32 | function->system_name, function->file,
	                         (uint64_t)function->start_line}};
	uint32_t number = index_add(&profile->function_index, key, (uint32_t)profile->function_count);
	if (number == profile->function_count) {
		GROW(profile->functions, profile->function_count, profile->function_room);
		profile->functions[profile->function_count++] = *function;
	}
	return number;
}

uint32_t profile_add_location(struct profile *profile, const struct location *location) {
	GROW(profile->locations, profile->location_count, profile->location_room);
	profile->locations[profile->location_count] = *location;
	return (uint32_t)profile->location_count++;
}

void profile_add_line(struct profile *profile, const struct line *line) {
	GROW(profile->lines, profile->line_count, profile->line_room);
	profile->lines[profile->line_count++] = *line;
}

uint32_t profile_add_type(struct profile *profile, uint32_t name, uint32_t unit) {
	for (uint32_t i = 0; i < profile->type_count; i++) {
		if (profile->types[i].name == name)
			return profile->types[i].unit == unit ? i : NO_NUMBER;
	}
	if (profile->type_count == MOST_TYPES)
		return NO_NUMBER;
	profile->types[profile->type_count] = (struct sample_type){name, unit};
	return profile->type_count++;
}

uint32_t profile_find_type(const struct profile *profile, const char *name) {
	for (uint32_t i = 0; i < profile->type_count; i++) {
		if (strcmp(text_of(profile, profile->types[i].name), name) == 0)
			return i;
	}
	return NO_NUMBER;
}

struct sample *profile_add_sample(struct profile *profile) {
	GROW(profile->samples, profile->sample_count, profile->sample_room);
	struct sample *sample = &profile->samples[profile->sample_count++];
	*sample = (struct sample){
		.stack = profile->stack_count,
		.labels = profile->label_count,
		.base = profile->reads_base,
	};
	profile->any_base |= profile->reads_base;
	return sample;
}

void profile_add_frame(struct profile *profile, struct sample *sample, uint32_t location) {
	GROW(profile->stacks, profile->stack_count, profile->stack_room);
	profile->stacks[profile->stack_count++] = location;
	sample->depth++;
}

void profile_add_label(struct profile *profile, struct sample *sample, const struct label *label) {
	GROW(profile->labels, profile->label_count, profile->label_room);
	profile->labels[profile->label_count++] = *label;
	sample->label_count++;
}

bool read_profile(struct profile *profile, const void *data, size_t length, struct failure *failure) {
	static const char heap[] = "heap";
	bool text = length >= sizeof heap - 1 && memcmp(data, heap, sizeof heap - 1) == 0;
	bool done =
		text ? read_heap(profile, data, length, failure) : read_proto(profile, data, length, failure);
	profile->source_count++;
	return done;
}
