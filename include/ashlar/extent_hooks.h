/* extent_hooks.h - where an arena's memory comes from, as functions a program may supply.
 *
 * A table of nine functions, set per arena (mallctl "arenas.create", "arena.<i>.extent_hooks"). Every call gets the
 * table first and the arena's index last. Results of type bool: false is success, true is "declined". A member other
 * than alloc may be NULL: declined. Sizes, offsets and lengths are multiples of the page. The functions may allocate;
 * such requests are served from arena 0. The table must outlive the arena, or its exchange.
 *
 *   alloc         `size` bytes at a multiple of `alignment`; new_addr not NULL: there or nowhere. On entry *zero and
 *                 *commit tell what is required, on return what is so. NULL: refused. The low bits of the result may
 *                 carry flags, EXTENT_ALLOC_FLAG_*. Asked for are multiples of 2 MiB at multiples of 2 MiB; when that
 *                 is refused, exactly what is needed, at a page.
 *   dalloc        takes a range back
 *   destroy       takes back a range that dalloc declined; the arena is going away
 *   commit        makes [offset, offset + length) of a range usable; it was decommitted, or never committed
 *   decommit      gives its pages back, reads and writes are not allowed until committed
 *   purge_lazy    its contents are not needed any more: anything may be read afterwards
 *   purge_forced  gives its pages back; zero is read afterwards
 *   split         one range becomes two of size_a and size_b bytes
 *   merge         two ranges that touch, a below b, become one */
#ifndef ASHLAR_EXTENT_HOOKS_H
#define ASHLAR_EXTENT_HOOKS_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EXTENT_ALLOC_FLAG_PINNED 0x1  /* the pages cannot be given back: do not try */
#define EXTENT_ALLOC_FLAG_MASK   0xFF /* all bits of a result that are flags */

typedef struct extent_hooks_s extent_hooks_t;

typedef void *(extent_alloc_t)(extent_hooks_t *hooks, void *new_addr, size_t size, size_t alignment,
                               bool *zero, bool *commit, unsigned arena);
typedef bool(extent_dalloc_t)(extent_hooks_t *hooks, void *addr, size_t size, bool committed, unsigned arena);
typedef void(extent_destroy_t)(extent_hooks_t *hooks, void *addr, size_t size, bool committed,
                               unsigned arena);
typedef bool(extent_commit_t)(extent_hooks_t *hooks, void *addr, size_t size, size_t offset, size_t length,
                              unsigned arena);
typedef bool(extent_decommit_t)(extent_hooks_t *hooks, void *addr, size_t size, size_t offset, size_t length,
                                unsigned arena);
typedef bool(extent_purge_t)(extent_hooks_t *hooks, void *addr, size_t size, size_t offset, size_t length,
                             unsigned arena);
typedef bool(extent_split_t)(extent_hooks_t *hooks, void *addr, size_t size, size_t size_a, size_t size_b,
                             bool committed, unsigned arena);
typedef bool(extent_merge_t)(extent_hooks_t *hooks, void *addr_a, size_t size_a, void *addr_b, size_t size_b,
                             bool committed, unsigned arena);

struct extent_hooks_s {
	extent_alloc_t *alloc;
	extent_dalloc_t *dalloc;
	extent_destroy_t *destroy;
	extent_commit_t *commit;
	extent_decommit_t *decommit;
	extent_purge_t *purge_lazy;
	extent_purge_t *purge_forced;
	extent_split_t *split;
	extent_merge_t *merge;
};

#ifdef __cplusplus
}
#endif

#endif
