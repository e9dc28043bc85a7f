/* growth.c - an arena asks before it comes to hold more, where the process watches that. */
#include "thread/event.h"
#include "page/page.h"
#include "page/inside.h"

_Atomic(bool) growth_watched; /* [atomic] */

STARTUP void page_watch_growth(bool watched) {
	store_relaxed(&growth_watched, watched);
}

RACY struct page_held page_peek_held(const struct pages *pages) {
	size_t unused = pages->pages[PAGE_DIRTY] + pages->pages[PAGE_MUZZY] + pages->leaving;
	return (struct page_held){pages->active + unused, unused};
}

RACY size_t pool_peek_unused(const struct pool *pool) {
	return pool->pages[PAGE_DIRTY] + pool->pages[PAGE_MUZZY] + pool->leaving;
}

void growth_lower(struct pages *pages) {
	size_t most = page_peek_held(pages).pages + CHUNK_PAGES;
	if (load_relaxed(&pages->allowed) > most)
		store_relaxed(&pages->allowed, most);
}

bool growth_ask(struct pages *pages, size_t more, size_t *asked) {
	*asked = 0;
	if (event_hooks.grow == NULL || page_peek_held(pages).pages + more <= load_relaxed(&pages->allowed))
		return true;
	if (!event_hooks.grow(more))
		return false;
	*asked = more;
	return true;
}

bool page_may_refill(size_t pages) {
	return likely(!load_relaxed(&growth_watched)) || event_hooks.refill == NULL ||
	       event_hooks.refill(pages);
}

void growth_end(struct pages *pages, size_t asked) {
	if (asked != 0)
		event_hooks.grown(pages, asked);
}
