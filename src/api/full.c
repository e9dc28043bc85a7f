/* full.c - the full lane. */
#include <errno.h>
#include <string.h>
#include "os/os.h"
#include "thread/event.h"
#include "ctl/ctl.h"
#include "guard/guard.h"
#include "api/fast.h"

void *full_fail(int error, const char *what) {
	if (opt.xmalloc) {
		guard_message("<ashlar>: Error %s\n", what);
		os_abort();
	}
	errno = error;
	return NULL;
}

/* The thread's cache, or NULL; counts the visit. */
static struct cache *enter(void) {
	struct cache *cache = thread_enter();
	if (cache != NULL)
		cache->visits++;
	return cache;
}

static struct arena *arena_of(const struct cache *cache) {
	return cache != NULL ? cache->arena : arena_at(0);
}

/* A block of a cached class; threads without a cache get it from the first arena. */
static void *take_cached(struct cache *cache, unsigned class) {
	void *block = NULL;
	if (cache != NULL)
		return cache_take(cache, class);
	struct arena *arena = arena_at(0);
	if (arena != NULL)
		(void)arena_fill(arena, class, &block, 1);
	return block;
}

static struct span *take_large(struct cache *cache, size_t size, size_t align) {
	struct arena *arena = arena_of(cache);
	if (arena == NULL || size > SIZE_LIMIT || align > SIZE_LIMIT)
		return NULL;
	return arena_take_large(arena, size, align);
}

/* As malloc, but without a word about failure. */
static void *take(size_t size, size_t align) {
	struct cache *cache = enter();
	void *block;
	if (align <= PAGE && size <= CACHED_MAX) {
		block = take_cached(cache, size_class(size));
	} else {
		struct span *span = take_large(cache, size, align);
		block = span == NULL ? NULL : (void *)span->base;
	}
	thread_tick_malloc(cache, size);
	return block;
}

void *full_malloc_as(size_t size, const char *what) {
	void *block = take(size, 1);
	return likely(block != NULL) ? block : full_fail(ENOMEM, what);
}

NOINLINE void *full_malloc(size_t size) {
	return full_malloc_as(size, "in malloc(): out of memory");
}

void *full_aligned(size_t size, size_t align) {
	size_t usable = size_usable_aligned(size, align);
	bool in_slab = usable != 0 && usable <= SMALL_MAX;
	void *block = NULL;
	if ((!in_slab || !lane_take(usable, &block)) && usable != 0)
		block = take(usable, in_slab ? 1 : align);
	return likely(block != NULL) ? block : full_fail(ENOMEM, "allocating aligned memory: out of memory");
}

void *full_calloc(size_t count, size_t size) {
	size_t total;
	if (__builtin_mul_overflow(count, size, &total))
		return full_fail(ENOMEM, "in calloc(): out of memory");
	if (total < LARGE_MIN) {
		void *block = take(total, 1);
		return block == NULL ? full_fail(ENOMEM, "in calloc(): out of memory")
		                     : memset(block, 0, total);
	}
	void *cached; /* was in use before: to be cleared, as dirty pages would be */
	if (total <= CACHED_MAX && lane_take(total, &cached))
		return memset(cached, 0, total);
	struct cache *cache = enter();
	struct span *span = take_large(cache, total, PAGE);
	if (span != NULL)
		page_zero(span, span->pages * PAGE, opt.calloc_madvise_threshold);
	thread_tick_malloc(cache, total);
	return span == NULL ? full_fail(ENOMEM, "in calloc(): out of memory") : (void *)span->base;
}

/* -- freeing --------------------------------------------------------------------------------------------------- */

/* Why a pointer is no block: the pages around it tell. */
static _Noreturn void report(const char *call, const void *ptr) {
	const struct chunk *chunk = map_chunk((uintptr_t)ptr);
	enum misuse what = MISUSE_INVALID;
	if (chunk != NULL) {
		unsigned page = (unsigned)(((uintptr_t)ptr & (CHUNK - 1)) >> PAGE_SHIFT);
		bool unused = load_relaxed(&chunk->state) == CHUNK_POOLED || bitmap_get(chunk->free, page);
		what = unused ? MISUSE_DOUBLE : MISUSE_INTERIOR;
	}
	event_misuse(what, call, ptr);
}

/* The large block that begins at ptr; reports when there is none. */
static struct span *large_at(const char *call, const void *ptr) {
	struct span *span = map_span(ptr);
	if (unlikely(span == NULL || span->base != (uintptr_t)ptr || span->kind != SPAN_LARGE))
		report(call, ptr);
	return span;
}

static void give_cached(struct cache *cache, unsigned class, void *ptr) {
	if (class > CLASS_SMALL_LAST && ((uintptr_t)ptr & (PAGE - 1)) != 0)
		report("free", ptr);
	if (cache == NULL) {
		arena_flush(class, &ptr, 1);
		return;
	}
	if (unlikely(cache_holds(cache, class, ptr)))
		event_misuse(MISUSE_DOUBLE, "free", ptr);
	cache_give(cache, class, ptr);
}

NOINLINE void full_free(void *ptr) {
	if (ptr == NULL)
		return;
	int saved = errno;
	struct cache *cache = enter();
	unsigned class = map_class(ptr);
	size_t size = class_info[class].bytes;
	if (class != CLASS_NONE) {
		give_cached(cache, class, ptr);
	} else {
		struct span *span = large_at("free", ptr);
		size = span->pages * PAGE;
		arena_give_large(span);
	}
	thread_tick_free(cache, size);
	errno = saved;
}

size_t full_usable(const void *ptr) {
	unsigned class = map_class(ptr);
	if (class != CLASS_NONE)
		return class_info[class].bytes;
	const struct span *span = map_span(ptr);
	return span == NULL || span->base != (uintptr_t)ptr ? 0 : span->pages * PAGE;
}

/* -- realloc --------------------------------------------------------------------------------------------------- */

/* Resizing in place: within a size class, or by taking or leaving pages. */
static bool resize_in_place(void *ptr, size_t size) {
	unsigned class = map_class(ptr);
	if (class != CLASS_NONE && size <= CACHED_MAX && size_class(size) == class)
		return true;
	if (size <= SMALL_MAX || (class != CLASS_NONE && class <= CLASS_SMALL_LAST))
		return false;
	return arena_resize_large(map_span(ptr), size);
}

/* A huge block moves with its page tables, if the kernel does that, into memory that is not resident yet. Into resident
 * memory copying is cheaper: moving would give those pages back, and leave none behind for the next block. */
static bool move_pages(void *to, void *from, size_t bytes) {
	struct span *new_span = map_span(to), *old_span = map_span(from);
	return new_span->kind == SPAN_LARGE && new_span->zeroed && page_move(new_span, old_span, bytes);
}

void *full_realloc(void *ptr, size_t size) {
	size_t old = full_usable(ptr);
	if (unlikely(old == 0 || (old >= LARGE_MIN && ((uintptr_t)ptr & (PAGE - 1)) != 0)))
		report("realloc", ptr);
	if (size > SIZE_LIMIT)
		return full_fail(ENOMEM, "in rallocx(): out of memory");
	if (resize_in_place(ptr, size))
		return ptr;
	void *block;
	if (!lane_take(size, &block))
		block = take(size, 1);
	if (unlikely(block == NULL))
		return full_fail(ENOMEM, "in rallocx(): out of memory");
	size_t bytes = size_min(old, size);
	if (bytes < CHUNK || !move_pages(block, ptr, bytes))
		memcpy(block, ptr, bytes);
	lane_free(ptr);
	return block;
}
