// ctest-link: ashlar_profile
/* The reader of profile.proto: the input as it is, and, as bytes at random are mostly refused at once, as a recipe for a
 * profile whose fields are well-formed and refer to whatever the input says. */
#include "profiles.h"

static void put_varint(struct bytes *out, uint64_t value) {
	for (; value >= 0x80; value >>= 7)
		bytes_add(out, &(unsigned char){(unsigned char)(value | 0x80)}, 1);
	bytes_add(out, &(unsigned char){(unsigned char)value}, 1);
}

/* A message of up to 7 small numbers: pairs of field and value. */
static void put_message(struct bytes *out, unsigned field, const uint8_t *data, size_t size) {
	struct bytes inner = {0};
	for (size_t i = 0; i + 1 < size; i += 2) {
		if (data[i] >= 0xf0) { /* packed, a line, or a label */
			put_varint(&inner, (data[i] & 7u) << 3 | 2);
			put_varint(&inner, 1);
		} else {
			put_varint(&inner, (data[i] % 7u) << 3);
		}
		put_varint(&inner, data[i + 1] > 0xf0 ? UINT64_MAX - data[i + 1] : data[i + 1] % 16u);
	}
	put_varint(out, field << 3 | 2);
	put_varint(out, inner.length);
	bytes_add(out, inner.data, inner.length);
	free(inner.data);
}

static void put_recipe(struct bytes *out, const uint8_t *data, size_t size) {
	static const unsigned fields[] = {1, 2, 3, 4, 5, 11, 2, 4};
	static const char *const texts[] = {"",         "space", "bytes", "f", "file.c", "pprof::base",
	                                    "\xff\x01", "t;x",   "thread"};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		put_varint(out, 6 << 3 | 2);
		put_varint(out, strlen(texts[i]));
		bytes_add(out, texts[i], strlen(texts[i]));
	}
	while (size > 0) {
		size_t length = (data[0] >> 3) % 15u;
		length = length < size - 1 ? length : size - 1;
		put_message(out, fields[data[0] & 7], data + 1, length);
		data += length + 1;
		size -= length + 1;
	}
}

static void read_one(const unsigned char *data, size_t size) {
	struct profile profile;
	struct failure failure = {""};
	unsigned char *exact = zeroed(size, 1); /* so that a read behind it is seen */
	if (size > 0)
		memcpy(exact, data, size);
	profile_start(&profile);
	profile.reads_base = size > 0 && (data[size - 1] & 1) != 0;
	if (read_profile(&profile, exact, size, &failure))
		use_profile(&profile);
	else
		check_failure(&failure);
	profile_free(&profile);
	free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct bytes recipe = {0};
	read_one(data, size);
	put_recipe(&recipe, data, size);
	read_one(recipe.data, recipe.length);
	free(recipe.data);
	return 0;
}
