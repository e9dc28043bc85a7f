/* extended.c - the calls that take a word of flags: mallocx and its relatives.
 *
 *   31      20 19       8 7   6 5       0
 *   | arena   | tcache   | | Z | lg align |     arena   0 automatic, else index + 1
 *                                              tcache  0 automatic, 1 none, else id + 2
 *
 * Without a word about arena, cache and zeroing these are the fast lane with an alignment; for freeing only the cache
 * counts, as the page map knows the arena. An arena alone does not go past the thread's cache: it says where a miss is
 * filled from. */
#include <errno.h>
#include <string.h>
#include "ctl/ctl.h"
#include "guard/guard.h"
#include "os/os.h"
#include "prof/prof.h"
#include "api/api.h"
#include "api/fast.h"

#define FLAG_ALIGN   0x3fu
#define FLAG_ZERO    0x40u
#define FLAG_TCACHE  0xfff00u
#define TCACHE_SHIFT 8
#define ARENA_SHIFT  20

enum { TCACHE_AUTOMATIC, TCACHE_NONE, TCACHE_FIRST };

static size_t align_of(unsigned flags) {
	return (size_t)1 << (flags & FLAG_ALIGN);
}

/* -- where from ------------------------------------------------------------------------------------------ */

static COLD _Noreturn void refuse_arena(unsigned index) {
	guard_message("<ashlar>: invalid arena index (%u).\n", index);
	os_abort();
}

static struct cache *cache_named(const struct source *source, unsigned selector) {
	if (selector == TCACHE_AUTOMATIC)
		return source->self;
	if (selector == TCACHE_NONE)
		return NULL;
	return thread_cache_named(selector - TCACHE_FIRST);
}

/* What the flags say. For freeing, give them without their arena. */
static struct source source_of(unsigned flags) {
	struct source source = full_source();
	unsigned arena = flags >> ARENA_SHIFT;
	if (source.arena == NULL)
		return source;
	source.cache = cache_named(&source, (flags & FLAG_TCACHE) >> TCACHE_SHIFT);
	if (arena == 0)
		return source;
	source.arena = arena_make(arena - 1);
	source.named = true;
	if (source.arena == NULL)
		refuse_arena(arena - 1);
	return source;
}

/* -- allocating ------------------------------------------------------------------------------------------ */

/* The lane's alignments: 2^n - 1. */
static const uint16_t lane_masks[PAGE_SHIFT + 1] = {0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 1023, 2047, 4095};

/* All but a plain request that the lane has a block for. */
static NOINLINE void *take_flagged(size_t size, unsigned flags) {
	size_t align = align_of(flags), usable = size_usable_aligned(size, align);
	unsigned plain = flags & ~FLAG_ZERO;
	void *block = NULL;
	/* To be zeroed, and else plain: as calloc, by the lane. */
	if (flags != plain && plain <= PAGE_SHIFT && lane_take_aligned(size, lane_masks[plain], &block))
		return memset(block, 0, usable);
	struct source source = source_of(flags);
	source.asked = size;
	if (usable != 0)
		block = full_take(&source, usable, align);
	if (block == NULL)
		return full_fail(ENOMEM, "in mallocx(): out of memory");
	if (flags != plain)
		full_clear(block, usable);
	return block;
}

EXPORT void *mallocx(size_t size, int flags) {
	unsigned word = (unsigned)flags;
	void *block;
	if (likely(word <= PAGE_SHIFT) && lane_take_aligned(size, lane_masks[word], &block))
		return block;
	return take_flagged(size, word);
}

EXPORT size_t nallocx(size_t size, int flags) {
	return size_usable_aligned(size, align_of((unsigned)flags));
}

/* -- resizing -------------------------------------------------------------------------------------------- */

static bool is_aligned(const void *ptr, size_t align) {
	return ((uintptr_t)ptr & (align - 1)) == 0;
}

/* The bytes a block has grown by. */
static void clear_growth(void *block, size_t old, size_t usable, unsigned flags) {
	if ((flags & FLAG_ZERO) != 0 && usable > old)
		memset((char *)block + old, 0, usable - old);
}

/* Another block with the contents of this one, which is freed. */
static void *move(void *ptr, size_t bytes, size_t usable, unsigned flags) {
	struct source source = source_of(flags);
	void *block = full_take(&source, usable, align_of(flags));
	if (block == NULL)
		return NULL;
	full_copy(block, ptr, bytes);
	full_give(&source, ptr, "rallocx");
	return block;
}

EXPORT void *rallocx(void *ptr, size_t size, int flags) {
	unsigned word = (unsigned)flags;
	size_t align = align_of(word), usable = size_usable_aligned(size, align);
	if (unlikely(ptr == NULL))
		return mallocx(size, flags);
	size_t old = full_size(ptr, "rallocx");
	if (unlikely(old == 0))
		return NULL;
	void *block = ptr;
	if (usable == 0)
		block = NULL;
	else if (is_aligned(ptr, align) && full_resize(ptr, usable))
		thread_count_resized(usable, old);
	else
		block = move(ptr, size_min(old, size), usable, word);
	if (block == NULL)
		return full_fail(ENOMEM, "in rallocx(): out of memory");
	clear_growth(block, old, usable, word);
	return block;
}

/* A small block has one size only; a large one takes or leaves pages. The most that fits, or at least `size`. */
static void resize(void *ptr, size_t old, size_t size, size_t extra) {
	size_t most = size_usable(size + extra), least = size_usable(size);
	if (old < LARGE_MIN || most < LARGE_MIN)
		return;
	if (!full_resize(ptr, most) && least > old)
		(void)full_resize(ptr, least);
}

EXPORT size_t xallocx(void *ptr, size_t size, size_t extra, int flags) {
	if (unlikely(ptr == NULL))
		return 0;
	size_t old = full_size(ptr, "xallocx");
	if (old == 0 || size > SIZE_LIMIT || !is_aligned(ptr, align_of((unsigned)flags)))
		return old;
	resize(ptr, old, size, size_min(extra, SIZE_LIMIT - size));
	size_t usable = full_usable(ptr);
	if (usable != old)
		thread_count_resized(usable, old);
	clear_growth(ptr, old, usable, (unsigned)flags);
	return usable;
}

EXPORT size_t sallocx(const void *ptr, int flags) {
	(void)flags;
	return full_usable(ptr);
}

/* -- freeing: sizes and alignments are promises nobody needs ---------------------------------------------- */

static NOINLINE void give_flagged(void *ptr, unsigned flags, const char *call) {
	int saved = errno;
	struct source source = source_of(flags & FLAG_TCACHE);
	if (ptr != NULL)
		full_give(&source, ptr, call);
	errno = saved;
}

EXPORT void dallocx(void *ptr, int flags) {
	if (likely(((unsigned)flags & FLAG_TCACHE) == 0))
		lane_free(ptr);
	else
		give_flagged(ptr, (unsigned)flags, "dallocx");
}

EXPORT void sdallocx(void *ptr, size_t size, int flags) {
	full_check_size(ptr, size, align_of((unsigned)flags));
	if (likely(((unsigned)flags & FLAG_TCACHE) == 0))
		lane_free(ptr);
	else
		give_flagged(ptr, (unsigned)flags, "sdallocx");
}

/* -- many at once ---------------------------------------------------------------------------------------- */

#define RUN 256u /* blocks taken under one lock */

/* Blocks of one class straight from the arena. Returns how many. */
static size_t take_run(const struct source *source, unsigned class, void **slots, size_t count) {
	size_t taken = 0;
	unsigned got, want;
	do {
		want = (unsigned)size_min(count - taken, RUN);
		got = arena_fill(source->arena, class, slots + taken, want);
		taken += got;
	} while (got == want && taken < count);
	arena_count_requests(source->arena, class, taken);
	thread_count_direct(source->self, taken * class_info[class].bytes, 0);
	for (size_t i = 0; i < taken && load_relaxed(&event_sampling) != 0; i++)
		if (cache_samples(source->self, class_info[class].bytes))
			prof_note(source->self, slots[i], source->asked);
	return taken;
}

static size_t take_each(const struct source *source, size_t usable, size_t align, void **slots,
                        size_t count) {
	size_t taken = 0;
	while (taken < count && (slots[taken] = full_take(source, usable, align)) != NULL)
		taken++;
	return taken;
}

size_t extended_batch(void **slots, size_t count, size_t size, int flags) {
	unsigned word = (unsigned)flags;
	size_t align = align_of(word), usable = size_usable_aligned(size, align), taken;
	struct source source = source_of(word);
	source.asked = size;
	if (usable == 0 || count == 0 || source.arena == NULL)
		return 0;
	if (align > PAGE || usable > SMALL_MAX || full_fills())
		taken = take_each(&source, usable, align, slots, count);
	else
		taken = take_run(&source, size_class(usable), slots, count);
	for (size_t i = 0; i < taken && (word & FLAG_ZERO) != 0; i++)
		full_clear(slots[i], usable);
	return taken;
}

/* -- against fragmentation ------------------------------------------------------------------------------- */

EXPORT int get_defrag_hint(void *ptr) {
	return arena_describe(ptr).sparse;
}

EXPORT int je_get_defrag_hint(void *ptr) {
	return arena_describe(ptr).sparse;
}
