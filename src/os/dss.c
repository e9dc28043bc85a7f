/* dss.c - memory from the end of the data segment (sbrk), which others in the process may move as well. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <unistd.h>

#include "util/util.h"
#include "os/os.h"

/* How often somebody else may move the break between our look at it and our move, and how long one of us waits for
 * another. */
#define TRIES 8
#define WAITS 64

static _Atomic(bool) busy;            /* [atomic] C libraries' sbrk is not safe against itself */
static _Atomic(uintptr_t) first, end; /* [atomic; written while busy] what we have lies within; 0: nothing */

/* Not a lock: a child of fork may find it taken for good, and then has no memory from here. */
static bool enter(void) {
	for (int i = 0; i < WAITS; i++) {
		if (!swap_acq_rel(&busy, true))
			return true;
		os_yield();
	}
	return false;
}

/* Moves the break so that `size` bytes at a multiple of `align` lie below it. 0: refused. */
static uintptr_t move_break(size_t size, size_t align) {
	for (int i = 0; i < TRIES; i++) {
		uintptr_t now = (uintptr_t)sbrk(0), at = round_up(now, align);
		if (now == UINTPTR_MAX || at < now || at + size < at || at + size - now > PTRDIFF_MAX)
			return 0;
		uintptr_t got = (uintptr_t)sbrk((intptr_t)(at + size - now));
		if (got == UINTPTR_MAX)
			return 0;
		if (got == now)
			return at;
	}
	return 0;
}

int os_dss_take(size_t size, size_t align, void **out) {
	int saved = errno;
	if (!enter())
		return EAGAIN;
	uintptr_t at = move_break(size, align);
	if (at != 0) {
		if (load_relaxed(&first) == 0 || at < load_relaxed(&first))
			store_relaxed(&first, at);
		if (at + size > load_relaxed(&end))
			store_relaxed(&end, at + size);
		*out = (void *)at;
	}
	store_release(&busy, false);
	errno = saved;
	return at != 0 ? 0 : ENOMEM;
}

bool os_dss_owns(const void *addr) {
	return (uintptr_t)addr < load_relaxed(&end) && (uintptr_t)addr >= load_relaxed(&first);
}
