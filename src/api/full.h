/* full.h - the full lane: everything the fast lane leaves out, one function per kind of request.
 *
 * On failure these return NULL and set errno to ENOMEM (and with xmalloc:true do not return). */
#ifndef ASHLAR_API_FULL_H
#define ASHLAR_API_FULL_H

#include "cache/cache.h"

/* malloc of any size. The second names the call in its message of failure, "in CALL(): out of memory". */
void *full_malloc(size_t size);
void *full_malloc_as(size_t size, const char *what);
/* free of any pointer; NULL is fine. Keeps errno. Reports pointers that are not blocks. */
void full_free(void *ptr);
/* `size` bytes at a multiple of `align`, a power of two. */
void *full_aligned(size_t size, size_t align);
/* calloc of any product; overflow is out of memory. */
void *full_calloc(size_t count, size_t size);
/* realloc of a block (not NULL) to a size that is not 0. */
void *full_realloc(void *ptr, size_t size);
/* The size, and alignment (1: none), that a caller of a sized free tells. Debug builds report what cannot be so. */
#if ASHLAR_DEBUG >= 1
void full_check_size(const void *ptr, size_t size, size_t align);
#else
static inline void full_check_size(const void *ptr, size_t size, size_t align) {
	(void)ptr, (void)size, (void)align;
}
#endif
/* Usable size; 0 for NULL and for what is not a block of ours. */
size_t full_usable(const void *ptr);

/* -- the parts, for calls that say where from (extended.c) ----------------------------------------------------- */

/* Where a request is served from, and a block goes to. */
struct source {
	struct cache *self;  /* the calling thread's own; NULL: it has none */
	struct cache *cache; /* for blocks of cached classes; NULL: none, straight from and to the arenas */
	struct arena *arena; /* NULL: the allocator could not start */
	bool named;          /* the caller named the arena: large blocks come from no other */
	size_t asked;        /* what the program asked for; 0: just what is taken */
};
/* What malloc and free use. Starts the allocator. */
struct source full_source(void);

/* `size` bytes at a multiple of `align`; unless that is 1, size is what size_usable_aligned gave. NULL: no memory; errno
 * stays. */
void *full_take(const struct source *source, size_t size, size_t align);
/* free of a pointer that is not NULL; `call` stands in reports. */
void full_give(const struct source *source, void *ptr, const char *call);

/* Usable size of a block, which is not NULL. 0, and errno EINVAL: it is none, which was reported. */
size_t full_size(const void *ptr, const char *call);
/* Gives the block the usable size of a request for `size` bytes where it lies. False: not possible, nothing changed. */
bool full_resize(void *ptr, size_t size);
/* Copies the first `bytes` of a block to another, large ones by page tables: `from` is good for full_give only then. */
void full_copy(void *to, void *from, size_t bytes);
/* Makes the `bytes` of a new block read as zero; `bytes` is its usable size. */
void full_clear(void *block, size_t bytes);

/* errno = error, or with xmalloc:true the message "Error WHAT" and an end. Returns NULL. */
void *full_fail(int error, const char *what);

/* Are blocks filled with something as they come or go (options junk and zero)? */
bool full_fills(void);

#endif
