/* inside.h - what the files of an arena's pages share; nobody else includes it. Functions marked REQUIRES are called with
 * the pages lock held; all others take it themselves where they need it. */
#ifndef ASHLAR_PAGE_INSIDE_H
#define ASHLAR_PAGE_INSIDE_H

#include "page/pages.h"

static inline unsigned page_in_chunk(const struct chunk *chunk, uintptr_t addr) {
	return (unsigned)((addr - chunk->base) >> PAGE_SHIFT);
}

/* Puts the chunk into the lists its counts ask for / takes it out of all. */
void pages_list(struct pages *pages, struct chunk *chunk) REQUIRES(pages->lock);
void pages_unlist(struct pages *pages, struct chunk *chunk) REQUIRES(pages->lock);
/* Adds a chunk's counts to the arena's sums, or takes them out: around every change of a chunk. */
void pages_note(struct pages *pages, const struct chunk *chunk, bool enter) REQUIRES(pages->lock);
/* Makes a chunk from the pool one of this arena's. */
void pages_adopt(struct pages *pages, struct chunk *chunk) REQUIRES(pages->lock);
/* Re-lists a chunk after a change. Returns it when it is wholly free and not wanted: already out of the arena, the caller
 * gives it to the pool after dropping the lock. */
struct chunk *pages_settle(struct pages *pages, struct chunk *chunk) REQUIRES(pages->lock);
/* The spare chunk, which there is, leaves the arena as pages_settle has it. */
void pages_drop_spare(struct pages *pages) REQUIRES(pages->lock);
struct chunk *pages_give_run(struct pages *pages, struct chunk *chunk, unsigned first, unsigned count,
                             enum page_state state) REQUIRES(pages->lock);

/* The pool that new chunks come from. */
struct pool *pages_source(const struct pages *pages);

/* Notes a decay time that is being set. */
void page_note_decay(enum page_state state, int64_t ms);

/* A span record, empty; NULL: no memory. / Back to the arena's idle ones. */
struct span *pages_new_span(struct pages *pages, enum span_kind kind) REQUIRES(pages->lock);
void pages_old_span(struct pages *pages, struct span *span) REQUIRES(pages->lock);

/* As page_take and page_give, without guard pages. */
struct span *pages_take_plain(struct pages *pages, enum span_kind kind, size_t count, size_t align);
void pages_give_plain(struct pages *pages, struct span *span);

/* growth.c. False: the arena may not come to hold `more` pages more. After the attempt *asked goes to growth_end. */
extern HIDDEN _Atomic(bool) growth_watched;
bool growth_ask(struct pages *pages, size_t more, size_t *asked);
void growth_end(struct pages *pages, size_t asked);
/* The arena holds less now: what it may hold unasked falls along, to a chunk more. */
void growth_lower(struct pages *pages) REQUIRES(pages->lock);
static inline void growth_note_less(struct pages *pages) REQUIRES(pages->lock) {
	if (unlikely(load_relaxed(&growth_watched)))
		growth_lower(pages);
}
/* thp.c: huge pages. REQUIRES the purge lock, too.
 *
 * Before some pages of a chunk are purged and others stay: keeps the system from making a huge page of it, which would
 * bring the purged ones back. */
void thp_before_purge(struct chunk *chunk);
/* Looks at some chunks that are full or nearly: huge pages are allowed there again, or asked for. */
void thp_tend(struct pages *pages, uint64_t now) REQUIRES(pages->lock);

/* fence.c: guard pages.
 *
 *   taken:  | guard | base ... pages | rest of the last OS page | guard |       guard: one OS page
 *
 * Every n-th span of a kind gets them, by fence_every; 0: none does                            [const after start] */
extern HIDDEN size_t fence_every[SPAN_KINDS];
/* As page_take, when it is this span's turn, and guard pages are possible; NULL: it is to be an ordinary one. */
struct span *fence_take(struct pages *pages, enum span_kind kind, size_t count, size_t align);
/* As page_give, of a fenced span. */
void fence_give(struct pages *pages, struct span *span);

/* A huge block begins a chunk and fills every chunk but the last; when the last is not filled, it is a shared chunk of
 * the arena, so that its tail serves small requests.
 *
 *   | CHUNK_WHOLE | CHUNK_WHOLE | CHUNK_SHARED: block | free, other spans |           */
static inline bool huge_is(const struct span *span) {
	return span->pages >= CHUNK_PAGES;
}
struct span *huge_take(struct pages *pages, enum span_kind kind, size_t count, size_t align);
void huge_give(struct pages *pages, struct span *span);
bool huge_resize(struct pages *pages, struct span *span, size_t count);

#endif
