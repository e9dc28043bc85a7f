/* fork.c - the allocator across fork().
 *
 *   before   all registered locks are taken, in rank order: nothing is half done, except what other threads were doing
 *            in their own caches (marked busy there)
 *   parent   drops them
 *   child    makes them free; only the calling thread exists: the others' caches are put aside, the helper thread
 *            is forgotten, counts of threads start anew, and a log of samples stays the parent's
 *
 * Handlers of other libraries may run in between and allocate: the forking thread passes through all locks then. */
#include "os/os.h"
#include "prof/prof.h"
#include "thread/inside.h"

static void before(void) {
	lock_take_all();
}

static void after_in_parent(void) {
	lock_drop_all();
}

static void after_in_child(void) {
	lock_reset_all();
	tick_forget_helper();
	limit_forget_others();
	thread_forget_others();
	cache_after_fork();
	prof_after_fork();
}

STARTUP void fork_start(void) {
	os_at_fork(before, after_in_parent, after_in_child);
}
