/* read_proto.c - profiles in pprof's profile.proto.
 *
 * A message is fields: a varint (number << 3 | kind), then by kind a varint (0), eight bytes (1), a length and so many
 * bytes (2), or four bytes (5). Fields come in any order, and what refers may come before what it refers to: the
 * texts are read first, then mappings and functions, then locations, then samples. Fields nobody needs are skipped.
 *
 *      Profile   1 sample_type  2 sample  3 mapping  4 location  5 function  6 string_table  9 time  10 duration
 *                11 period_type  12 period  14 default_sample_type
 *      ValueType 1 type  2 unit                       Label    1 key  2 str  3 num  4 num_unit
 *      Sample    1 location_id  2 value  3 label      Location 1 id  2 mapping_id  3 address  4 line
 *      Mapping   1 id  2 start  3 limit  4 offset  5 file  6 build id
 *      Line      1 function_id  2 line                Function 1 id  2 name  3 system_name  4 file  5 line */
#include "profile.h"

#include <stdlib.h>
#include <string.h>

enum { KIND_VARINT, KIND_EIGHT, KIND_BYTES, KIND_FOUR = 5 };

struct part {
	const unsigned char *at, *end;
};

struct field {
	uint32_t number, kind;
	uint64_t value;   /* of a varint; others have 0 */
	struct part part; /* of bytes */
};

struct reader {
	struct profile *profile;
	struct failure *failure;
	const unsigned char *start;
	uint32_t *texts; /* the file's numbers to ours */
	size_t text_count, text_room;
	uint32_t types[MOST_TYPES];
	uint32_t type_count;
	struct index mappings, functions, locations;
};

/* -- fields ---------------------------------------------------------------------------------------------- */

static bool complain(struct reader *reader, const unsigned char *at, const char *what) {
	return failure_say(reader->failure, "byte %zu: %s", (size_t)(at - reader->start), what);
}

static bool take_varint(struct reader *reader, struct part *part, uint64_t *value) {
	const unsigned char *first = part->at;
	*value = 0;
	for (unsigned shift = 0; part->at < part->end && shift < 64; shift += 7) {
		unsigned char byte = *part->at++;
		*value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return true;
	}
	return complain(reader, first, part->at == part->end ? "ends within a number" : "a number too long");
}

static bool take_bytes(struct reader *reader, struct part *part, uint64_t length, struct part *taken) {
	if (length > (uint64_t)(part->end - part->at))
		return complain(reader, part->at,
		                "a field is longer than what holds it: cut off, or no profile");
	*taken = (struct part){part->at, part->at + length};
	part->at += length;
	return true;
}

static bool take_field(struct reader *reader, struct part *part, struct field *field) {
	const unsigned char *first = part->at;
	uint64_t head, length;
	*field = (struct field){0};
	if (!take_varint(reader, part, &head))
		return false;
	field->kind = head & 7;
	field->number = (uint32_t)(head >> 3);
	if (field->number == 0 || head >> 32 != 0)
		return complain(reader, first, "no field of a profile");
	switch (field->kind) {
	case KIND_VARINT:
		return take_varint(reader, part, &field->value);
	case KIND_EIGHT:
		return take_bytes(reader, part, 8, &field->part);
	case KIND_BYTES:
		return take_varint(reader, part, &length) && take_bytes(reader, part, length, &field->part);
	case KIND_FOUR:
		return take_bytes(reader, part, 4, &field->part);
	default:
		return complain(reader, first, "no kind of field of a profile");
	}
}

/* Reads all fields of a message of numbers: values[i] becomes that of field i, the last one wins. */
static bool take_numbers(struct reader *reader, struct part part, uint64_t *values, uint32_t most) {
	struct field field;
	while (part.at < part.end) {
		if (!take_field(reader, &part, &field))
			return false;
		if (field.kind == KIND_VARINT && field.number <= most)
			values[field.number] = field.value;
	}
	return true;
}

/* Our number of the file's text. */
static bool text_number(struct reader *reader, struct part part, uint64_t text, uint32_t *number) {
	if (text >= reader->text_count)
		return complain(reader, part.at, "refers to a text that is not there");
	*number = reader->texts[text];
	return true;
}

/* -- what samples refer to ------------------------------------------------------------------------------- */

static bool read_text(struct reader *reader, struct part part) {
	GROW(reader->texts, reader->text_count, reader->text_room);
	reader->texts[reader->text_count++] =
		profile_text(reader->profile, (const char *)part.at, (size_t)(part.end - part.at));
	return true;
}

static bool read_type(struct reader *reader, struct part part) {
	uint64_t values[3] = {0};
	uint32_t name = 0, unit = 0;
	if (!take_numbers(reader, part, values, 2) || !text_number(reader, part, values[1], &name) ||
	    !text_number(reader, part, values[2], &unit))
		return false;
	if (reader->type_count == MOST_TYPES)
		return complain(reader, part.at, "more than 8 types of values");
	uint32_t type = profile_add_type(reader->profile, name, unit);
	for (uint32_t i = 0; i < reader->type_count; i++) {
		if (reader->types[i] == type)
			type = NO_NUMBER;
	}
	if (type == NO_NUMBER)
		return complain(reader, part.at, "a type of values is there twice, or with two units");
	reader->types[reader->type_count++] = type;
	return true;
}

static bool read_mapping(struct reader *reader, struct part part) {
	uint64_t values[7] = {0};
	struct mapping mapping = {0};
	if (!take_numbers(reader, part, values, 6) || !text_number(reader, part, values[5], &mapping.file) ||
	    !text_number(reader, part, values[6], &mapping.build_id))
		return false;
	mapping.start = values[2];
	mapping.limit = values[3];
	mapping.offset = values[4];
	uint32_t number = profile_add_mapping(reader->profile, &mapping);
	if (values[1] == 0 || index_add(&reader->mappings, (struct index_key){{values[1]}}, number) != number)
		return complain(reader, part.at, "a mapping without a number of its own");
	return true;
}

static bool read_function(struct reader *reader, struct part part) {
	uint64_t values[6] = {0};
	struct function function = {0};
	if (!take_numbers(reader, part, values, 5) || !text_number(reader, part, values[2], &function.name) ||
	    !text_number(reader, part, values[3], &function.system_name) ||
	    !text_number(reader, part, values[4], &function.file))
		return false;
	function.start_line = (int64_t)values[5];
	if (function.name == 0)
		function.name = function.system_name;
	uint32_t number = profile_add_function(reader->profile, &function);
	struct index_key key = {{values[1]}};
	if (values[1] == 0 || index_find(&reader->functions, key) != NO_NUMBER)
		return complain(reader, part.at, "a function without a number of its own");
	index_add(&reader->functions, key, number);
	return true;
}

static bool read_line(struct reader *reader, struct part part, struct location *location) {
	uint64_t values[3] = {0};
	if (!take_numbers(reader, part, values, 2))
		return false;
	struct line line = {index_find(&reader->functions, (struct index_key){{values[1]}}),
	                    (int64_t)values[2]};
	if (line.function == NO_NUMBER)
		return complain(reader, part.at, "refers to a function that is not there");
	if (location->line_count++ == MOST_LINES)
		return complain(reader, part.at, "more than 256 functions at one address");
	profile_add_line(reader->profile, &line);
	return true;
}

static bool read_location(struct reader *reader, struct part part) {
	struct location location = {.mapping = NO_NUMBER,
	                            .first_line = (uint32_t)reader->profile->line_count};
	uint64_t values[4] = {0};
	struct field field;
	struct part rest = part;
	while (rest.at < rest.end) {
		if (!take_field(reader, &rest, &field))
			return false;
		if (field.kind == KIND_VARINT && field.number <= 3)
			values[field.number] = field.value;
		if (field.kind == KIND_BYTES && field.number == 4 &&
		    !read_line(reader, field.part, &location))
			return false;
	}
	location.address = values[3];
	if (values[2] != 0) {
		location.mapping = index_find(&reader->mappings, (struct index_key){{values[2]}});
		if (location.mapping == NO_NUMBER)
			return complain(reader, part.at, "refers to a mapping that is not there");
	}
	uint32_t number = profile_add_location(reader->profile, &location);
	if (values[1] == 0 ||
	    index_add(&reader->locations, (struct index_key){{values[1]}}, number) != number)
		return complain(reader, part.at, "a location without a number of its own");
	return true;
}

/* -- samples --------------------------------------------------------------------------------------------- */

static bool add_location(struct reader *reader, struct part part, struct sample *sample, uint64_t id) {
	uint32_t location = index_find(&reader->locations, (struct index_key){{id}});
	if (location == NO_NUMBER)
		return complain(reader, part.at, "refers to a location that is not there");
	if (sample->depth == MOST_FRAMES)
		return complain(reader, part.at, "a stack of more than 4096 addresses");
	profile_add_frame(reader->profile, sample, location);
	return true;
}

static bool add_value(struct reader *reader, struct part part, struct sample *sample, uint64_t value) {
	if (sample->values_read == reader->type_count)
		return complain(reader, part.at, "a sample with more values than there are types");
	sample->values[reader->types[sample->values_read++]] = (double)(int64_t)value;
	return true;
}

static bool read_label(struct reader *reader, struct part part, struct sample *sample) {
	uint64_t values[5] = {0};
	struct label label = {0};
	if (!take_numbers(reader, part, values, 4) || !text_number(reader, part, values[1], &label.key) ||
	    !text_number(reader, part, values[2], &label.text) ||
	    !text_number(reader, part, values[4], &label.unit))
		return false;
	label.number = (int64_t)values[3];
	if (strcmp(text_of(reader->profile, label.key), "pprof::base") == 0)
		return true; /* written anew when the profile is */
	profile_add_label(reader->profile, sample, &label);
	return true;
}

/* Locations and values come one by one or many in one field. */
static bool read_sample_field(struct reader *reader, struct field *field, struct sample *sample) {
	bool (*add)(struct reader *, struct part, struct sample *, uint64_t) =
		field->number == 1 ? add_location : add_value;
	uint64_t value;
	if (field->number == 3 && field->kind == KIND_BYTES)
		return read_label(reader, field->part, sample);
	if (field->number > 2)
		return true;
	if (field->kind == KIND_VARINT)
		return add(reader, field->part, sample, field->value);
	while (field->kind == KIND_BYTES && field->part.at < field->part.end) {
		if (!take_varint(reader, &field->part, &value) || !add(reader, field->part, sample, value))
			return false;
	}
	return true;
}

static bool read_sample(struct reader *reader, struct part part) {
	struct sample *sample = profile_add_sample(reader->profile);
	const unsigned char *first = part.at;
	struct field field;
	while (part.at < part.end) {
		if (!take_field(reader, &part, &field))
			return false;
		if (field.kind == KIND_VARINT)
			field.part.at = part.at;
		if (!read_sample_field(reader, &field, sample))
			return false;
	}
	if (sample->values_read != reader->type_count)
		return complain(reader, first, "a sample with fewer values than there are types");
	return true;
}

/* -- the profile ----------------------------------------------------------------------------------------- */

/* One pass over the profile's fields: `number` are messages or texts, each given to `read`. */
static bool read_fields(struct reader *reader, struct part part, uint32_t number,
                        bool (*read)(struct reader *, struct part)) {
	struct field field;
	while (part.at < part.end) {
		if (!take_field(reader, &part, &field))
			return false;
		if (field.number == number && field.kind == KIND_BYTES && !read(reader, field.part))
			return false;
	}
	return true;
}

static bool read_period_type(struct reader *reader, struct part part) {
	uint64_t values[3] = {0};
	return take_numbers(reader, part, values, 2) &&
	       text_number(reader, part, values[1], &reader->profile->period_type) &&
	       text_number(reader, part, values[2], &reader->profile->period_unit);
}

static bool read_rest(struct reader *reader, struct part part) {
	uint64_t values[15] = {0};
	if (!read_fields(reader, part, 11, read_period_type) || !take_numbers(reader, part, values, 14) ||
	    !text_number(reader, part, values[14], &reader->profile->default_type))
		return false;
	reader->profile->time_ns = (int64_t)values[9];
	reader->profile->duration_ns = (int64_t)values[10];
	reader->profile->period = (int64_t)values[12];
	return true;
}

static bool read_all(struct reader *reader, struct part part) {
	if (part.at == part.end)
		return failure_say(reader->failure, "the file is empty");
	if (!read_fields(reader, part, 6, read_text))
		return false;
	if (reader->text_count == 0 || reader->texts[0] != 0)
		return failure_say(reader->failure, "neither a heap_v2 dump nor a profile.proto");
	if (!read_fields(reader, part, 1, read_type))
		return false;
	if (reader->type_count == 0)
		return failure_say(reader->failure, "a profile without types of values");
	return read_fields(reader, part, 3, read_mapping) && read_fields(reader, part, 5, read_function) &&
	       read_fields(reader, part, 4, read_location) && read_fields(reader, part, 2, read_sample) &&
	       read_rest(reader, part);
}

bool read_proto(struct profile *profile, const unsigned char *data, size_t length, struct failure *failure) {
	struct reader reader = {.profile = profile, .failure = failure, .start = data};
	bool done = read_all(&reader, (struct part){data, data + length});
	free(reader.texts);
	index_free(&reader.mappings);
	index_free(&reader.functions);
	index_free(&reader.locations);
	return done;
}
