/* decay.h - how many unused pages may stay: the smoothstep curve of dirty_decay_ms and muzzy_decay_ms.
 *
 * Time is cut into DECAY_STEPS steps of ms / DECAY_STEPS. backlog[k] holds by how much the unused pages grew k steps
 * ago; what may stay is
 *
 *   limit = sum over k of backlog[k] * h(1 - (k + 1) / DECAY_STEPS),    h(x) = 6x^5 - 15x^4 + 10x^3
 *
 * so a fresh page counts nearly 1, and one of age ms counts 0. ms 0: nothing may stay; ms -1: everything may.
 *
 * Pure policy: time and page counts are arguments. Synchronised by the owner's lock, except `ms`. */
#ifndef ASHLAR_PAGE_DECAY_H
#define ASHLAR_PAGE_DECAY_H

#include "util/util.h"

#define DECAY_STEPS    200
#define DECAY_NEVER    (-1)
#define DECAY_MS_LIMIT (INT64_MAX / 1000000)

struct decay {
	_Atomic(int64_t) ms; /* [atomic; written under the owner's lock] */
	uint64_t step;       /* nanoseconds of a step; 0 when ms <= 0 */
	uint64_t epoch;      /* start of the current step, nanoseconds */
	uint64_t deadline;   /* when the current step counts as over: epoch + step + jitter */
	uint64_t jitter_state;
	size_t unused;               /* unused pages after the last advance */
	size_t backlog[DECAY_STEPS]; /* [0] is the latest step */
};

/* ms is DECAY_NEVER, 0, or at most DECAY_MS_LIMIT. `now` in nanoseconds of any monotonic clock. */
void decay_init(struct decay *decay, int64_t ms, uint64_t now, uint64_t seed);

/* Sets a new time; the backlog is emptied: pages unused now count as new at the next step. */
void decay_set(struct decay *decay, int64_t ms, uint64_t now);

/* How many of `unused` pages may stay at `now`. SIZE_MAX when nothing has to be purged at this moment. */
size_t decay_limit(struct decay *decay, uint64_t now, size_t unused);

/* What is left after a purge that decay_limit asked for. */
void decay_note_left(struct decay *decay, size_t unused);

#endif
