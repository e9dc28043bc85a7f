/* format.c - a small printf into a bounded buffer. */
#include "util/util.h"

#include <string.h>

/* One conversion, parsed: %[-0][width][.precision][l|z]verb */
struct conversion {
	bool left, zero, is_long;
	unsigned width;
	int precision; /* -1: none */
	char verb;
};

/* Once something was cut off, nothing follows: a text never has a gap. */
static void put(struct text *text, char c) {
	if (text->cut || text->used + 1 >= text->size) {
		text->cut = true;
		return;
	}
	text->data[text->used++] = c;
	text->data[text->used] = 0;
}

static void put_times(struct text *text, char c, size_t times) {
	for (; times > 0 && !text->cut; times--)
		put(text, c);
}

static STARTUP void put_padded(struct text *text, const char *string, size_t length,
                               const struct conversion *how) {
	size_t pad = how->width > length ? how->width - length : 0;
	if (!how->left)
		put_times(text, ' ', pad);
	for (size_t i = 0; i < length; i++)
		put(text, string[i]);
	if (how->left)
		put_times(text, ' ', pad);
}

/* Prefix: a sign, "0x", or nothing; zeroes come after it, blanks before. */
static STARTUP void put_number(struct text *text, uint64_t value, const char *prefix,
                               const struct conversion *how) {
	char digits[24];
	size_t at = sizeof digits, prefix_length = strlen(prefix);
	unsigned base = how->verb == 'x' || how->verb == 'p' ? 16 : 10;
	do {
		digits[--at] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value != 0);
	size_t length = sizeof digits - at;
	if (how->zero && !how->left) {
		put_padded(text, prefix, prefix_length, &(struct conversion){0});
		put_times(text, '0',
		          how->width > length + prefix_length ? how->width - length - prefix_length : 0);
		put_padded(text, digits + at, length, &(struct conversion){0});
		return;
	}
	while (prefix_length > 0)
		digits[--at] = prefix[--prefix_length];
	put_padded(text, digits + at, sizeof digits - at, how);
}

static void put_signed(struct text *text, int64_t value, const struct conversion *how) {
	bool negative = value < 0;
	put_number(text, negative ? 0 - (uint64_t)value : (uint64_t)value, negative ? "-" : "", how);
}

static void put_string(struct text *text, const char *string, const struct conversion *how) {
	size_t length = 0;
	if (string == NULL)
		string = "(null)";
	while ((how->precision < 0 || length < (size_t)how->precision) && string[length] != 0)
		length++;
	put_padded(text, string, length, how);
}

static unsigned parse_number(const char **at) {
	unsigned value = 0;
	for (; **at >= '0' && **at <= '9'; ++*at)
		value = value * 10 + (unsigned)(**at - '0');
	return value;
}

/* Parses what follows a '%'; returns the place after it. Of a '*' precision, *star tells: its value is the
 * caller's to take. */
static const char *parse(const char *at, struct conversion *how, bool *star) {
	*how = (struct conversion){.precision = -1};
	*star = false;
	for (; *at == '-' || *at == '0'; at++) {
		how->left |= *at == '-';
		how->zero |= *at == '0';
	}
	how->width = parse_number(&at);
	if (*at == '.') {
		*star = *++at == '*';
		at += *star;
		how->precision = (int)parse_number(&at);
	}
	for (; *at == 'l' || *at == 'z'; at++)
		how->is_long = true;
	how->verb = *at;
	return *at == 0 ? at : at + 1;
}

static void put_char(struct text *text, char c, const struct conversion *how) {
	put_padded(text, &c, 1, how);
}

STARTUP void text_add_list(struct text *text, const char *format, va_list args) {
	while (*format != 0) {
		if (*format != '%') {
			put(text, *format++);
			continue;
		}
		struct conversion how;
		bool star;
		format = parse(format + 1, &how, &star);
		if (star)
			how.precision = va_arg(args, int);
		switch (how.verb) {
		case 's':
			put_string(text, va_arg(args, const char *), &how);
			break;
		case 'c':
			put_char(text, (char)va_arg(args, int), &how);
			break;
		case 'd':
			put_signed(text, how.is_long ? va_arg(args, long) : va_arg(args, int), &how);
			break;
		case 'u':
		case 'x':
			put_number(text, how.is_long ? va_arg(args, unsigned long) : va_arg(args, unsigned),
			           "", &how);
			break;
		case 'p':
			put_number(text, (uintptr_t)va_arg(args, void *), "0x", &how);
			break;
		case '%':
			put(text, '%');
			break;
		default: /* not ours: the rest cannot be trusted to match its arguments */
			text->cut = true;
			return;
		}
	}
}

STARTUP void text_add(struct text *text, const char *format, ...) {
	va_list args;
	va_start(args, format);
	text_add_list(text, format, args);
	va_end(args);
}
