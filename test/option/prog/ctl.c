/*
 * ctl read TYPE NAME           prints what mallctl reads
 * ctl write TYPE NAME VALUE    prints what it read before, and reads after the write
 *
 * An error of mallctl is printed as E and its number; so is a size other than that of the type, as "size".
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

typedef int control(const char *name, void *old, size_t *old_size, void *value, size_t size);

union value {
	bool as_bool;
	unsigned as_unsigned;
	uint32_t as_uint32;
	uint64_t as_uint64;
	int64_t as_int64;
	const char *as_text;
};

static size_t size_of(const char *type) {
	if (strcmp(type, "bool") == 0)
		return sizeof(bool);
	if (strcmp(type, "unsigned") == 0 || strcmp(type, "uint32") == 0)
		return sizeof(unsigned);
	return sizeof(uint64_t); /* numbers of 64 bits, and pointers */
}

static void print(const char *type, const union value *value) {
	if (strcmp(type, "bool") == 0)
		printf("%s\n", value->as_bool ? "true" : "false");
	else if (size_of(type) == sizeof(unsigned))
		printf("%u\n", value->as_unsigned);
	else if (strcmp(type, "text") == 0)
		printf("%s\n", value->as_text);
	else if (type[0] == 'u' || strcmp(type, "size") == 0)
		printf("%" PRIu64 "\n", value->as_uint64);
	else
		printf("%" PRId64 "\n", value->as_int64);
}

static union value parse(const char *type, const char *text) {
	union value value = {.as_uint64 = 0};
	if (strcmp(type, "bool") == 0)
		value.as_bool = strcmp(text, "true") == 0;
	else if (size_of(type) == sizeof(unsigned))
		value.as_unsigned = (unsigned)strtoul(text, NULL, 0);
	else if (strcmp(type, "text") == 0)
		value.as_text = text;
	else
		value.as_uint64 = strtoull(text, NULL, 0);
	return value;
}

static void call(control *mallctl, const char *type, const char *name, const char *text) {
	union value old = {.as_uint64 = UINT64_MAX}, new = {.as_uint64 = 0};
	size_t size = size_of(type);
	if (text != NULL)
		new = parse(type, text);
	int error = mallctl(name, &old, &size, text != NULL ? &new : NULL, text != NULL ? size : 0);
	if (error != 0)
		printf("E%d\n", error);
	else if (size != size_of(type))
		printf("size\n");
	else
		print(type, &old);
}

int main(int count, char **arguments) {
	control *mallctl;
	*(void **)&mallctl = dlsym(RTLD_DEFAULT, "mallctl");
	if (mallctl == NULL || count < 4)
		return 2;
	call(mallctl, arguments[2], arguments[3], count > 4 ? arguments[4] : NULL);
	if (count > 4)
		call(mallctl, arguments[2], arguments[3], NULL);
	return 0;
}
