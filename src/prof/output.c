/* output.c - text and bytes to a file or to a function of the program's, by pieces; and memory to do such work in. */
#include <stdarg.h>
#include <string.h>
#include "os/os.h"
#include "prof/inside.h"

static size_t round_pages(size_t bytes) {
	return round_up(bytes, size_max(os.page_size, PAGE));
}

void *pages_take(size_t bytes) {
	void *pages;
	return os_map(NULL, round_pages(bytes), &pages) == 0 ? pages : NULL;
}

void pages_give(void *pages, size_t bytes) {
	(void)os_unmap(pages, round_pages(bytes));
}

struct output output_to_file(int file) {
	return (struct output){.file = file};
}

struct output output_to_text_call(prof_text_writer *call, void *opaque) {
	return (struct output){.file = -1, .text_call = call, .opaque = opaque};
}

int output_end(struct output *out) {
	out->data[out->used] = 0;
	if (out->used == 0)
		return out->error;
	if (out->call != NULL)
		out->call(out->opaque, out->data, out->used);
	else if (out->text_call != NULL)
		out->text_call(out->opaque, out->data);
	else if (out->error == 0)
		out->error = os_write_all(out->file, out->data, out->used);
	out->used = 0;
	return out->error;
}

void output_bytes(struct output *out, const void *data, size_t size) {
	const char *from = data;
	while (size > 0) {
		size_t part = size_min(size, sizeof out->data - 1 - out->used);
		memcpy(out->data + out->used, from, part);
		out->used += part;
		from += part;
		size -= part;
		if (out->used == sizeof out->data - 1)
			(void)output_end(out);
	}
}

void output_text(struct output *out, const char *format, ...) {
	char line[512];
	struct text text = text_over(line, sizeof line);
	va_list args;
	va_start(args, format);
	text_add_list(&text, format, args);
	va_end(args);
	output_bytes(out, line, text.used);
}

void output_json_string(struct output *out, const char *string) {
	output_text(out, "\"");
	for (; *string != 0; string++) {
		unsigned char c = (unsigned char)*string;
		if (c == '"' || c == '\\')
			output_text(out, "\\%c", c);
		else if (c < ' ')
			output_text(out, "\\u%04x", c);
		else
			output_bytes(out, string, 1);
	}
	output_text(out, "\"");
}
