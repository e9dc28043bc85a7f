/* slab.h - bins of slabs. Inside the arena floor only. */
#ifndef ASHLAR_ARENA_SLAB_H
#define ASHLAR_ARENA_SLAB_H

#include "arena/arena.h"

void bin_init(struct bin *bin);
/* As arena_fill and arena_flush, for a small class. */
unsigned bin_fill(struct arena *arena, unsigned class, void **slots, unsigned count);
void bin_flush(unsigned class, void **slots, unsigned count);
void bin_audit(struct bin *bin, unsigned class);

#endif
