/* percpu.h - caches of CPUs instead of threads: option percpu_cache.
 *
 * Every CPU has a stack of free blocks per class. A thread's own bins stay closed, so that each call comes to the full lane,
 * and there pops from or pushes to the stack of the CPU it happens to run on, by a restartable sequence (os/rseq.h): no lock,
 * no atomic instruction. What threads hold is nothing; what CPUs hold is bounded by their number.
 *
 *   one mapping      | CPU 0: class 1 | class 2 | ... | class 41 |  CPU 1: ...        RSEQ_SPAN bytes each, at first all zero
 *   a class of it    fate of the stack | end | count | slots ...                      zero: closed
 *
 *   bytes open of a CPU = sum over classes of end * bytes(class) <= share of a CPU = budget / CPUs
 *
 * Blocks of manual arenas stay out, and so do the threads that allocate from one: those have the usual cache.
 *
 * Who may change what:
 *   slots, count     threads on that CPU, inside a sequence
 *   end              under the lock: raised at any time; lowered to 0, then fenced, by who wants to take blocks out. Then slots
 *                    and count are his until he raises it again, or leaves it closed and empty. Blocks go back to the arenas
 *                    after the lock is dropped: functions of the program may be called there.
 *   outside the lock    end == 0  =>  count == 0
 *
 * What may come between:
 *   signals      abort the sequence; the handler works with the same stacks.
 *   thread end   a thread holds nothing; what it counted is reported as usual.
 *   fork         waits for the lock, so that nothing is closed half way; a commit is one store after all others, so that a
 *                child finds stacks that are right, whatever other threads were doing. What they were carrying from a stack
 *                to an arena or back is lost to it, as are the blocks of busy caches.
 *   vfork        a child that shares the memory must not allocate: the kernel restarts nothing for it.
 *
 * Lock: RANK_CPUS, with nothing else inside. */
#ifndef ASHLAR_CACHE_PERCPU_H
#define ASHLAR_CACHE_PERCPU_H

#include "os/os.h"
#include "meta/meta.h"
#include "cache/bin.h"

#define PERCPU_BATCH 64u /* most blocks carried at a time */

/* All zero: the mode is off. [const after start] */
struct percpu {
	unsigned cpus;                         /* numbered below this have caches */
	struct rseq_stack *first[CLASS_COUNT]; /* of CPU 0 */
};
extern struct percpu percpu;

/* At start: turns it on, with nothing to share yet. False: the system lacks what it needs, and it stays off. */
bool percpu_start(void);
static inline bool percpu_on(void) {
	return percpu.cpus != 0;
}
/* Bytes that a CPU, and all of them together, may hold from now on; what is beyond goes at the next percpu_drain. There may
 * be more CPUs than the program is meant to use. */
void percpu_set_share(size_t each, size_t together);
/* In a forked child. */
void percpu_after_fork(void);

/* These five only where it is on. A block of this CPU, or NULL: there is none. */
static inline void *percpu_pop(unsigned class) {
	return rseq_pop(percpu.first[class], percpu.cpus);
}
/* False: there is no room, or the block is the last one that was freed here. */
static inline bool percpu_push(unsigned class, void *block) {
	return rseq_push(percpu.first[class], percpu.cpus, block);
}
/* After a pop or push failed: the stack may grow, as bins do (cache.c), up to `easy` blocks unasked and `most` at all. How
 * many blocks to bring: at least 1 / to take away, at most PERCPU_BATCH; 0: there is room now, or nothing can be kept. */
unsigned percpu_note_miss(unsigned class, unsigned easy, unsigned most);
unsigned percpu_note_overflow(unsigned class, unsigned easy, unsigned most);
/* Is the block among the `most` most recently freed of its class on this CPU? Never true of a live block. */
bool percpu_holds(unsigned class, const void *block, unsigned most);

/* Closes stacks and returns their blocks to the arenas: those nobody used since the last call, or `all`. / All of the CPU the
 * caller runs on. Takes BIN and below. */
void percpu_drain(bool all);
void percpu_drain_here(void);

struct percpu_stats {
	unsigned cpus; /* that have open stacks */
	size_t bytes;  /* of blocks in them; a guess while threads work */
};
struct percpu_stats percpu_read_stats(void);

#endif
