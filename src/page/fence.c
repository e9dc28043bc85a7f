/* fence.c - every n-th slab or large block stands between two OS pages that nobody can touch.
 *
 * A fenced span is an ordinary one of two OS pages more: its record tells of the middle only while it is fenced, and of
 * all of it before and after. What frees, purges or joins pages so never meets a guard page.
 *
 * Only memory of the shared pool, which comes from us and not from hooks. Each guard page may split a mapping into three,
 * and the system allows so many mappings: at most an eighth of those are spent here. */
#include "os/os.h"
#include "page/page.h"
#include "page/inside.h"

#define MAPPINGS_EACH 4u /* that one fenced span may add */
#define LIMIT_PART    8u /* of the mappings that the process may have */

size_t fence_every[SPAN_KINDS];

static _Atomic(size_t) seen[SPAN_KINDS]; /* [atomic] spans asked for that might be fenced */
static _Atomic(size_t) standing;         /* [atomic] fenced spans, those being made, and stuck ones */

static bool admit(void) {
	if (add_relaxed(&standing, 1) < os.max_maps / LIMIT_PART / MAPPINGS_EACH)
		return true;
	sub_relaxed(&standing, 1);
	return false;
}

/* Pages that `count` are with their guard pages. */
static size_t wide_pages(size_t count) {
	return (round_up(count * PAGE, os.page_size) + 2 * os.page_size) / PAGE;
}

/* Narrows the record to the middle / widens it again. */
static void narrow(struct span *span, size_t count) {
	span->base += os.page_size;
	span->pages = count;
	span->fenced = true;
}

static void widen(struct span *span) {
	span->base -= os.page_size;
	span->pages = wide_pages(span->pages);
	span->fenced = false;
}

/* Closes / opens the guard pages of a wide span. False: the system refused, and one may be closed and one open. */
static bool close_guards(const struct span *span) {
	char *low = (char *)span->base, *high = low + span->pages * PAGE - os.page_size;
	return os_protect(low, os.page_size, false) == 0 && os_protect(high, os.page_size, false) == 0;
}

static bool open_guards(const struct span *span) {
	return os_protect((void *)span->base, span->pages * PAGE, true) == 0; /* what is open stays so */
}

/* -- giving back ----------------------------------------------------------------------------------------------- */

static void shelve(struct pages *pages, struct span *span) {
	lock_take(&pages->lock);
	list_append(&pages->stuck, &span->link);
	lock_drop(&pages->lock);
}

static void give_open(struct pages *pages, struct span *span) {
	pages_give_plain(pages, span);
	sub_relaxed(&standing, 1);
}

/* Gives a wide span back, whose guard pages may be closed. Where the system does not open them, nobody gets it until it
 * does, which may take long: nothing of it stays resident. */
static void give_wide(struct pages *pages, struct span *span) {
	if (open_guards(span)) {
		give_open(pages, span);
		return;
	}
	(void)os_purge((void *)(span->base + os.page_size), span->pages * PAGE - 2 * os.page_size);
	shelve(pages, span);
}

/* Tries the span again that has waited longest. */
static void retry(struct pages *pages) {
	lock_take(&pages->lock);
	struct list *first = list_first(&pages->stuck);
	if (first != NULL)
		list_remove(first);
	lock_drop(&pages->lock);
	if (first == NULL)
		return;
	struct span *span = container_of(first, struct span, link);
	if (open_guards(span))
		give_open(pages, span);
	else
		shelve(pages, span);
}

void fence_give(struct pages *pages, struct span *span) {
	retry(pages);
	widen(span);
	give_wide(pages, span);
}

/* -- taking ---------------------------------------------------------------------------------------------------- */

/* A wide span out of the shared pool. NULL: there is none. */
static struct span *take_wide(struct pages *pages, enum span_kind kind, size_t count) {
	struct span *span = pages_take_plain(pages, kind, wide_pages(count), os.page_size);
	if (span == NULL || !load_relaxed(&span->chunk->pool)->is_private)
		return span;
	pages_give_plain(pages, span); /* the arena has just been given hooks */
	return NULL;
}

struct span *fence_take(struct pages *pages, enum span_kind kind, size_t count, size_t align) {
	if (align > os.page_size || pages_source(pages)->is_private)
		return NULL;
	if ((add_relaxed(&seen[kind], 1) + 1) % fence_every[kind] != 0 || !admit())
		return NULL;
	retry(pages);
	struct span *span = take_wide(pages, kind, count);
	if (span == NULL) {
		sub_relaxed(&standing, 1);
		return NULL;
	}
	if (!close_guards(span)) {
		give_wide(pages, span);
		return NULL;
	}
	narrow(span, count);
	return span;
}
