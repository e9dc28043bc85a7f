/* own.c - what an arena may have for itself: hooks, a preference for the break, a limit of growth, and an end. */
#include "page/page.h"
#include "page/inside.h"

static struct pool *own_pool(const struct pages *pages) {
	struct pool *pool = load_acquire(&pages->pool);
	return pool->is_private ? pool : NULL;
}

extent_hooks_t *page_hooks(struct pages *pages) {
	const struct pool *pool = own_pool(pages);
	return pool == NULL ? &page_default_hooks : load_acquire(&pool->hooks);
}

/* The arena leaves the shared pool. What it has of that returns there in time: chunks know their pool. */
static struct pool *leave_shared(struct pages *pages) {
	struct pool *fresh = pool_make(&(struct pool_source){
		.arena = pages->index,
		.dss = page_dss(pages),
	});
	if (fresh == NULL)
		return NULL;
	pool_set_decay(fresh, load_relaxed(&pages->decay[PAGE_DIRTY].ms), 0);
	lock_take(&pages->lock);
	struct pool *pool = own_pool(pages); /* somebody may have done the same */
	if (pool == NULL)
		store_release(&pages->pool, fresh);
	lock_drop(&pages->lock);
	if (pool == NULL)
		return fresh;
	pool_end(fresh, NULL);
	return pool;
}

bool page_set_hooks(struct pages *pages, extent_hooks_t *hooks, extent_hooks_t **before) {
	struct pool *pool = own_pool(pages);
	if (before != NULL)
		*before = &page_default_hooks;
	if (pool == NULL && hooks == &page_default_hooks)
		return true;
	if (pool == NULL)
		pool = leave_shared(pages);
	if (pool == NULL)
		return false;
	extent_hooks_t *old = pool_set_hooks(pool, hooks);
	if (before != NULL)
		*before = old;
	return true;
}

enum page_dss page_dss(const struct pages *pages) {
	return (enum page_dss)load_relaxed(&pages->dss);
}

void page_set_dss(struct pages *pages, enum page_dss dss) {
	struct pool *pool = load_acquire(&pages->pool);
	store_relaxed(&pages->dss, (uint8_t)dss);
	if (pool->is_private || pages->index == 0)
		store_relaxed(&pool->dss, (uint8_t)dss);
}

size_t page_grow_limit(const struct pages *pages) {
	return load_relaxed(&pages->grow_limit);
}

bool page_set_grow_limit(struct pages *pages, size_t bytes) {
	if (bytes < PAGE)
		return false;
	size_t limit = page_class_pages(page_class_of(bytes / PAGE)) * PAGE;
	struct pool *pool = load_acquire(&pages->pool);
	store_relaxed(&pages->grow_limit, limit);
	if (pool->is_private || pages->index == 0)
		store_relaxed(&pool->grow_limit, limit);
	return true;
}

/* Moves every chunk of the arena to `out`. They are wholly free. */
static void collect(struct pages *pages, struct list *out) REQUIRES(pages->lock) {
	for (unsigned level = 0; level < PAGES_LEVELS; level++) {
		for (unsigned b = 0; b < PAGES_BUCKETS; b++) {
			struct list *node;
			while ((node = list_first(&pages->bucket[level][b])) != NULL) {
				struct chunk *chunk = container_of(node, struct chunk, link);
				must(chunk->nfree == size_min(chunk->pages, CHUNK_PAGES), chunk);
				pages_unlist(pages, chunk);
				pages_note(pages, chunk, false);
				pages->owned -= chunk->pages;
				list_append(out, &chunk->link);
			}
		}
	}
	pages->spare = NULL;
}

static void give_idle_spans(struct pages *pages) REQUIRES(pages->lock) {
	static const enum base_kind kinds[] = {BASE_SLAB, BASE_SPAN};
	for (unsigned i = 0; i < COUNT_OF(kinds); i++)
		list_each_safe (&pages->idle_spans[i], node) {
			list_remove(node);
			base_give(kinds[i], container_of(node, struct span, link));
		}
}

bool page_destroy(struct pages *pages, struct pool *heir) {
	struct pool *pool = own_pool(pages);
	struct list chunks;
	if (pool == NULL)
		return false;
	list_init(&chunks);
	lock_take(&pages->lock);
	bool empty = pages->active == 0;
	if (empty) {
		collect(pages, &chunks);
		give_idle_spans(pages);
	}
	lock_drop(&pages->lock);
	if (!empty)
		return false;
	list_each_safe (&chunks, node) {
		struct chunk *chunk = container_of(node, struct chunk, link);
		struct pool *home = load_relaxed(&chunk->pool);
		list_remove(node);
		if (chunk_is_odd(chunk))
			pool_end_odd(home, chunk);
		else
			pool_give(home, chunk, 1);
	}
	pages->abandoned = pool_end(pool, heir);
	return true;
}
