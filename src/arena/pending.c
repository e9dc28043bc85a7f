/* pending.c - until manual arenas have a file of their own: there are none yet. */
#include "arena/arena.h"

bool arena_is_manual(const struct arena *arena) {
	return arena->manual;
}

bool arena_may_travel(void *const *blocks, unsigned count) {
	return blocks != NULL && count > 0;
}
