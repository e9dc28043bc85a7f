/* zero.c - blocks that are to read as zero.
 *
 *   block    | window of 16 MiB | window | window | rest |
 *   each:      most of it resident, and something in it  -> cleared
 *              else                                      -> given back: what is touched comes anew
 *
 * Clearing a resident page costs a tenth, or less, of giving it back and faulting it in again, so a program that uses what
 * it gets from calloc wants it cleared. One that does not would have it cleared each time for nothing: but then little of
 * the block is resident, or what is has not been written since it was cleared last. */
#include <string.h>
#include "os/os.h"
#include "page/page.h"

#define WINDOW (16 * MIB)

/* Pages of a window that are looked through for something else than zero. */
#define SAMPLES 16

static bool reads_zero(const char *page) {
	const uint64_t *word = (const void *)page;
	uint64_t sum = 0;
	for (size_t i = 0; i < PAGE / sizeof *word; i++)
		sum |= word[i];
	return sum == 0;
}

/* Is it cheaper to clear [start, start + size), whole pages of at most a window, than to give it back? */
static bool is_worth_clearing(const char *start, size_t size) {
	if (os_count_resident(start, size) < size - size / 8)
		return false;
	size_t step = round_down(size / SAMPLES, PAGE);
	for (size_t i = 0; i < SAMPLES; i++)
		if (!reads_zero(start + i * step))
			return true;
	return false;
}

static void give_back(char *start, size_t size) {
	if (size > 0 && os_purge(start, size) != 0)
		memset(start, 0, size);
}

/* Whole system pages, window by window; neighbours that go back go together. */
static void zero_windows(char *start, char *end) {
	char *kept = start; /* from here on it is to be given back */
	for (char *at = start; at < end;) {
		size_t size = size_min((size_t)(end - at), WINDOW);
		if (is_worth_clearing(at, size)) {
			give_back(kept, (size_t)(at - kept));
			memset(at, 0, size);
			kept = at + size;
		}
		at += size;
	}
	give_back(kept, (size_t)(end - kept));
}

/* Whether the block was used at all is asked of one page, as looking through the windows costs more than giving back what
 * is not there. */
static void zero_pages(char *start, char *end) {
	size_t size = (size_t)(end - start);
	if (os_count_resident(start + round_down(size / 3, os.page_size), os.page_size) != 0)
		zero_windows(start, end);
	else
		give_back(start, size);
}

void page_zero(struct span *span, size_t bytes, size_t drop_threshold) {
	if (span->zeroed)
		return;
	char *start = (char *)span->base, *end = start + bytes;
	char *first = (char *)round_up((uintptr_t)start, os.page_size);
	char *last = (char *)round_down((uintptr_t)end, os.page_size);
	if (bytes < drop_threshold || first >= last || load_relaxed(&span->chunk->pool)->is_private) {
		memset(start, 0, bytes);
		return;
	}
	memset(start, 0, (size_t)(first - start));
	zero_pages(first, last);
	memset(last, 0, (size_t)(end - last));
}
