/* inside.h - what the files of the arena floor know of each other. */
#ifndef ASHLAR_ARENA_INSIDE_H
#define ASHLAR_ARENA_INSIDE_H

#include "arena/arena.h"

/* -- slab.c: bins ---------------------------------------------------------------------------------------------- */

/* The bin that the calling thread fills from. NULL: no memory. */
struct bin *bin_for_thread(struct arena *arena, unsigned class);
/* As arena_fill and arena_flush, for a small class; `requests` of the blocks count as requests. */
unsigned bin_fill(struct arena *arena, unsigned class, void **slots, unsigned count, unsigned requests);
void bin_flush(unsigned class, void **slots, unsigned count);
/* The slab that is filled next: the fullest with a free region. NULL: there is none. */
struct span *bin_fullest(struct bin *bin) REQUIRES(bin->lock);
/* Puts a slab whose free count changed where it belongs; one that is empty leaves the bin and is put on `emptied`, to be
 * given back when the lock is dropped. */
void bin_settle(struct bin *bin, struct span *slab, struct list *emptied) REQUIRES(bin->lock);
void bin_give_slabs(struct list *emptied);
/* Does a region begin there? */
bool slab_has_block(const struct span *slab, const void *ptr);
/* Frees all its blocks. */
void bin_reset(struct bin *bin);
/* Its counts begin at zero. */
void bin_forget(struct bin *bin);
void bin_audit(struct bin *bin, unsigned class);

/* -- hollow.c: empty pages of slabs -------------------------------------------------------------------------------- */

/* Purges pages of idle slabs that hold no block, as much as is due at `now`; with `all`, of all slabs. PURGE is held. */
void arena_hollow(struct arena *arena, uint64_t now, bool all);

/* -- registry.c: the table, for manual arenas ------------------------------------------------------------------ */

/* A record at an index of its own, which the table does not show yet: those of the arena destroyed last, else new ones.
 * NULL: no memory, or no index left. */
struct arena *table_reserve(void);
/* Shows it / hides it, unless it has threads: false then. */
void table_enter(struct arena *arena);
bool table_remove(struct arena *arena);
/* What was removed may be reserved again; with `failed`, what was reserved: then its index counts no more, if it can. */
void table_recycle(struct arena *arena, bool failed);

#endif
