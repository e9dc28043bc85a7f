/* fast.h - the fast lane: what nearly every malloc and free runs, whole.
 *
 *   malloc: class from a table, bin from the class, pop                 two tests: empty, spent
 *   free:   page from the pointer, class from the page, bin, push       two tests: full, freed just now
 *
 * Anything else (first call, large blocks, unknown pointers, caching off, watched threads) looks like an empty, spent
 * or full bin and goes to the full lane (full.h). No calls, no locks, nothing is written to the block. */
#ifndef ASHLAR_API_FAST_H
#define ASHLAR_API_FAST_H

#include "thread/thread.h"
#include "api/full.h"

/* The calling thread's cache, or a closed stand-in. Only where lane.limit or the home window vouch for lane.word. */
ALWAYS_INLINE struct cache *lane_cache(void) {
	return tls_word(lane.word);
}

/* Pops a block of the class; as for lane_cache, the caller has looked at lane.limit. */
ALWAYS_INLINE bool lane_pop(unsigned class, void **block) {
	struct cache_bin *bin = &lane_cache()->bin[class];
	void **head = bin->head;
	if (unlikely(LOW16(head) == bin->empty))
		return false;
	if (unlikely(--bin->left < 0))
		return false;
	bin->head = head + 1;
	*block = *head;
	return true;
}

/* Takes a block of `size` bytes if the fast lane has one; what comes next is then the full lane's. */
ALWAYS_INLINE bool lane_take(size_t size, void **block) {
	if (unlikely(size >= lane.limit))
		return false;
	return lane_pop(lane.class_of[(size + 7) >> 3], block);
}

/* The same at a multiple of mask + 1 bytes, a power of two up to a page: a class that is a multiple of it is aligned to it.
 * `last` is the offset of the block's last byte. Size 0 and what would overflow are beyond every limit. */
ALWAYS_INLINE bool lane_take_aligned(size_t size, size_t mask, void **block) {
	size_t last = (size - 1) | mask;
	if (unlikely(last >= lane.limit))
		return false;
	return lane_pop(lane.class_of[(last >> 3) + 1], block);
}

ALWAYS_INLINE void *lane_malloc(size_t size) {
	void *block;
	return likely(lane_take(size, &block)) ? block : full_malloc(size);
}

ALWAYS_INLINE void lane_free(void *ptr) {
	uintptr_t page = ((uintptr_t)ptr >> PAGE_SHIFT) - lane.home.first_page;
	if (unlikely(page >= HOME_PAGES)) {
		full_free(ptr);
		return;
	}
	struct cache_bin *bin = &lane_cache()->bin[load_relaxed(&lane.home.classes[page])];
	void **head = bin->head;
	if (unlikely(LOW16(head) == bin->full) || unlikely(*head == ptr)) {
		full_free(ptr);
		return;
	}
	head[-1] = ptr;
	compiler_barrier();
#if defined(__x86_64__)
	bin->head--; /* in memory, an instruction less than storing the difference */
#else
	bin->head = head - 1;
#endif
}

#endif
