/* write_proto.c - the profile as profile.proto; read_proto.c has the fields. Numbers of the file are ours plus one
 * where 0 means none. */
#include "profile.h"

#include <stdlib.h>
#include <string.h>

static void put_varint(struct bytes *bytes, uint64_t value) {
	unsigned char text[10];
	size_t length = 0;
	for (; value >= 0x80; value >>= 7)
		text[length++] = (unsigned char)(value | 0x80);
	text[length++] = (unsigned char)value;
	bytes_add(bytes, text, length);
}

/* A field of 0 need not be written. */
static void put_number(struct bytes *bytes, unsigned field, uint64_t value) {
	if (value == 0)
		return;
	put_varint(bytes, field << 3);
	put_varint(bytes, value);
}

static void put_bytes(struct bytes *bytes, unsigned field, const void *data, size_t length) {
	put_varint(bytes, field << 3 | 2);
	put_varint(bytes, length);
	bytes_add(bytes, data, length);
}

/* A message that was made beside; it is empty for the next one then. */
static void put_message(struct bytes *bytes, unsigned field, struct bytes *message) {
	put_bytes(bytes, field, message->data, message->length);
	message->length = 0;
}

static uint64_t whole(double value) {
	double most = 9e18;
	value = value > most ? most : value < -most ? -most : value;
	return (uint64_t)(int64_t)(value < 0 ? value - 0.5 : value + 0.5);
}

struct writer {
	const struct profile *profile;
	struct bytes *out, message, inner;
	bool *searched;               /* by mapping */
	uint32_t base_key, base_text; /* texts behind ours */
};

static void put_type(struct writer *writer, unsigned field, uint32_t name, uint32_t unit) {
	put_number(&writer->message, 1, name);
	put_number(&writer->message, 2, unit);
	put_message(writer->out, field, &writer->message);
}

static void put_label(struct writer *writer, const struct label *label) {
	put_number(&writer->inner, 1, label->key);
	put_number(&writer->inner, 2, label->text);
	put_number(&writer->inner, 3, (uint64_t)label->number);
	put_number(&writer->inner, 4, label->unit);
	put_message(&writer->message, 3, &writer->inner);
}

static void put_sample(struct writer *writer, const struct sample *sample) {
	const struct profile *profile = writer->profile;
	for (uint32_t i = profile_own_frames(profile, sample); i < sample->depth; i++)
		put_varint(&writer->inner, profile->stacks[sample->stack + i] + 1);
	put_message(&writer->message, 1, &writer->inner);
	for (uint32_t i = 0; i < profile->type_count; i++)
		put_varint(&writer->inner, whole(sample->base ? -sample->values[i] : sample->values[i]));
	put_message(&writer->message, 2, &writer->inner);
	for (uint32_t i = 0; i < sample->label_count; i++)
		put_label(writer, &profile->labels[sample->labels + i]);
	if (sample->base)
		put_label(writer, &(struct label){.key = writer->base_key, .text = writer->base_text});
	put_message(writer->out, 2, &writer->message);
}

/* A mapping some of whose functions are known has been searched: nobody needs to again. */
static void note_searched(struct writer *writer) {
	const struct profile *profile = writer->profile;
	writer->searched = zeroed(profile->mapping_count, sizeof *writer->searched);
	for (size_t i = 0; i < profile->location_count; i++) {
		const struct location *location = &profile->locations[i];
		if (location->mapping != NO_NUMBER && location->line_count > 0)
			writer->searched[location->mapping] = true;
	}
}

static void put_mapping(struct writer *writer, uint32_t number) {
	const struct mapping *mapping = &writer->profile->mappings[number];
	put_number(&writer->message, 1, number + 1);
	put_number(&writer->message, 2, mapping->start);
	put_number(&writer->message, 3, mapping->limit);
	put_number(&writer->message, 4, mapping->offset);
	put_number(&writer->message, 5, mapping->file);
	put_number(&writer->message, 6, mapping->build_id);
	if (writer->searched[number]) {
		for (unsigned field = 7; field <= 10; field++) /* functions, files, lines, inlined ones */
			put_number(&writer->message, field, 1);
	}
	put_message(writer->out, 3, &writer->message);
}

static void put_location(struct writer *writer, uint32_t number) {
	const struct location *location = &writer->profile->locations[number];
	put_number(&writer->message, 1, number + 1);
	put_number(&writer->message, 2, location->mapping == NO_NUMBER ? 0 : location->mapping + 1);
	put_number(&writer->message, 3, location->address);
	for (uint32_t i = 0; i < location->line_count; i++) {
		const struct line *line = &writer->profile->lines[location->first_line + i];
		put_number(&writer->inner, 1, line->function + 1);
		put_number(&writer->inner, 2, (uint64_t)line->number);
		put_message(&writer->message, 4, &writer->inner);
	}
	put_message(writer->out, 4, &writer->message);
}

static void put_function(struct writer *writer, uint32_t number) {
	const struct function *function = &writer->profile->functions[number];
	put_number(&writer->message, 1, number + 1);
	put_number(&writer->message, 2, function->name);
	put_number(&writer->message, 3, function->system_name);
	put_number(&writer->message, 4, function->file);
	put_number(&writer->message, 5, (uint64_t)function->start_line);
	put_message(writer->out, 5, &writer->message);
}

static void put_texts(struct writer *writer) {
	const struct profile *profile = writer->profile;
	for (size_t i = 0; i < profile->text_count; i++)
		put_bytes(writer->out, 6, profile->texts[i], strlen(profile->texts[i]));
	put_bytes(writer->out, 6, "pprof::base", 11);
	put_bytes(writer->out, 6, "true", 4);
}

void write_proto(const struct profile *profile, uint32_t default_type, struct bytes *bytes) {
	struct writer writer = {
		.profile = profile,
		.out = bytes,
		.base_key = (uint32_t)profile->text_count,
		.base_text = (uint32_t)profile->text_count + 1,
	};
	for (uint32_t i = 0; i < profile->type_count; i++)
		put_type(&writer, 1, profile->types[i].name, profile->types[i].unit);
	for (size_t i = 0; i < profile->sample_count; i++)
		put_sample(&writer, &profile->samples[i]);
	note_searched(&writer);
	for (uint32_t i = 0; i < profile->mapping_count; i++)
		put_mapping(&writer, i);
	for (uint32_t i = 0; i < profile->location_count; i++)
		put_location(&writer, i);
	for (uint32_t i = 0; i < profile->function_count; i++)
		put_function(&writer, i);
	put_texts(&writer);
	put_number(bytes, 9, (uint64_t)profile->time_ns);
	put_number(bytes, 10, (uint64_t)profile->duration_ns);
	put_type(&writer, 11, profile->period_type, profile->period_unit);
	put_number(bytes, 12, (uint64_t)profile->period);
	put_number(bytes, 14, default_type);
	free(writer.searched);
	free(writer.message.data);
	free(writer.inner.data);
}
