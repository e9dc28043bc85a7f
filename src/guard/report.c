/* report.c - one line about what a program did wrong, then abort.
 *
 * The line says what is known about the address: nothing here trusts the pointer, only the page map, which
 * answers for any address. Locks may be held by the caller, so records are read without: they are of the very
 * block in question. */
#include "guard/guard.h"
#include "api/api.h"
#include "arena/arena.h"
#include "ctl/ctl.h"
#include "os/os.h"
#include "thread/event.h"

#define MESSAGE_SIZE 4608 /* a path of an option source and some words */
#define STDERR       2

void guard_write(const char *text) {
	size_t length = 0;
	if (malloc_message != NULL) {
		malloc_message(NULL, text);
		return;
	}
	while (text[length] != 0)
		length++;
	os_write(STDERR, text, length);
}

static void compose(char buffer[MESSAGE_SIZE], const char *format, va_list args) {
	struct text text = text_over(buffer, MESSAGE_SIZE);
	text_add_list(&text, format, args);
	if (text.cut)
		buffer[text.used - 1] = '\n';
}

void guard_message(const char *format, ...) {
	char buffer[MESSAGE_SIZE];
	va_list args;
	va_start(args, format);
	compose(buffer, format, args);
	va_end(args);
	guard_write(buffer);
}

void guard_warn(const char *format, ...) {
	char buffer[MESSAGE_SIZE];
	va_list args;
	va_start(args, format);
	compose(buffer, format, args);
	va_end(args);
	guard_write(buffer);
	if (opt_now(abort))
		os_abort();
}

static _Atomic(uintptr_t) receiver; /* [atomic] guard_receiver *, or 0 */

void guard_set_receiver(guard_receiver *wanted) {
	store_relaxed(&receiver, (uintptr_t)wanted);
}

/* Returns only when the text was received. */
static void fail(const char *text) {
	guard_receiver *function = (guard_receiver *)load_relaxed(&receiver);
	if (function != NULL) {
		function(text);
		return;
	}
	guard_write(text);
	os_abort();
}

void guard_fail(const char *format, ...) {
	char buffer[MESSAGE_SIZE];
	va_list args;
	va_start(args, format);
	compose(buffer, format, args);
	va_end(args);
	fail(buffer);
}

/* -- where is this address? ------------------------------------------------------------------------------ */

static void describe_slab(struct text *text, const struct span *span, uintptr_t at) {
	unsigned bytes = class_info[span->class].bytes;
	size_t offset = at - span->base, index = offset / bytes, inside = offset % bytes;
	uintptr_t block = span->base + index * bytes;
	text_add(text, "size class %u, arena %u", bytes, span->arena->index);
	if (index >= class_info[span->class].regions)
		text_add(text, ", in the unused end of slab %p", (void *)span->base);
	else if (inside != 0)
		text_add(text, ", %zu bytes into the block at %p", inside, (void *)block);
	else if (bitmap_get(span->open, (unsigned)index))
		text_add(text, ", the block is back in slab %p", (void *)span->base);
	else
		text_add(text, ", the block is in a thread cache or was handed out again");
}

static void describe_large(struct text *text, const struct span *span, uintptr_t at) {
	size_t offset = at - span->base;
	text_add(text, "block of %zu bytes, arena %u", span->pages * PAGE, span->arena->index);
	if (offset != 0)
		text_add(text, ", %zu bytes into the block at %p", offset, (void *)span->base);
	else
		text_add(text, ", the block is in a thread cache or was handed out again");
}

/* The span whose pages hold the address: that of a large block is entered at its first page only. */
static const struct span *find_span(uintptr_t at) {
	const struct span *span = map_span((void *)at);
	uintptr_t page = round_down(at, PAGE), low = round_down(at, CHUNK);
	while (span == NULL && page > low) {
		page -= PAGE;
		span = map_span((void *)page);
	}
	return span != NULL && at - span->base < span->pages * PAGE ? span : NULL;
}

static void describe_pages(struct text *text, uintptr_t at) {
	const struct chunk *chunk = map_chunk(at);
	if (chunk == NULL)
		text_add(text, "not memory of this allocator");
	else if (load_relaxed(&chunk->state) == CHUNK_WHOLE)
		text_add(text, "in the middle of a block of %zu KiB or more", CHUNK / KIB);
	else
		text_add(text, "in a free page of this allocator: no block lives there now");
}

static void describe(struct text *text, const void *pointer) {
	uintptr_t at = (uintptr_t)pointer;
	const struct span *span = find_span(at);
	if (span != NULL && span->kind == SPAN_SLAB)
		describe_slab(text, span, at);
	else if (span != NULL && span->kind == SPAN_LARGE)
		describe_large(text, span, at);
	else
		describe_pages(text, at);
}

/* -- reports --------------------------------------------------------------------------------------------- */

static void report_misuse(enum misuse what, const char *call, const void *pointer) {
	static const char *const names[] = {
		[MISUSE_INVALID] = "invalid pointer",
		[MISUSE_INTERIOR] = "interior pointer",
		[MISUSE_DOUBLE] = "double free",
	};
	char buffer[512];
	struct text text = text_over(buffer, sizeof buffer);
	text_add(&text, "<ashlar>: %s(%p): %s: ", call, pointer, names[what]);
	describe(&text, pointer);
	text_add(&text, "\n");
	fail(buffer);
}

static void report_check(const char *function, const char *condition, const void *pointer) {
	guard_message("<ashlar>: %s(%p): corrupted or misused heap: check failed: %s\n", function, pointer,
	              condition);
	os_abort();
}

STARTUP void guard_start(void) {
	event_hooks.misuse = report_misuse;
	check_report = report_check;
}
