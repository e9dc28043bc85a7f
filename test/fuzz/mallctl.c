/* Settings and figures by name and by number: only the documented errors, never a byte beyond the sizes
 * given, and no writing where a name cannot be written. */
#include "fuzz.h"

#include "ashlar/ashlar.h"
#include "ctl/names.h"

#define TEXT_SIZE   256
#define FIRST_TOKEN 0x80 /* bytes from here on stand for a name of the table, each <...> made a number */
#define MOST_CALLS  16
#define DEPTH       9    /* of a mib; deeper than any name */
#define FAILED      5000 /* no errno */

static void check_error(int error) {
	CHECK(error == 0 || error == ENOENT || error == EINVAL || error == EPERM || error == EAGAIN ||
	      error == EFAULT);
}

/* A name of the table, its indices taken from the input. */
static void append_name(char *text, struct input *input, uint8_t byte) {
	static const char *const indices[] = {
		"0", "1", "3", "36", "4096", "4097", "18446744073709551615", "99999999999999999999"};
	unsigned row = (byte - FIRST_TOKEN) % ctl_name_count();
	for (const char *at = ctl_name_at(row)->name; *at != 0; at++) {
		if (*at == '<') {
			text_append(text, TEXT_SIZE, indices[input_byte(input) % 8]);
			at = strchr(at, '>');
		} else {
			text_append(text, TEXT_SIZE, (char[]){*at, 0});
		}
	}
}

/* The next name of the input, up to a zero byte, in a block of exactly its size. */
static char *next_name(struct input *input) {
	char text[TEXT_SIZE] = "";
	for (uint8_t byte; (byte = input_byte(input)) != 0;) {
		if (byte < FIRST_TOKEN)
			text_append(text, sizeof text, (char[]){(char)byte, 0});
		else
			append_name(text, input, byte);
	}
	char *block = (malloc)(strlen(text) + 1);
	CHECK(block != NULL);
	return strcpy(block, text);
}

/* What a call reads and writes: blocks of exactly the sizes told, or NULL, as the input says. */
struct exchange {
	void *old, *new;
	size_t old_size, new_size;
	size_t *size_out;
};

static struct exchange next_exchange(struct input *input) {
	static const size_t sizes[] = {8, 4, 1, 8, 0, 3, 16, 64};
	uint8_t shape = input_byte(input);
	struct exchange exchange = {0};
	exchange.old_size = sizes[shape & 7];
	exchange.new_size = sizes[shape >> 3 & 7];
	if (shape & 0x40)
		exchange.old = (calloc)(1, exchange.old_size);
	if (shape & 0x80) {
		exchange.new = (calloc)(1, exchange.new_size);
		uint64_t number = input_number(input, 2);
		number = number > 60000 ? 0 - (65535 - number) : number;
		memcpy(exchange.new, &number, exchange.new_size < 8 ? exchange.new_size : 8);
	} else if ((shape & 0x38) == 0) {
		exchange.new_size = 0;
	}
	return exchange;
}

static void drop(struct exchange *exchange) {
	(free)(exchange->old);
	(free)(exchange->new);
}

/* One call by name: what it wrote fits, and a number sized right came whole. */
static int call_by_name(const char *name, struct exchange *exchange) {
	size_t room = exchange->old_size;
	exchange->size_out = exchange->old != NULL ? &exchange->old_size : NULL;
	int error = SUT(mallctl)(name, exchange->old, exchange->size_out, exchange->new, exchange->new_size);
	check_error(error);
	CHECK(exchange->old_size <= room);
	CHECK(error != 0 || exchange->old == NULL || exchange->old_size == room);
	exchange->old_size = room;
	return error;
}

/* The same by number gives the same error, but where time or the first call changed the answer. */
static void call_by_mib(const size_t *mib, size_t length, const struct exchange *exchange, int expected) {
	size_t size = exchange->old_size;
	int error = SUT(mallctlbymib)(mib, length, exchange->old, exchange->old != NULL ? &size : NULL,
	                              exchange->new, exchange->new_size);
	check_error(error);
	CHECK(size <= exchange->old_size);
	CHECK(expected == FAILED || error == expected);
}

/* What is written by the rules of C may be anything, but a pointer must point at something: NULL is all that is tried. And
 * the number of a cache that there is not ends the program, as it should. */
static void defuse(const size_t *mib, size_t length, struct exchange *exchange) {
	if (exchange->new == NULL || length == 0 || mib[length - 1] >= ctl_name_count())
		return;
	const struct ctl_name *row = ctl_name_at((unsigned)mib[length - 1]);
	if (row->type == CTL_TEXT || row->type == CTL_POINTER || row->type == CTL_STRUCT)
		memset(exchange->new, 0, exchange->new_size);
	if (strcmp(row->name, "tcache.flush") == 0 || strcmp(row->name, "tcache.destroy") == 0) {
		(free)(exchange->new);
		exchange->new = NULL;
	}
}

static void defuse_name(const char *name, struct exchange *exchange) {
	size_t mib[DEPTH], length = DEPTH;
	if (SUT(mallctlnametomib)(name, mib, &length) == 0)
		defuse(mib, length, exchange);
}

static void try_name(struct input *input) {
	char *name = next_name(input);
	struct exchange exchange = next_exchange(input);
	defuse_name(name, &exchange);
	size_t full = input_byte(input) % DEPTH + 1, length = full;
	size_t *mib = (calloc)(full, sizeof *mib);
	CHECK(mib != NULL);
	int by_name = call_by_name(name, &exchange);
	int error = SUT(mallctlnametomib)(name, mib, &length);
	check_error(error);
	CHECK(length <= full);
	CHECK(by_name == ENOENT || error == 0);
	size_t parts = 1;
	for (const char *at = name; *at != 0; at++)
		parts += *at == '.';
	if (error == 0)
		call_by_mib(mib, length, &exchange, length == parts ? by_name : FAILED);
	(free)(mib);
	(free)(name);
	drop(&exchange);
}

static void try_mib(struct input *input) {
	size_t length = input_byte(input) % (DEPTH + 1);
	size_t *mib = (calloc)(length, sizeof *mib);
	CHECK(mib != NULL);
	for (size_t i = 0; i < length; i++) {
		uint8_t byte = input_byte(input);
		mib[i] = byte == 0xff ? SIZE_MAX : byte == 0xfe ? CTL_ALL_ARENAS : byte;
	}
	struct exchange exchange = next_exchange(input);
	defuse(mib, length, &exchange);
	call_by_mib(mib, length, &exchange, FAILED);
	(free)(mib);
	drop(&exchange);
}

/* Something to count. */
static void use_heap(struct input *input) {
	void *block = malloc((size_t)input_number(input, 2) * 4);
	CHECK(block != NULL);
	free(block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct input input = {data, size};
	for (int i = 0; i < MOST_CALLS && input.left > 0; i++) {
		uint8_t what = input_byte(&input) % 8;
		if (what == 0)
			use_heap(&input);
		else if (what < 3)
			try_mib(&input);
		else
			try_name(&input);
	}
	return 0;
}
