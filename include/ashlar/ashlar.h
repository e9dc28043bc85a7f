/* ashlar.h - Ashlar, a general-purpose malloc(3).
 *
 * Linking with libashlar, or preloading it, replaces the allocator of the whole program: these functions are
 * the C library's own names. A program needs this header only for what the C library's headers do not
 * declare.
 *
 * Everywhere below: a block is what an allocating function returned and nobody freed yet. Every function may
 * be called from any thread at any time; in a signal handler only where the C library allows that (nothing
 * here). Blocks freed by any thread may have come from any other. Anything that is freed or resized and is
 * not a block is reported on stderr in one line that begins with "<ashlar>: ", and the program is aborted,
 * wherever the mistake is seen at no cost.
 *
 * Sizes: a block has at least the size asked for. Requests up to 32 KiB are served in 41 size classes (8, 16,
 * 32, 48, 64, then four per doubling), larger ones in multiples of 4 KiB; nallocx tells. A request for 0
 * bytes gives a distinct block of 8 bytes. No request above 7 * 2^60 bytes can succeed.
 * Alignment: a block of at least 16 bytes is aligned to 16 at least; one of k * 2^n bytes (k odd) to the
 * smaller of 2^n and 4096.
 *
 * Where a behaviour comes from: [C] C11/C23, [P] POSIX, [L] the GNU C library, [J] jemalloc(3), [A] Ashlar.
 */
#ifndef ASHLAR_ASHLAR_H
#define ASHLAR_ASHLAR_H

#define ASHLAR_VERSION_MAJOR 0
#define ASHLAR_VERSION_MINOR 1
#define ASHLAR_VERSION_PATCH 0
#define ASHLAR_VERSION       "0.1.0"

#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "ashlar/extent_hooks.h"

/* A library built for sanitizers has every name with a prefix. */
#ifdef ASHLAR_PREFIXED
#define ASHLAR_NAME(name) ashlar_##name
#else
#define ASHLAR_NAME(name) name
#endif

#if defined(__GNUC__)
#define ASHLAR_ATTR(list) __attribute__(list)
#else
#define ASHLAR_ATTR(list)
#endif

/* Nothing here throws. C++ wants the exception specification of the C library's own declarations for those, and none for
 * the others, which programs declare themselves too. */
#define ASHLAR_QUIET ASHLAR_ATTR((nothrow))
#if defined(__cplusplus) && defined(__GLIBC__)
#if __cplusplus >= 201103L
#define ASHLAR_CXX_NOTHROW noexcept(true)
#else
#define ASHLAR_CXX_NOTHROW throw()
#endif
#define ASHLAR_NOTHROW ASHLAR_CXX_NOTHROW
#else
#define ASHLAR_CXX_NOTHROW
#define ASHLAR_NOTHROW ASHLAR_QUIET
#endif
#define ASHLAR_BLOCK  ASHLAR_ATTR((malloc, visibility("default")))
#define ASHLAR_PUBLIC ASHLAR_ATTR((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

/* -- blocks ---------------------------------------------------------------------------------------------- */

/* A block of `size` bytes, contents unspecified. NULL, errno ENOMEM, when there is no memory. [C][P] */
ASHLAR_BLOCK void *ASHLAR_NAME(malloc)(size_t size) ASHLAR_NOTHROW ASHLAR_ATTR((alloc_size(1)));

/* A block for `count` elements of `size` bytes, all zero. NULL, ENOMEM, also when the product is too big. [C] */
ASHLAR_BLOCK void *ASHLAR_NAME(calloc)(size_t count, size_t size) ASHLAR_NOTHROW
	ASHLAR_ATTR((alloc_size(1, 2)));

/* A block of `size` bytes with the contents of `ptr` up to the smaller size; `ptr` is freed, or is the
 * result. ptr NULL: malloc(size). NULL, ENOMEM, on failure: `ptr` stays as it was. [C]
 * size 0 with a block: as the option zero_realloc says: free (the default): frees it and returns NULL with
 * errno kept; alloc: a block of the smallest size; abort: a message and abort. [J] */
ASHLAR_PUBLIC void *ASHLAR_NAME(realloc)(void *ptr, size_t size) ASHLAR_NOTHROW ASHLAR_ATTR((alloc_size(2)));

/* realloc of count * size bytes; an overflow of the product is ENOMEM, `ptr` stays. [L] */
ASHLAR_PUBLIC void *ASHLAR_NAME(reallocarray)(void *ptr, size_t count, size_t size) ASHLAR_NOTHROW
	ASHLAR_ATTR((alloc_size(2, 3)));

/* As realloc, but frees `ptr` when it fails. (From the BSDs.) */
ASHLAR_PUBLIC void *ASHLAR_NAME(reallocf)(void *ptr, size_t size) ASHLAR_NOTHROW ASHLAR_ATTR((alloc_size(2)));

/* Frees a block; NULL does nothing. errno is kept. [C][P] */
ASHLAR_PUBLIC void ASHLAR_NAME(free)(void *ptr) ASHLAR_NOTHROW;
/* The same under an old name. [L] */
ASHLAR_PUBLIC void ASHLAR_NAME(cfree)(void *ptr) ASHLAR_NOTHROW;

/* free for callers who know the size they asked for, and the alignment they asked for. NULL does nothing.
 * [C23] */
ASHLAR_PUBLIC void ASHLAR_NAME(free_sized)(void *ptr, size_t size) ASHLAR_QUIET;
ASHLAR_PUBLIC void ASHLAR_NAME(free_aligned_sized)(void *ptr, size_t alignment, size_t size) ASHLAR_QUIET;

/* *out gets a block of `size` bytes at a multiple of `alignment`. Returns 0; EINVAL when the alignment is not
 * a power of two or is less than sizeof(void *); ENOMEM. On failure *out and errno stay as they were. [P] */
ASHLAR_PUBLIC int ASHLAR_NAME(posix_memalign)(void **out, size_t alignment, size_t size) ASHLAR_NOTHROW
	ASHLAR_ATTR((nonnull(1)));

/* A block of `size` bytes at a multiple of `alignment`, a power of two; the size need not be a multiple of
 * it. NULL with EINVAL or ENOMEM. [C] */
ASHLAR_BLOCK void *ASHLAR_NAME(aligned_alloc)(size_t alignment, size_t size) ASHLAR_NOTHROW
	ASHLAR_ATTR((alloc_size(2)));
/* The same under an old name. [L] */
ASHLAR_BLOCK void *ASHLAR_NAME(memalign)(size_t alignment, size_t size) ASHLAR_NOTHROW
	ASHLAR_ATTR((alloc_size(2)));

/* A block at a multiple of the page size; pvalloc also rounds the size up to pages. NULL, ENOMEM. [L] */
ASHLAR_BLOCK void *ASHLAR_NAME(valloc)(size_t size) ASHLAR_NOTHROW ASHLAR_ATTR((alloc_size(1)));
ASHLAR_BLOCK void *ASHLAR_NAME(pvalloc)(size_t size) ASHLAR_NOTHROW;

/* Bytes of the block that may be used; 0 for NULL [L], and for what is not a block as far as that can be seen
 * [A]. */
ASHLAR_PUBLIC size_t ASHLAR_NAME(malloc_usable_size)(void *ptr) ASHLAR_NOTHROW;

/* -- with flags ------------------------------------------------------------------------------------------ */

/* jemalloc's extended calls. `flags` is 0 or an or of [J]
 *   MALLOCX_LG_ALIGN(n), MALLOCX_ALIGN(a)   the block begins at a multiple of 2^n bytes, of a (a power of two)
 *   MALLOCX_ZERO                            what is allocated reads as zero, to the end of the usable size
 *   MALLOCX_TCACHE(id), MALLOCX_TCACHE_NONE from and to that cache (mallctl "tcache.create"); past all caches
 *   MALLOCX_ARENA(i)                        from that arena. Blocks in the cache are taken first: use it together
 *                                           with one of the two above when it has to be that arena
 * Size 0 is a block of the smallest size. A cache or arena that does not exist is reported in one line, and the
 * program aborted [A]. */

/* A block. NULL, ENOMEM, when there is no memory or the size is out of reach. */
ASHLAR_BLOCK void *ASHLAR_NAME(mallocx)(size_t size, int flags) ASHLAR_QUIET ASHLAR_ATTR((alloc_size(1)));

/* A block of `size` bytes with the contents of `ptr` up to the smaller size; `ptr` is freed, or is the result. It also
 * moves when it has not the alignment asked for. MALLOCX_ZERO: what lies behind the old usable size is zero. NULL,
 * ENOMEM, on failure: `ptr` stays as it was. ptr NULL: mallocx(size, flags) [A]. */
ASHLAR_PUBLIC void *ASHLAR_NAME(rallocx)(void *ptr, size_t size, int flags) ASHLAR_QUIET
	ASHLAR_ATTR((alloc_size(2)));

/* Resizes a block where it lies, to size + extra bytes if possible, else to as much more than `size` as is; what would
 * exceed the largest size is cut off `extra`. Returns the usable size after that, which is the one before if
 * nothing could be done, the size is out of reach, or the block has not the alignment in `flags`. 0 for NULL [A]. */
ASHLAR_PUBLIC size_t ASHLAR_NAME(xallocx)(void *ptr, size_t size, size_t extra, int flags) ASHLAR_QUIET;

/* Usable size of a block; 0 for NULL [A]. Flags have no meaning. */
ASHLAR_PUBLIC size_t ASHLAR_NAME(sallocx)(const void *ptr, int flags) ASHLAR_QUIET ASHLAR_ATTR((pure));

/* Frees a block; of the flags only the cache counts. NULL does nothing [A]. errno is kept. */
ASHLAR_PUBLIC void ASHLAR_NAME(dallocx)(void *ptr, int flags) ASHLAR_QUIET;
/* The same for callers who know the size: between what was asked for and nallocx of that. */
ASHLAR_PUBLIC void ASHLAR_NAME(sdallocx)(void *ptr, size_t size, int flags) ASHLAR_QUIET;

/* Usable size that mallocx(size, flags) gives. 0 when no block can be that large. */
ASHLAR_PUBLIC size_t ASHLAR_NAME(nallocx)(size_t size, int flags) ASHLAR_QUIET ASHLAR_ATTR((pure));

/* 1 when moving the block to a new one would help against fragmentation: it is small, its slab has room, is not the one
 * that new blocks come from, and is hardly fuller than its size class's other slabs with room on the average. Else 0. Redis
 * asks this, in the second form when it is built with its own names. */
ASHLAR_PUBLIC int ASHLAR_NAME(get_defrag_hint)(void *ptr) ASHLAR_QUIET;
ASHLAR_PUBLIC int ASHLAR_NAME(je_get_defrag_hint)(void *ptr) ASHLAR_QUIET;

/* -- the heap -------------------------------------------------------------------------------------------- */

/* Gives all unused memory back to the system at once: the calling thread's cache, blocks between threads,
 * free pages. `pad` has no meaning here. 1 when anything was given back, else 0; errno is kept. [L] */
ASHLAR_PUBLIC int ASHLAR_NAME(malloc_trim)(size_t pad) ASHLAR_NOTHROW;

/* Older C libraries lack these. */
#if !defined(__GLIBC__)
struct mallinfo {
	int arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};
#endif
#if !defined(__GLIBC__) || (__GLIBC__ == 2 && __GLIBC_MINOR__ < 33)
struct mallinfo2 {
	size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};
#endif

/* Figures of the whole heap in the fields the C library has for them [L], filled in as follows [A]:
 *   arena     bytes of pages in use or not given back yet, without those of blocks above 32 KiB
 *   ordblks   free blocks in slabs
 *   hblks     blocks above 32 KiB, and hblkhd their bytes
 *   fsmblks   bytes of the free blocks in thread caches and between threads
 *   uordblks  bytes in blocks of up to 32 KiB that the program holds
 *   fordblks  arena - uordblks
 *   keepcost  bytes of unused pages that malloc_trim would give back
 *   smblks, usmblks  0
 * mallinfo is the same in int, every figure cut off at INT_MAX. */
ASHLAR_PUBLIC struct mallinfo2 ASHLAR_NAME(mallinfo2)(void) ASHLAR_NOTHROW;
ASHLAR_PUBLIC struct mallinfo ASHLAR_NAME(mallinfo)(void) ASHLAR_NOTHROW;

/* Tunes the C library's allocator. Its parameters have no meaning here: those it knows (M_MXFAST,
 * M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_MMAP_MAX, M_CHECK_ACTION, M_PERTURB, M_ARENA_TEST,
 * M_ARENA_MAX) are accepted and ignored: 1; any other: 0. [A] Options are set by MALLOC_CONF. */
ASHLAR_PUBLIC int ASHLAR_NAME(mallopt)(int parameter, int value) ASHLAR_NOTHROW;

/* Writes figures of the heap and of each size class in use to `file` as XML with the root element <malloc>.
 * 0; EINVAL when `options` is not 0; EIO when the file does not take it. [L] */
ASHLAR_PUBLIC int ASHLAR_NAME(malloc_info)(int options, FILE *file) ASHLAR_NOTHROW;

/* Writes the heap summary, a few readable lines, to stderr. [L] */
ASHLAR_PUBLIC void ASHLAR_NAME(malloc_stats)(void) ASHLAR_NOTHROW;

/* Writes statistics through `write`, piece by piece, each call with `opaque`; write NULL: through
 * malloc_message, or to stderr. `options` are letters, NULL none: J for JSON, O for OpenMetrics [A], and what
 * to leave out: g general, m merged, d destroyed, a each arena, b bins, l large classes, x locks, e extents,
 * h huge pages. `write` may allocate. [J] */
ASHLAR_PUBLIC void ASHLAR_NAME(malloc_stats_print)(void (*write)(void *opaque, const char *text),
                                                   void *opaque, const char *options) ASHLAR_QUIET;

/* -- settings and figures by name ------------------------------------------------------------------------ */

/* Reads and writes one named value. `old` and `old_size` not NULL: the value is copied to old; *old_size must
 * be its size. `new` not NULL: the value is set from there. Returns 0, or
 *   ENOENT  there is no such name, or an index in it is out of range
 *   EINVAL  a size is not that of the value (as much as fits was copied to old, and *old_size says how much)
 *   EPERM   the value cannot be written (or read)
 *   EAGAIN  there is no memory to start with
 *   EFAULT  the change could not be made
 * ashlar(3) lists the names. [J] */
ASHLAR_PUBLIC int ASHLAR_NAME(mallctl)(const char *name, void *old, size_t *old_size, void *new_value,
                                       size_t new_size) ASHLAR_QUIET;

/* Translates a name, or its beginning, into at most *length numbers; *length gets how many. 0, ENOENT,
 * EAGAIN. The numbers may be used with mallctlbymib in this run of the program, with any <i> in them replaced
 * by another. [J] */
ASHLAR_PUBLIC int ASHLAR_NAME(mallctlnametomib)(const char *name, size_t *mib, size_t *length) ASHLAR_QUIET;
ASHLAR_PUBLIC int ASHLAR_NAME(mallctlbymib)(const size_t *mib, size_t length, void *old, size_t *old_size,
                                            void *new_value, size_t new_size) ASHLAR_QUIET;

/* Options as `key:value` pairs separated by commas. A program may define these; the first is overridden by
 * /etc/malloc.conf and by the environment variable MALLOC_CONF, the second overrides those. They are read
 * before the program's constructors run: initialise them with a constant. ashlar(3) has the keys. [J] */
ASHLAR_PUBLIC extern const char *ASHLAR_NAME(malloc_conf);
ASHLAR_PUBLIC extern const char *ASHLAR_NAME(malloc_conf_2_conf_harder);

/* Where messages go, one call each with the whole text; NULL (the default): written to stderr. `opaque` is
 * that of malloc_stats_print, else NULL. It must not allocate. [J] */
ASHLAR_PUBLIC extern void (*ASHLAR_NAME(malloc_message))(void *opaque, const char *text);

#ifdef __cplusplus
}
#endif

#endif
