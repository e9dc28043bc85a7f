/* slab.h - bins of slabs. Inside the arena floor only. */
#ifndef ASHLAR_ARENA_SLAB_H
#define ASHLAR_ARENA_SLAB_H

#include "arena/arena.h"

/* The bin that the calling thread fills from. NULL: no memory. */
struct bin *bin_for_thread(struct arena *arena, unsigned class);
/* As arena_fill and arena_flush, for a small class; `requests` of the blocks count as requests. */
unsigned bin_fill(struct arena *arena, unsigned class, void **slots, unsigned count, unsigned requests);
void bin_flush(unsigned class, void **slots, unsigned count);
/* Frees all its blocks. */
void bin_reset(struct bin *bin);
void bin_audit(struct bin *bin, unsigned class);

#endif
