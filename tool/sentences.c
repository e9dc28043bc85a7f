/* sentences.c - what options.def and names.def say of their rows in words, in the order of the library's tables.
 *
 * The library itself has no use for them. */
#include "tool.h"

#include "util/util.h"

#define FIRST(sentence) (sentence),

static const char *const option_sentences[] = {
#define OPTION(name, type, initial, lowest, highest, outside, writable, effect, sentence) FIRST(sentence)
#define ALIAS(name, kind, target, highest, sentence)                                      FIRST(sentence)
#include "ctl/options.def"
#undef OPTION
#undef ALIAS
};

static const char *const option_initials[] = {
#define OPTION(name, type, initial, lowest, highest, outside, writable, effect, sentence) FIRST(#initial)
#define ALIAS(name, kind, target, highest, sentence)                                      FIRST("")
#include "ctl/options.def"
#undef OPTION
#undef ALIAS
};

/* As in names.c: the names proper, opt.<name>, and the names of options that can change. */
#define OPT_START(sentence) FIRST(sentence)
#define OPT_LIVE(sentence)  FIRST(sentence)
#define OPT_SILENT(sentence)
#define OWN_START(sentence)
#define OWN_LIVE(sentence) FIRST(sentence)
#define OWN_SILENT(sentence)

static const char *const name_sentences[] = {
#define READ(name, type, function, sentence)       FIRST(sentence)
#define WRITE(name, type, function, sentence)      FIRST(sentence)
#define READ_WRITE(name, type, function, sentence) FIRST(sentence)
#define WRITE_READ(name, type, function, sentence) FIRST(sentence)
#define ACTION(name, function, sentence)           FIRST(sentence)
#define RAW(name, type, function, sentence)        FIRST(sentence)
#define TOTAL(name, type, field, sentence)         FIRST(sentence)
#define STAT(name, type, field, stride, sentence)  FIRST(sentence)
#define EXTENT(name, field, sentence)              FIRST(sentence)
#define LOCK(name, record, field, stride) \
	FIRST("Times taken.") \
	FIRST("Times taken after sleeping.") \
	FIRST("Times taken after trying again and again.") \
	FIRST("Times taken by another thread than before.") \
	FIRST("Nanoseconds threads slept for it.") \
	FIRST("The longest such sleep.") \
	FIRST("Most threads that slept at the same time.")
#include "ctl/names.def"
#define ALIAS(name, kind, target, highest, sentence)
#define OPTION(name, type, initial, lowest, highest, outside, writable, effect, sentence) \
	OPT_##writable(sentence)
#include "ctl/options.def"
#undef OPTION
#define OPTION(name, type, initial, lowest, highest, outside, writable, effect, sentence) \
	OWN_##writable(sentence)
#include "ctl/options.def"
};

static void check_rows(size_t here, unsigned there) {
	if (here != there)
		usage_error("%zu sentences for %u rows", here, there);
}

const char *option_sentence(unsigned row) {
	check_rows(COUNT_OF(option_sentences), option_count());
	return option_sentences[row];
}

const char *option_initial(unsigned row) {
	check_rows(COUNT_OF(option_initials), option_count());
	return option_initials[row];
}

const char *name_sentence(unsigned row) {
	check_rows(COUNT_OF(name_sentences), ctl_name_count());
	return name_sentences[row];
}
