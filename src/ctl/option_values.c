/* option_values.c - the grammar of values: numbers, ratios, words, letters, ranges of sizes. */
#include "ctl/option_values.h"

#include <errno.h>
#include <string.h>

bool piece_is(struct piece piece, const char *word) {
	return strlen(word) == piece.length && memcmp(piece.text, word, piece.length) == 0;
}

static struct piece piece_after(struct piece piece, size_t length) {
	return (struct piece){piece.text + length, piece.length - length};
}

/* -- numbers --------------------------------------------------------------------------------------------- */

static unsigned digit_of(char c) {
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 99;
}

/* Takes digits off the front of `piece`. False: there are none, or too many. */
static bool take_digits(struct piece *piece, unsigned base, uint64_t *out) {
	size_t i = 0;
	for (*out = 0; i < piece->length; i++) {
		unsigned digit = digit_of(piece->text[i]);
		if (digit >= base)
			break;
		if (__builtin_mul_overflow(*out, base, out) || __builtin_add_overflow(*out, digit, out))
			return false;
	}
	*piece = piece_after(*piece, i);
	return i > 0;
}

/* Digits in C's three bases, all of `piece`. */
static bool parse_digits(struct piece piece, uint64_t *out) {
	unsigned base = 10;
	if (piece.length > 1 && piece.text[0] == '0') {
		base = (piece.text[1] | 0x20) == 'x' ? 16 : 8;
		piece = piece_after(piece, base == 16 ? 2 : 1);
	}
	return take_digits(&piece, base, out) && piece.length == 0;
}

/* Blanks, a sign, digits. */
static STARTUP bool parse_number(struct piece piece, bool *negative, uint64_t *out) {
	while (piece.length > 0 && (*piece.text == ' ' || (*piece.text >= '\t' && *piece.text <= '\r')))
		piece = piece_after(piece, 1);
	*negative = piece.length > 0 && *piece.text == '-';
	if (*negative || (piece.length > 0 && *piece.text == '+'))
		piece = piece_after(piece, 1);
	return parse_digits(piece, out);
}

/* digits[.digits] in 65536ths; what is finer is cut off. */
static bool parse_ratio(struct piece piece, uint32_t *out) {
	uint64_t whole, part = 0, unit = RATIO_ONE;
	if (!take_digits(&piece, 10, &whole) || whole >= RATIO_ONE)
		return false;
	if (piece.length > 0) {
		if (*piece.text != '.' || piece.length == 1)
			return false;
		/* From the last digit on: part = (digit + part) / 10, in 2^-48 of a ratio's unit at first. */
		unit <<= 32;
		for (size_t i = piece.length - 1; i > 0; i--) {
			unsigned digit = digit_of(piece.text[i]);
			if (digit > 9)
				return false;
			part = (digit * unit + part) / 10;
		}
		part >>= 32;
	}
	*out = (uint32_t)(whole * RATIO_ONE + part);
	return true;
}

/* The fields of LIVE options are read meanwhile. */
static void store_number(const struct option *option, uint64_t number) {
	_Atomic bool *as_bool = option->value;
	_Atomic unsigned *as_unsigned = option->value;
	_Atomic uint64_t *as_uint64 = option->value;
	switch (option->type) {
	case OPTION_IS_BOOL:
		store_relaxed(as_bool, number != 0);
		break;
	case OPTION_IS_UNSIGNED:
	case OPTION_IS_RATIO:
	case OPTION_IS_CHOICE: /* an enum */
		store_relaxed(as_unsigned, (unsigned)number);
		break;
	default:
		store_relaxed(as_uint64, number);
	}
}
_Static_assert(sizeof(size_t) == sizeof(uint64_t) && sizeof(enum opt_thp) == sizeof(unsigned),
               "store_number");

static enum verdict put_signed(const struct option *option, int64_t number) {
	bool low = number<option->lowest, high = number> 0 && (uint64_t)number > option->highest;
	if (low ||
	    (high && option->outside == OPTION_ERROR)) /* below the lowest of a CLIP stands its "none" */
		return VALUE_OUT_OF_RANGE;
	store_number(option, high ? option->highest : (uint64_t)number);
	return VALUE_GOOD;
}

/* A repeated max_background_threads can only become smaller. */
static uint64_t highest_of(const struct option *option) {
	bool repeated = option->value == &opt.max_background_threads && option_was_set(option->value);
	return repeated ? opt.max_background_threads : option->highest;
}

static enum verdict put_unsigned(const struct option *option, uint64_t number) {
	uint64_t lowest = (uint64_t)option->lowest, highest = highest_of(option);
	if ((number < lowest || number > highest) && option->outside == OPTION_ERROR)
		return VALUE_OUT_OF_RANGE;
	number = number < lowest ? lowest : number > highest ? highest : number;
	store_number(option, option->alias == OPTION_POWER ? (uint64_t)1 << number : number);
	return VALUE_GOOD;
}

static bool is_signed(const struct option *option) {
	return option->type == OPTION_IS_SSIZE || option->type == OPTION_IS_INT64;
}

static enum verdict set_number(const struct option *option, struct piece value) {
	bool negative;
	uint64_t number;
	if (option->value == &opt.narenas && piece_is(value, "default")) {
		store_number(option, 0);
		return VALUE_GOOD;
	}
	if (!parse_number(value, &negative, &number))
		return VALUE_INVALID;
	if (is_signed(option) && number > INT64_MAX)
		return VALUE_OUT_OF_RANGE;
	if (negative) /* as C converts it */
		number = 0 - number;
	return is_signed(option) ? put_signed(option, (int64_t)number) : put_unsigned(option, number);
}

static enum verdict set_ratio(const struct option *option, struct piece value) {
	uint32_t ratio = RATIO_NEVER;
	bool never = option->lowest < 0 && piece_is(value, "-1");
	if (!never && !parse_ratio(value, &ratio))
		return VALUE_INVALID;
	store_number(option, ratio);
	return VALUE_GOOD;
}

static enum verdict set_share(const struct option *option, struct piece value) {
	uint32_t ratio;
	if (!parse_ratio(value, &ratio) || ratio > RATIO_ONE)
		return VALUE_INVALID;
	const struct option *target = option_of(option->value);
	return put_unsigned(target, option->highest * ratio / RATIO_ONE);
}

/* -- words and texts ------------------------------------------------------------------------------------- */

static enum verdict set_bool(const struct option *option, struct piece value) {
	bool wanted = piece_is(value, "true");
	if (!wanted && !piece_is(value, "false"))
		return VALUE_INVALID;
	store_number(option, wanted);
	return VALUE_GOOD;
}

static enum verdict set_choice(const struct option *option, struct piece value) {
	for (unsigned i = 0; option->words[i] != NULL; i++) {
		if (piece_is(value, option->words[i])) {
			store_number(option, i);
			return VALUE_GOOD;
		}
	}
	return VALUE_INVALID;
}

/* Letters that mean nothing are dropped, and those that are there already. */
static enum verdict set_letters(const struct option *option, struct piece value) {
	char *letters = ((struct option_letters *)option->value)->text;
	size_t used = strlen(letters);
	for (size_t i = 0; i < value.length; i++) {
		char letter = value.text[i];
		if (letter == 0 || strchr(OPTION_LETTERS, letter) == NULL || strchr(letters, letter) != NULL)
			continue;
		letters[used++] = letter;
		letters[used] = 0;
	}
	return VALUE_GOOD;
}

static enum verdict set_text(const struct option *option, struct piece value) {
	struct option_text *text = option->value;
	size_t length = size_min(value.length, sizeof text->text - 1);
	memcpy(text->text, value.text, length);
	text->text[length] = 0;
	return VALUE_GOOD;
}

/* -- amounts of memory ----------------------------------------------------------------------------------- */

/* The power of 1024 that the last letter stands for, which is taken off; 0: none. */
static unsigned take_unit(struct piece *piece) {
	static const char units[] = "kmgt";
	int last = piece->length > 0 ? piece->text[piece->length - 1] | 0x20 : 0;
	const char *unit = last != 0 ? strchr(units, last) : NULL;
	piece->length -= unit != NULL;
	return unit != NULL ? (unsigned)(unit - units) + 1 : 0;
}

static enum verdict parse_bytes(struct piece piece, uint64_t *bytes) {
	unsigned power = take_unit(&piece);
	bool negative;
	if (!parse_number(piece, &negative, bytes) || negative)
		return VALUE_INVALID;
	if (*bytes > SIZE_LIMIT >> (10 * power))
		return VALUE_OUT_OF_RANGE;
	*bytes <<= 10 * power;
	return VALUE_GOOD;
}

/* The same, or a part of `whole`. */
static enum verdict parse_limit(struct piece piece, size_t whole, uint64_t *bytes) {
	uint32_t percent;
	if (piece.length == 0 || piece.text[piece.length - 1] != '%')
		return parse_bytes(piece, bytes);
	piece.length--;
	if (!parse_ratio(piece, &percent))
		return VALUE_INVALID;
	if (percent > 100 * RATIO_ONE)
		return VALUE_OUT_OF_RANGE;
	const unsigned __int128 all = (unsigned __int128)100 * RATIO_ONE;
	*bytes = (uint64_t)(whole * (unsigned __int128)percent / all);
	return VALUE_GOOD;
}

STARTUP bool option_limit(const struct option_limit *limit, size_t whole, size_t *bytes) {
	return parse_limit((struct piece){limit->text, strlen(limit->text)}, whole, bytes) == VALUE_GOOD;
}

static enum verdict set_limit(const struct option *option, struct piece value) {
	struct option_limit *limit = option->value;
	uint64_t bytes;
	enum verdict verdict =
		piece_is(value, "default") ? VALUE_GOOD : parse_limit(value, SIZE_LIMIT, &bytes);
	if (verdict == VALUE_GOOD && value.length >= sizeof limit->text)
		verdict = VALUE_INVALID;
	if (verdict == VALUE_GOOD) {
		memcpy(limit->text, value.text, value.length);
		limit->text[value.length] = 0;
	}
	return verdict;
}

/* -- ranges of sizes ------------------------------------------------------------------------------------- */

/* Takes `first-last:value` and a bar after it off the front. */
static bool take_segment(struct piece *text, struct option_segment *segment) {
	static const char after[] = "-:|";
	uint64_t *const numbers[] = {&segment->first, &segment->last, &segment->value};
	for (unsigned i = 0; i < COUNT_OF(numbers); i++) {
		if (!take_digits(text, 10, numbers[i]))
			return false;
		bool at_end = text->length == 0;
		if (at_end ? after[i] != '|' : *text->text != after[i])
			return false;
		if (!at_end) {
			*text = piece_after(*text, 1);
			if (text->length == 0)
				return false;
		}
	}
	return true;
}

static bool walk_ranges(struct piece text, option_take *take, void *context) {
	struct option_segment segment;
	while (text.length > 0) {
		if (!take_segment(&text, &segment) || !take(context, &segment))
			return false;
	}
	return true;
}

static bool take_any(void *context, const struct option_segment *segment) {
	(void)context;
	(void)segment;
	return true;
}

bool option_parse_ranges(const char *text, size_t length, option_take *take, void *context) {
	struct piece piece = {text, length};
	return walk_ranges(piece, take_any, NULL) && walk_ranges(piece, take, context);
}

static bool value_fits(void *context, const struct option_segment *segment) {
	const struct option *option = context;
	bool outside = segment->value < (uint64_t)option->lowest || segment->value > option->highest;
	return !outside || option->outside == OPTION_CLIP;
}

/* Slab sizes are for the classes inside the range, the others for those that its sizes belong to. */
static bool class_is_meant(const struct option *option, unsigned class,
                           const struct option_segment *segment) {
	size_t bytes = class_info[class].bytes, below = class_info[class - 1].bytes;
	if (option->value == &opt.slab_sizes)
		return bytes >= segment->first && bytes <= segment->last;
	return segment->first <= segment->last && segment->first <= bytes && segment->last > below;
}

static bool set_segment(void *context, const struct option_segment *segment) {
	const struct option *option = context;
	struct option_ranges *ranges = option->value;
	uint64_t value = segment->value;
	if (value > option->highest)
		value = option->highest;
	for (unsigned class = 1; class < CLASS_COUNT; class ++) {
		if (class_is_meant(option, class, segment))
			ranges->above[class] = (uint16_t)(value + 1);
	}
	return true;
}

static enum verdict set_ranges(const struct option *option, struct piece value) {
	void *context = (void *)(uintptr_t)option;
	if (option->value == &opt.slab_sizes && piece_is(value, "default")) {
		opt.slab_sizes = (struct option_ranges){{0}};
		return VALUE_GOOD;
	}
	if (value.length == 0 || !option_parse_ranges(value.text, value.length, value_fits, context))
		return VALUE_INVALID;
	(void)option_parse_ranges(value.text, value.length, set_segment, context);
	return VALUE_GOOD;
}

STARTUP bool option_range(const struct option_ranges *ranges, unsigned class, unsigned *value) {
	unsigned above = ranges->above[class];
	if (above == 0)
		return false;
	*value = above - 1;
	return true;
}

/* -- one value ------------------------------------------------------------------------------------------- */

enum verdict option_set(const struct option *option, struct piece value) {
	if (option->alias == OPTION_SHARE)
		return set_share(option, value);
	switch (option->type) {
	case OPTION_IS_BOOL:
		return set_bool(option, value);
	case OPTION_IS_UNSIGNED:
	case OPTION_IS_SIZE:
	case OPTION_IS_SSIZE:
	case OPTION_IS_UINT64:
	case OPTION_IS_INT64:
		return set_number(option, value);
	case OPTION_IS_RATIO:
		return set_ratio(option, value);
	case OPTION_IS_CHOICE:
		return set_choice(option, value);
	case OPTION_IS_LETTERS:
		return set_letters(option, value);
	case OPTION_IS_TEXT:
		return set_text(option, value);
	case OPTION_IS_RANGES:
		return set_ranges(option, value);
	case OPTION_IS_LIMIT:
		return set_limit(option, value);
	}
	return VALUE_INVALID;
}

int option_change(const struct option *option, uint64_t number) {
	bool is_bool = option->type == OPTION_IS_BOOL;
	if (is_bool || !is_signed(option))
		return put_unsigned(option, number) == VALUE_GOOD ? 0 : EINVAL;
	return put_signed(option, (int64_t)number) == VALUE_GOOD ? 0 : EINVAL;
}

int option_change_word(const struct option *option, const char *word) {
	return word != NULL && set_choice(option, (struct piece){word, strlen(word)}) == VALUE_GOOD ? 0
	                                                                                            : EINVAL;
}
