/* event.h - the door in the stairwell: what a floor may ask of the rooms beside the stairs.
 *
 * Floors do not know thread/, ctl/ and guard/; those install their functions here at start. A hook that is not
 * installed does nothing; without the one for misuse the program is trapped. */
#ifndef ASHLAR_THREAD_EVENT_H
#define ASHLAR_THREAD_EVENT_H

#include "util/util.h"

struct pages;

enum misuse {
	MISUSE_INVALID,  /* not a block of ours */
	MISUSE_INTERIOR, /* inside one of our blocks, or of our pages, not where a block begins */
	MISUSE_DOUBLE,   /* a block that is free already */
};

struct event_hooks {
	/* Reports; returns only where the program asked for that, and then the block is to be left alone. `call` is the
	 * public function's name. Locks may be held. */
	void (*misuse)(enum misuse what, const char *call, const void *pointer);
	/* Around a call of a program's function: what the thread allocates meanwhile comes from the first arena, without a
	 * cache. resume gets what suspend returned. */
	void *(*suspend)(void);
	void (*resume)(void *was);
	bool (*suspended)(void);
	/* An arena is about to take `more` pages, which is beyond what it may unasked: false, it must not. After true, when
	 * it has taken them or failed to, `grown` is told. No lock is held but PURGE. */
	bool (*grow)(size_t more);
	void (*grown)(struct pages *pages, size_t more);
	/* So many pages that went while they were handed out are about to be used again: false, they must not. Locks are held. */
	bool (*refill)(size_t pages);
	/* The process has allocated another stats_interval bytes. Called with no lock held, the thread suspended. */
	void (*interval)(void);
	/* While there is sampling: how many bytes are allocated before the next one that is sampled. `random` is the
	 * caller's state of chance. */
	uint64_t (*distance)(uint64_t *random);
	/* All blocks of an arena are about to be freed without anybody naming them. No lock is held. */
	void (*reset)(const void *arena);
};
extern HIDDEN struct event_hooks event_hooks; /* [const after start] */

/* 0: allocations are not sampled; else a number that changes with the rate and whenever sampling begins. [atomic] */
extern HIDDEN _Atomic(uint32_t) event_sampling;

void *event_suspend(void);
void event_resume(void *was);
/* Is the thread between the two? */
bool event_suspended(void);

void event_misuse(enum misuse what, const char *call, const void *pointer);

#endif
