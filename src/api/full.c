/* full.c - the full lane. */
#include <errno.h>
#include <string.h>
#include "os/os.h"
#include "thread/event.h"
#include "ctl/ctl.h"
#include "guard/guard.h"
#include "prof/prof.h"
#include "api/fast.h"

void *full_fail(int error, const char *what) {
	if (opt_now(xmalloc)) {
		guard_message("<ashlar>: Error %s\n", what);
		os_abort();
	}
	errno = error;
	return NULL;
}

struct source full_source(void) {
	struct cache *self = thread_enter();
	return (struct source){self, self, self != NULL ? self->arena : arena_at(0), false, 0};
}

/* -- fill: the options junk and zero keep the fast lane closed ------------------------------------------------- */

#define JUNK_FRESH 0xA5
#define JUNK_FREED 0x5A

bool full_fills(void) {
	return unlikely(opt.zero || opt.junk != JUNK_FALSE);
}

/* What `bytes` newly handed out bytes hold. */
static COLD void fill_fresh(void *start, size_t bytes) {
	if (opt.zero)
		memset(start, 0, bytes);
	else if (opt.junk != JUNK_FREE)
		memset(start, JUNK_FRESH, bytes);
}

static COLD void fill_freed(void *block, size_t bytes) {
	if (opt.junk == JUNK_TRUE || opt.junk == JUNK_FREE)
		memset(block, JUNK_FREED, bytes);
}

/* What the thread word points at; a closed stand-in where there is no lane. */
static struct cache *word_now(void) {
	return likely(lane.limit != 0) ? lane_cache() : &thread_none;
}

/* -- taking ---------------------------------------------------------------------------------------------------- */

static void *try_cached(const struct source *source, unsigned class) {
	if (source->cache != NULL)
		return cache_take(source->cache, class, source->arena);
	return source->arena != NULL ? arena_take(source->arena, class) : NULL;
}

/* Is the block of `bytes` bytes that was just taken to be sampled? Of a cache, its countdown tells. */
static bool is_sampled(const struct source *source, size_t bytes) {
	struct cache *cache = source->cache;
	if (cache == NULL)
		return cache_samples(source->self, bytes);
	if (likely(!cache->hit))
		return false;
	cache->hit = false;
	return true;
}

static void *take_cached(const struct source *source, size_t size) {
	unsigned class = size_class(size);
	void *block = try_cached(source, class);
	if (unlikely(block == NULL) && source->arena != NULL && thread_reclaim(class_info[class].bytes))
		block = try_cached(source, class);
	if ((source->cache == NULL || source->cache != source->self) && block != NULL)
		thread_count_direct(source->self, class_info[class].bytes, 0);
	if (block != NULL && unlikely(is_sampled(source, class_info[class].bytes)))
		prof_note(source->self, block, source->asked != 0 ? source->asked : size);
	return block;
}

static struct span *take_large(const struct source *source, size_t size, size_t align) {
	if (source->arena == NULL || size > SIZE_LIMIT || align > SIZE_LIMIT)
		return NULL;
	struct arena *arena = source->named ? source->arena : arena_for_size(source->arena, size);
	struct span *span = arena_take_large(arena, size, align);
	if (unlikely(span == NULL) && thread_reclaim(size))
		span = arena_take_large(arena, size, align);
	if (unlikely(span == NULL))
		return NULL;
	thread_count_direct(source->self, span->pages * PAGE, 0);
	if (span->class != CLASS_NONE) /* here for its alignment: no cache counts it */
		arena_count_requests(arena, span->class, 1);
	if (cache_samples(source->self, span->pages * PAGE))
		prof_note(source->self, (void *)span->base, source->asked != 0 ? source->asked : size);
	return span;
}

ALWAYS_INLINE void *take_from(const struct source *source, size_t size, size_t align) {
	void *block;
	if (align <= PAGE && size <= CACHED_MAX) {
		block = take_cached(source, size);
	} else {
		struct span *span = take_large(source, size, align);
		block = span == NULL ? NULL : (void *)span->base;
	}
	if (full_fills() && block != NULL)
		fill_fresh(block, full_usable(block));
	thread_tick_malloc(source->self, size);
	return block;
}

void *full_take(const struct source *source, size_t size, size_t align) {
	return take_from(source, size, align);
}

/* As malloc, but without a word about failure. */
static void *take(size_t size, size_t align) {
	struct source source = full_source();
	return take_from(&source, size, align);
}

void *full_malloc_as(size_t size, const char *what) {
	void *block = take(size, 1);
	return likely(block != NULL) ? block : full_fail(ENOMEM, what);
}

/* With caches of CPUs: what the thread can have of them at once, as on the fast lane. */
static NOINLINE void *take_at_once(struct cache *cache, size_t size) {
	return size < lane.limit ? cache_take_at_once(cache, lane.class_of[(size + 7) >> 3]) : NULL;
}

NOINLINE void *full_malloc(size_t size) {
	struct cache *cache = word_now();
	void *block;
	if (unlikely(cache->percpu) && likely((block = take_at_once(cache, size)) != NULL))
		return block;
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
		                     : memset(block, 0, class_info[size_class(total)].bytes);
	}
	void *cached; /* was in use before: to be cleared, as dirty pages would be */
	if (total <= CACHED_MAX && lane_take(total, &cached))
		return memset(cached, 0, class_info[size_class(total)].bytes);
	struct source source = full_source();
	struct span *span = take_large(&source, total, PAGE);
	if (span != NULL)
		page_zero(span, span->pages * PAGE, opt_now(calloc_madvise_threshold));
	thread_tick_malloc(source.self, total);
	return span == NULL ? full_fail(ENOMEM, "in calloc(): out of memory") : (void *)span->base;
}

void full_clear(void *block, size_t bytes) {
	struct span *span = bytes > CACHED_MAX ? map_span(block) : NULL;
	if (span == NULL || full_fills())
		memset(block, 0, bytes); /* may have been in use before, or filled just now */
	else
		page_zero(span, bytes, opt_now(calloc_madvise_threshold));
}

/* -- freeing --------------------------------------------------------------------------------------------------- */

#define RECENT 16 /* blocks of a cache looked through, unless the option says how many */

/* Why a pointer is no block: the pages around it tell. */
static void report(const char *call, const void *ptr) {
	const struct chunk *chunk = map_chunk((uintptr_t)ptr);
	enum misuse what = MISUSE_INVALID;
	if (chunk != NULL) {
		unsigned page = (unsigned)(((uintptr_t)ptr & (CHUNK - 1)) >> PAGE_SHIFT);
		uint8_t state = load_relaxed(&chunk->state);
		bool unused =
			state == CHUNK_POOLED || (state == CHUNK_SHARED && bitmap_get(chunk->free, page));
		what = unused ? MISUSE_DOUBLE : MISUSE_INTERIOR;
	}
	event_misuse(what, call, ptr);
}

/* The large block that begins at ptr; NULL: there is none, which is reported. */
static struct span *large_at(const char *call, const void *ptr) {
	struct span *span = map_span(ptr);
	if (likely(span != NULL && span->base == (uintptr_t)ptr && span->kind == SPAN_LARGE))
		return span;
	report(call, ptr);
	return NULL;
}

/* Blocks of a cache that are compared with one being freed. */
static unsigned looked_through(void) {
	unsigned set = opt_now(debug_double_free_max_scan);
	return likely(set == 0) ? RECENT : set;
}

static void give_cached(const struct source *source, unsigned class, void *ptr, const char *call) {
	struct cache *cache = source->cache;
	if (class > CLASS_SMALL_LAST && ((uintptr_t)ptr & (PAGE - 1)) != 0) {
		report(call, ptr);
		return;
	}
	if (unlikely(cache != NULL && cache_holds(cache, class, ptr, looked_through()))) {
		event_misuse(MISUSE_DOUBLE, call, ptr);
		return;
	}
	if (full_fills())
		fill_freed(ptr, class_info[class].bytes);
	if (cache != source->self || cache == NULL)
		thread_count_direct(source->self, 0, class_info[class].bytes);
	if (cache != NULL)
		cache_give(cache, class, ptr);
	else
		arena_flush(class, &ptr, 1);
}

void full_give(const struct source *source, void *ptr, const char *call) {
	unsigned class = map_class(ptr);
	size_t size = class_info[class].bytes;
	if (class != CLASS_NONE) {
		prof_note_free(source->self, ptr);
		give_cached(source, class, ptr, call);
	} else {
		struct span *span = large_at(call, ptr);
		if (unlikely(span == NULL))
			return;
		size = span->pages * PAGE;
		prof_note_free_large(source->self, span);
		if (full_fills())
			fill_freed(ptr, size);
		arena_give_large(span);
		thread_count_direct(source->self, 0, size);
	}
	thread_tick_free(source->self, size);
}

/* The same for a block in the home window. */
static NOINLINE bool give_at_once(struct cache *cache, void *ptr) {
	uintptr_t page = ((uintptr_t)ptr >> PAGE_SHIFT) - lane.home.first_page;
	if (page >= HOME_PAGES)
		return false;
	unsigned class = load_relaxed(&lane.home.classes[page]);
	return class != CLASS_NONE && class <= CLASS_SMALL_LAST && cache_give_at_once(cache, class, ptr);
}

NOINLINE void full_free(void *ptr) {
	struct cache *cache = word_now();
	if (ptr == NULL || (unlikely(cache->percpu) && likely(give_at_once(cache, ptr))))
		return;
	int saved = errno;
	struct source source = full_source();
	full_give(&source, ptr, "free");
	errno = saved;
}

size_t full_usable(const void *ptr) {
	unsigned class = map_class(ptr);
	if (class != CLASS_NONE)
		return class_info[class].bytes;
	const struct span *span = map_span(ptr);
	return span == NULL || span->base != (uintptr_t)ptr ? 0 : span->pages * PAGE;
}

#if ASHLAR_DEBUG >= 1
void full_check_size(const void *ptr, size_t size, size_t align) {
	size_t is = full_usable(ptr);
	if (is == 0 || size_usable_aligned(size, align) == is)
		return;
	guard_fail("<ashlar>: size mismatch detected (true size %zu vs input size %zu), likely caused by "
	           "application "
	           "sized deallocation bugs (source address: %p, the current pointer being freed). Suggest "
	           "building with "
	           "address sanitizer for debugging. Abort.\n",
	           is, size, ptr);
}
#endif

/* -- realloc --------------------------------------------------------------------------------------------------- */

size_t full_size(const void *ptr, const char *call) {
	size_t size = full_usable(ptr);
	if (likely(size != 0 && (size < LARGE_MIN || ((uintptr_t)ptr & (PAGE - 1)) == 0)))
		return size;
	report(call, ptr);
	errno = EINVAL;
	return 0;
}

/* Within a size class, or by taking or leaving pages. */
bool full_resize(void *ptr, size_t size) {
	unsigned class = map_class(ptr);
	if (class != CLASS_NONE && size <= CACHED_MAX && size_class(size) == class)
		return true;
	if (size <= SMALL_MAX || (class != CLASS_NONE && class <= CLASS_SMALL_LAST))
		return false;
	struct span *span = map_span(ptr);
	size_t old = span->pages * PAGE;
	struct sample *lifted = prof_lift(ptr);
	bool done = arena_resize_large(span, size);
	if (unlikely(lifted != NULL || load_relaxed(&event_sampling) != 0))
		prof_lower(lifted, ptr, size, span->pages * PAGE != old);
	if (!done)
		return false;
	if (full_fills() && span->pages * PAGE > old)
		fill_fresh((char *)ptr + old, span->pages * PAGE - old);
	return true;
}

/* A huge block moves with its page tables, if the kernel does that, into memory that is not resident yet. Into resident
 * memory copying is cheaper: moving would give those pages back, and leave none behind for the next block. */
static bool move_pages(void *to, void *from, size_t bytes) {
	struct span *new_span = map_span(to), *old_span = map_span(from);
	return new_span->kind == SPAN_LARGE && new_span->zeroed && page_move(new_span, old_span, bytes);
}

void full_copy(void *to, void *from, size_t bytes) {
	if (bytes < CHUNK || !move_pages(to, from, bytes))
		memcpy(to, from, bytes);
}

void *full_realloc(void *ptr, size_t size) {
	size_t old = full_size(ptr, "realloc");
	if (unlikely(old == 0))
		return NULL;
	if (size > SIZE_LIMIT)
		return full_fail(ENOMEM, "in rallocx(): out of memory");
	if (full_resize(ptr, size)) {
		thread_count_resized(full_usable(ptr), old);
		return ptr;
	}
	void *block;
	if (!lane_take(size, &block))
		block = take(size, 1);
	if (unlikely(block == NULL))
		return full_fail(ENOMEM, "in rallocx(): out of memory");
	full_copy(block, ptr, size_min(old, size));
	lane_free(ptr);
	return block;
}
