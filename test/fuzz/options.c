/* The option parser on five made-up texts: values stay in range, messages are whole lines, and the same
 * texts give the same values again. */
#include "fuzz.h"

#include <setjmp.h>

#include "ashlar/ashlar.h"
#include "ctl/options.h"

/* Bytes from FIRST_TOKEN on stand for a word: an option's name and colon, or one of these. */
#define FIRST_TOKEN 0x80
static const char *const words[] = {"0.5",    "1-128:4|", "-1",      "16384", "default",
                                    "true",   "false",    "default", ",",     ":",
                                    "abort",  "free",     "alloc",   "0x",    "18446744073709551615",
                                    "999999", "-",        "J",       "4096",  "experimental_"};
#define WORDS (sizeof words / sizeof *words)

#define TEXT_SIZE 1024
#define MOST_TEXT 4608 /* of a message; longer ones are cut */

static const char abort_text[] = "<ashlar>: Abort (abort_conf:true) on invalid conf value (see above).\n";
static sigjmp_buf aborted;

/* Takes the place of stderr. After the last message of an abort_conf the parser does not return. */
static void check_message(void *opaque, const char *text) {
	size_t length = strlen(text);
	CHECK(opaque == NULL);
	CHECK(length > 0 && length < MOST_TEXT && text[length - 1] == '\n');
	CHECK(strncmp(text, "<ashlar>: ", 10) == 0);
	if (strcmp(text, abort_text) == 0)
		siglongjmp(aborted, 1);
}

static bool read_all(const char *const texts[OPTION_SOURCES]) {
	if (sigsetjmp(aborted, 0) != 0)
		return false;
	options_read(texts);
	return true;
}

static void check_number(const struct option *option, uint64_t number) {
	if (option->value == &opt.narenas && number == 0)
		return; /* the word `default` */
	CHECK(number >= (uint64_t)option->lowest && number <= option->highest);
}

static void check_signed(const struct option *option, int64_t number) {
	CHECK(number >= option->lowest);
	CHECK(number < 0 || (uint64_t)number <= option->highest);
}

static void check_ranges(const struct option *option) {
	unsigned value;
	for (unsigned class = 0; class < CLASS_COUNT; class ++) {
		if (option_range(option->value, class, &value))
			CHECK(class > 0 && value >= (uint64_t)option->lowest && value <= option->highest);
	}
}

static void check_letters(const char *letters) {
	CHECK(memchr(letters, 0, sizeof(struct option_letters)) != NULL);
	for (const char *at = letters; *at != 0; at++)
		CHECK(strchr(OPTION_LETTERS, *at) != NULL && strchr(at + 1, *at) == NULL);
}

static void check_choice(const struct option *option) {
	unsigned count = 0, chosen;
	memcpy(&chosen, option->value, sizeof chosen);
	while (option->words[count] != NULL)
		count++;
	CHECK(chosen < count);
}

static void check_value(const struct option *option) {
	unsigned char byte;
	if (option->alias != OPTION_PLAIN)
		return;
	switch (option->type) {
	case OPTION_IS_BOOL:
		memcpy(&byte, option->value, 1);
		CHECK(byte <= 1);
		break;
	case OPTION_IS_UNSIGNED:
		check_number(option, *(const unsigned *)option->value);
		break;
	case OPTION_IS_SIZE:
	case OPTION_IS_UINT64:
		check_number(option, *(const uint64_t *)option->value);
		break;
	case OPTION_IS_SSIZE:
	case OPTION_IS_INT64:
		check_signed(option, *(const int64_t *)option->value);
		break;
	case OPTION_IS_RATIO:
		break;
	case OPTION_IS_CHOICE:
		check_choice(option);
		break;
	case OPTION_IS_LETTERS:
		check_letters(option->value);
		break;
	case OPTION_IS_TEXT:
		CHECK(memchr(option->value, 0, sizeof(struct option_text)) != NULL);
		break;
	case OPTION_IS_RANGES:
		check_ranges(option);
		break;
	case OPTION_IS_LIMIT:
		CHECK(memchr(option->value, 0, sizeof(struct option_limit)) != NULL);
		break;
	}
}

static size_t value_size(const struct option *option) {
	static const size_t sizes[] = {
		[OPTION_IS_BOOL] = sizeof(bool),
		[OPTION_IS_UNSIGNED] = sizeof(unsigned),
		[OPTION_IS_SIZE] = sizeof(size_t),
		[OPTION_IS_SSIZE] = sizeof(ssize_t),
		[OPTION_IS_UINT64] = sizeof(uint64_t),
		[OPTION_IS_INT64] = sizeof(int64_t),
		[OPTION_IS_RATIO] = sizeof(uint32_t),
		[OPTION_IS_CHOICE] = sizeof(int),
		[OPTION_IS_LETTERS] = sizeof(struct option_letters),
		[OPTION_IS_TEXT] = sizeof(struct option_text),
		[OPTION_IS_RANGES] = sizeof(struct option_ranges),
		[OPTION_IS_LIMIT] = sizeof(struct option_limit),
	};
	return sizes[option->type];
}

/* Where the value of an option lies in a copy of `opt`. */
static const void *value_in(const struct option *option, const struct options *copy) {
	return (const char *)copy + ((const char *)option->value - (const char *)&opt);
}

static void check_same(const struct options *before) {
	for (unsigned i = 0; i < option_count(); i++) {
		const struct option *option = option_at(i);
		if (option->type != OPTION_IS_LETTERS && option->type != OPTION_IS_TEXT)
			CHECK(memcmp(option->value, value_in(option, before), value_size(option)) == 0);
		else
			CHECK(strcmp(option->value, value_in(option, before)) == 0);
	}
}

/* The next text of the input, up to a zero byte; its own block of exactly its size, so that the sanitizer
 * sees a read past its end. */
static char *next_text(struct input *input) {
	char text[TEXT_SIZE] = "";
	for (uint8_t byte; (byte = input_byte(input)) != 0;) {
		unsigned token = byte - FIRST_TOKEN;
		if (byte < FIRST_TOKEN) {
			text_append(text, sizeof text, (char[]){(char)byte, 0});
		} else if (token < WORDS) {
			text_append(text, sizeof text, words[token]);
		} else {
			text_append(text, sizeof text,
			            option_at((unsigned)(token - WORDS) % option_count())->name);
			text_append(text, sizeof text, ":");
		}
	}
	char *block = (malloc)(strlen(text) + 1);
	CHECK(block != NULL);
	return strcpy(block, text);
}

static void check_options(void) {
	for (unsigned i = 0; i < option_count(); i++)
		check_value(option_at(i));
}

static bool count_segment(void *context, const struct option_segment *segment) {
	(void)segment;
	return ++*(unsigned *)context < 100;
}

/* Values written while the program runs: in range or refused. */
static void check_sets(struct input *input) {
	for (unsigned i = 0; i < option_count(); i++) {
		const struct option *option = option_at(i);
		if (option->writable != OPTION_LIVE)
			continue;
		if (option->type == OPTION_IS_CHOICE)
			(void)option_change_word(option, words[input_byte(input) % WORDS]);
		else
			(void)option_change(option, (uint64_t)input_byte(input) << (input_byte(input) % 57));
		check_value(option);
	}
	char *text = next_text(input);
	unsigned segments = 0;
	if (option_parse_ranges(text, strlen(text), count_segment, &segments))
		CHECK((segments == 0) == (text[0] == 0));
	(free)(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static struct options before;
	struct input input = {data, size};
	char *texts[OPTION_SOURCES];
	unsigned missing = input_byte(&input);
	for (int i = 0; i < OPTION_SOURCES; i++)
		texts[i] = missing >> i & 1 ? NULL : next_text(&input);
	SUT(malloc_message) = check_message;
	bool done = read_all((const char *const *)texts);
	check_options();
	CHECK(done || opt.abort_conf);
	before = opt;
	CHECK(read_all((const char *const *)texts) == done);
	check_same(&before);
	check_sets(&input);
	for (int i = 0; i < OPTION_SOURCES; i++)
		(free)(texts[i]);
	return 0;
}
