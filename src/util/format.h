/* format.h - text without stdio and without allocation, for messages and reports.
 *
 * A `struct text` is a bounded buffer; what does not fit is cut off and `cut` is set, after which nothing
 * more is added; the buffer is always terminated. The conversions are a subset of printf's with the same
 * meaning:
 *   %s %c %d %u %ld %lu %zu %zd %x %lx %zx %p %%
 * with optional 0, '-', width and, for %s, a precision .N or .* after it. Anything else ends the text. */
#ifndef ASHLAR_UTIL_FORMAT_H
#define ASHLAR_UTIL_FORMAT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct text {
	char *data;
	size_t size; /* of data, with the terminator; at least 1 */
	size_t used; /* without the terminator; < size */
	bool cut;
};

static inline struct text text_over(char *buffer, size_t size) {
	buffer[0] = 0;
	return (struct text){buffer, size, 0, false};
}

void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_add_list(struct text *text, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

#endif
