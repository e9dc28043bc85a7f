/* decay.c - the curve, and a clock that advances in steps. */
#include <string.h>
#include "page/page.h"

#define WEIGHT_BITS 24

/* h(x) in fixed point, x = numerator / DECAY_STEPS. */
static uint64_t smoothstep(uint64_t numerator) {
	const uint64_t steps = DECAY_STEPS, x = numerator;
	_Static_assert(DECAY_STEPS <= 200 && WEIGHT_BITS <= 24, "the shifted value fits into 64 bits");
	uint64_t value = x * x * x * (6 * x * x + 10 * steps * steps - 15 * x * steps);
	return (value << WEIGHT_BITS) / (steps * steps * steps * steps * steps);
}

static void set_deadline(struct decay *decay) {
	uint64_t jitter = decay->step == 0 ? 0 : random_below(&decay->jitter_state, decay->step);
	decay->deadline = decay->epoch + decay->step + jitter;
}

void decay_set(struct decay *decay, int64_t ms, uint64_t now) {
	store_relaxed(&decay->ms, ms);
	decay->step = ms > 0 ? (uint64_t)ms * 1000000 / DECAY_STEPS : 0;
	decay->epoch = now;
	decay->unused = 0;
	memset(decay->backlog, 0, sizeof decay->backlog);
	set_deadline(decay);
}

STARTUP void decay_init(struct decay *decay, int64_t ms, uint64_t now, uint64_t seed) {
	decay->jitter_state = seed;
	decay_set(decay, ms, now);
}

/* Moves the backlog on by `steps` and enters the growth since the last advance as the latest step. */
static void shift_backlog(struct decay *decay, uint64_t steps, size_t unused) {
	if (steps >= DECAY_STEPS) {
		memset(decay->backlog, 0, sizeof decay->backlog);
	} else {
		memmove(decay->backlog + steps, decay->backlog,
		        (DECAY_STEPS - steps) * sizeof decay->backlog[0]);
		memset(decay->backlog, 0, steps * sizeof decay->backlog[0]);
	}
	decay->backlog[0] = unused > decay->unused ? unused - decay->unused : 0;
}

static size_t backlog_limit(const struct decay *decay) {
	unsigned __int128 sum = 0;
	for (unsigned k = 0; k < DECAY_STEPS; k++)
		if (decay->backlog[k] != 0)
			sum += (unsigned __int128)decay->backlog[k] * smoothstep(DECAY_STEPS - 1 - k);
	return (size_t)(sum >> WEIGHT_BITS);
}

size_t decay_limit(struct decay *decay, uint64_t now, size_t unused) {
	int64_t ms = load_relaxed(&decay->ms);
	if (ms < 0)
		return SIZE_MAX;
	if (ms == 0)
		return 0;
	if (now < decay->epoch) /* the clock went back: start anew */
		decay_set(decay, ms, now);
	if (now < decay->deadline)
		return SIZE_MAX;
	uint64_t steps = (now - decay->epoch) / decay->step;
	decay->epoch += steps * decay->step;
	set_deadline(decay);
	shift_backlog(decay, steps, unused);
	decay->unused = unused;
	return backlog_limit(decay);
}

void decay_note_left(struct decay *decay, size_t unused) {
	decay->unused = unused;
}
