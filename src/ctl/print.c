/* print.c - the buffer, columns, and the letters. */
#include "ctl/print.h"
#include "ctl/snapshot.h"
#include "api/api.h"
#include "guard/guard.h"
#include "os/os.h"
#include "prof/prof.h"
#include "thread/thread.h"

#include <errno.h>
#include <string.h>

#define BUFFER_SIZE (64 * KIB)
#define SMALL_SIZE  1024 /* when there is no memory for it */
#define STDERR      2

/* -- text ------------------------------------------------------------------------------------------------ */

static void write_stderr(void *opaque, const char *text) {
	UNUSED(opaque);
	os_write(STDERR, text, strlen(text));
}

typedef void print_writer(void *opaque, const char *text);

static print_writer *writer(print_writer *wanted) {
	if (wanted != NULL)
		return wanted;
	return malloc_message != NULL ? malloc_message : write_stderr;
}

static void flush(struct print *print) {
	if (print->text.used > 0)
		print->write(print->opaque, print->text.data);
	print->text = text_over(print->text.data, print->text.size);
}

/* What does not fit any more is taken back, and comes first in the next piece. */
void print_add(struct print *print, const char *format, ...) {
	struct text *text = &print->text;
	size_t used = text->used;
	va_list args;
	va_start(args, format);
	text_add_list(text, format, args);
	va_end(args);
	if (!text->cut || used == 0)
		return;
	text->data[used] = 0;
	text->used = used;
	flush(print);
	va_start(args, format);
	text_add_list(text, format, args);
	va_end(args);
}

/* -- figures --------------------------------------------------------------------------------------------- */

static void find_places(struct column *column) {
	const char *at = ctl_name_at((unsigned)column->mib[column->length - 1])->name;
	unsigned found = 0;
	column->of_arena = strncmp(at, "stats.arenas.", strlen("stats.arenas.")) == 0;
	for (unsigned depth = 0; depth < column->length && found < COUNT_OF(column->place); depth++) {
		if (*at == '<')
			column->place[found++] = depth;
		at = strchr(at, '.');
		if (at == NULL)
			return;
		at++;
	}
}

struct column column_open(const char *prefix, const char *name) {
	char buffer[PRINT_NAME];
	struct text whole = text_over(buffer, sizeof buffer);
	struct column column = {.length = CTL_DEPTH, .place = {CTL_DEPTH, CTL_DEPTH}};
	text_add(&whole, "%s%s", prefix, name);
	if (ctl_name_to_mib(buffer, column.mib, &column.length) != 0 ||
	    column.mib[column.length - 1] >= ctl_name_count()) {
		column.length = 0;
		return column;
	}
	column.type = ctl_name_at((unsigned)column.mib[column.length - 1])->type;
	find_places(&column);
	return column;
}

bool column_read(const struct column *column, const size_t at[2], union ctl_value *value) {
	if (column->length == 0)
		return false;
	size_t mib[CTL_DEPTH];
	memcpy(mib, column->mib, sizeof mib);
	if (column->place[0] != CTL_DEPTH)
		mib[column->place[0]] = column->of_arena ? at[0] : at[1];
	if (column->place[1] != CTL_DEPTH)
		mib[column->place[1]] = at[1];
	size_t size = ctl_type_size(column->type);
	memset(value, 0, sizeof *value);
	return ctl_by_mib(mib, column->length, &(struct ctl_call){.old = value, .old_size = &size}) == 0;
}

static bool is_half(enum ctl_type type) {
	return type == CTL_UNSIGNED || type == CTL_UINT32;
}

uint64_t column_number(const struct column *column, const size_t at[2]) {
	union ctl_value value;
	if (!column_read(column, at, &value))
		return 0;
	return is_half(column->type) ? value.as_uint32 : value.as_uint64;
}

uint64_t print_number(const char *name) {
	struct column column = column_open(name, "");
	return column_number(&column, (const size_t[2]){0});
}

void print_value(struct print *print, enum ctl_type type, const union ctl_value *value) {
	switch (type) {
	case CTL_BOOL:
		print_add(print, "%s", value->as_bool ? "true" : "false");
		break;
	case CTL_TEXT:
		print_add(print, "\"%s\"", value->as_text == NULL ? "" : value->as_text);
		break;
	case CTL_UNSIGNED:
	case CTL_UINT32:
		print_add(print, "%u", value->as_uint32);
		break;
	case CTL_INT64:
	case CTL_SSIZE:
		print_add(print, "%ld", (long)value->as_ssize);
		break;
	default:
		print_add(print, "%lu", (unsigned long)value->as_uint64);
	}
}

bool next_word(const char **list, struct word *word) {
	const char *at = *list;
	struct text key = text_over(word->key, sizeof word->key),
		    name = text_over(word->name, sizeof word->name);
	if (*at == 0)
		return false;
	size_t length = strcspn(at, " "), key_length = strcspn(at, " =");
	size_t skip = key_length < length ? key_length + 1 : 0;
	text_add(&key, "%.*s", (int)key_length, at);
	text_add(&name, "%.*s", (int)(length - skip), at + skip);
	*list = at + length + strspn(at + length, " ");
	return true;
}

void print_ratio(uint32_t value, char buffer[24]) {
	struct text text = text_over(buffer, 24);
	if (value == UINT32_MAX) {
		text_add(&text, "-1");
		return;
	}
	text_add(&text, "%u", value >> 16);
	uint64_t rest = value & 0xffff;
	if (rest != 0)
		text_add(&text, ".");
	for (int digits = 0; rest != 0 && digits < 4; digits++) {
		text_add(&text, "%u", (unsigned)(rest * 10 >> 16));
		rest = rest * 10 & 0xffff;
	}
}

const char *print_thp_mode(void) {
	static const char *const modes[] = {
		[OS_THP_UNKNOWN] = "not supported",
		[OS_THP_NEVER] = "never",
		[OS_THP_MADVISE] = "madvise",
		[OS_THP_ALWAYS] = "always",
	};
	return modes[os.thp];
}

uint64_t print_rate(uint64_t count, uint64_t uptime_ns) {
	uint64_t seconds = uptime_ns / 1000000000;
	if (uptime_ns == 0 || count == 0)
		return 0;
	return seconds == 0 ? count : count / seconds;
}

/* -- which arenas ---------------------------------------------------------------------------------------- */

/* One arena alone needs no sum when it is shown itself. */
static bool shows_merged(const struct print *print) {
	return print->parts.merged && (!print->parts.arenas || snapshot_arenas() > 1);
}

static bool shows_destroyed(const struct print *print) {
	return print->parts.destroyed && snapshot_has(CTL_DESTROYED_ARENAS);
}

bool print_any_arena(const struct print *print) {
	return print->parts.merged || print->parts.destroyed || print->parts.arenas;
}

void print_each_arena(struct print *print, void (*each)(struct print *, size_t)) {
	if (shows_merged(print))
		each(print, CTL_ALL_ARENAS);
	if (shows_destroyed(print))
		each(print, CTL_DESTROYED_ARENAS);
	for (size_t i = 0; print->parts.arenas && i < arena_count(); i++)
		if (snapshot_has(i))
			each(print, i);
}

/* -- the call -------------------------------------------------------------------------------------------- */

static struct print_parts parts_of(const char *letters) {
	struct print_parts parts = {.general = true,
	                            .merged = true,
	                            .destroyed = true,
	                            .arenas = true,
	                            .bins = true,
	                            .large = true,
	                            .mutexes = true,
	                            .extents = true,
	                            .hpa = true};
	for (; letters != NULL && *letters != 0; letters++) {
		parts.json |= *letters == 'J';
		parts.metrics |= *letters == 'O';
		parts.general &= *letters != 'g';
		parts.merged &= *letters != 'm';
		parts.destroyed &= *letters != 'd';
		parts.arenas &= *letters != 'a';
		parts.bins &= *letters != 'b';
		parts.large &= *letters != 'l';
		parts.mutexes &= *letters != 'x';
		parts.extents &= *letters != 'e';
		parts.hpa &= *letters != 'h';
	}
	return parts;
}

/* False: there is nothing to print. */
static bool refresh(void) {
	int error = snapshot_refresh();
	if (error == EAGAIN)
		guard_message("<ashlar>: Memory allocation failure in mallctl(\"epoch\", ...)\n");
	else if (error != 0) {
		guard_message("<ashlar>: Failure in mallctl(\"epoch\", ...)\n");
		os_abort();
	}
	return error == 0;
}

void ctl_print(void (*write)(void *, const char *), void *opaque, const char *letters) {
	char small[SMALL_SIZE];
	void *memory = NULL;
	if (!refresh())
		return;
	size_t size = round_up(BUFFER_SIZE, os.page_size);
	bool mapped = os_map(NULL, size, &memory) == 0;
	struct print print = {
		.write = writer(write),
		.opaque = opaque,
		.parts = parts_of(letters),
		.text = mapped ? text_over(memory, BUFFER_SIZE) : text_over(small, sizeof small),
	};
	if (print.parts.json)
		print_json(&print);
	else if (print.parts.metrics)
		print_metrics(&print);
	else
		print_text(&print);
	flush(&print);
	if (mapped)
		(void)os_unmap(memory, size);
}

void ctl_print_summary(void (*write)(void *, const char *), void *opaque) {
	char buffer[SMALL_SIZE];
	struct print print = {
		.write = writer(write),
		.opaque = opaque,
		.text = text_over(buffer, sizeof buffer),
	};
	print_summary(&print);
	flush(&print);
}

bool print_has_requests(size_t arena) {
	return ctl_all_arenas(arena) && opt.prof_stats && prof_known();
}

void print_read_requests(bool small, size_t row, uint64_t figures[REQUEST_FIGURES]) {
	for (unsigned i = 0; i < REQUEST_FIGURES; i += 2) {
		struct prof_requests requests = small ? prof_requests_small((unsigned)row + 1, i == 0)
		                                      : prof_requests_large((unsigned)row, i == 0);
		figures[i] = requests.bytes;
		figures[i + 1] = requests.count;
	}
}

STARTUP void ctl_print_at_exit(void *unused) {
	(void)unused;
	if (!opt_now(stats_print))
		return;
	struct cache *cache = thread_enter();
	if (cache != NULL)
		cache_flush(cache, false);
	ctl_print(NULL, NULL, opt.stats_print_opts.text);
}

void ctl_print_interval(void) {
	ctl_print(NULL, NULL, opt.stats_interval_opts.text);
}

void ctl_arena_name(size_t index, char *name) {
	struct arena *arena = arena_at((unsigned)index);
	name[0] = 0;
	if (arena != NULL)
		arena_read_name(arena, name);
}
