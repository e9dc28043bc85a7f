/* large.c - blocks that are their own run of pages. */
#include "arena/arena.h"

/* The class under which a thread cache may take a block of `pages` pages; CLASS_NONE: none. */
static unsigned class_of_pages(size_t pages) {
	size_t bytes = pages * PAGE;
	return pages <= CACHED_MAX / PAGE && bytes >= LARGE_MIN ? size_class(bytes) : CLASS_NONE;
}

static void count_taken(struct arena *arena, unsigned class, size_t pages) {
	add_relaxed(&arena->large[size_large_class(pages * PAGE)].taken, 1);
	if (class == CLASS_NONE)
		add_relaxed(&arena->huge_bytes, pages * PAGE);
}

static void count_given(struct arena *arena, unsigned class, size_t pages) {
	add_relaxed(&arena->large[size_large_class(pages * PAGE)].given, 1);
	if (class == CLASS_NONE)
		sub_relaxed(&arena->huge_bytes, pages * PAGE);
}

/* A manual arena knows its large blocks: they may have to be freed without anybody naming them. */
static void enlist(struct arena *arena, struct span *span, bool enter) {
	if (likely(!arena->manual))
		return;
	lock_take(&arena->larges_lock);
	if (enter)
		list_push(&arena->larges, &span->link);
	else
		list_remove(&span->link);
	lock_drop(&arena->larges_lock);
}

struct span *arena_take_large(struct arena *arena, size_t size, size_t align) {
	size_t pages = size_large_pages(size);
	struct span *span = page_take(&arena->pages, SPAN_LARGE, pages, size_max(align, PAGE));
	if (span == NULL)
		return NULL;
	span->arena = arena;
	span->class = class_of_pages(pages);
	count_taken(arena, span->class, pages);
	map_enter(span);
	enlist(arena, span, true);
	return span;
}

void arena_give_large(struct span *span) {
	struct arena *arena = span->arena;
	enlist(arena, span, false);
	count_given(arena, span->class, span->pages);
	map_remove(span);
	page_give(&arena->pages, span);
}

bool arena_resize_large(struct span *span, size_t size) {
	struct arena *arena = span->arena;
	size_t pages = size_large_pages(size), before = span->pages;
	if (pages == before)
		return true;
	if (!page_resize(&arena->pages, span, pages))
		return false;
	count_given(arena, span->class, before);
	span->class = class_of_pages(pages);
	span->zeroed = false;
	map_enter(span); /* the first page, whatever the size: overwrites what was there */
	count_taken(arena, span->class, pages);
	return true;
}
