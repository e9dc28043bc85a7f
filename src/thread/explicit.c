/* explicit.c - caches the program makes and names by number.
 *
 *   id ---> caches[id] ---> struct cache, in no thread's list         ids in use: those below `bound` that are not NULL
 *
 * The program hands them between its threads and sees to it that one at a time works with one; the table is ours to
 * guard. They neither take blocks that other threads freed nor give any, so that what is in one stays of the arenas it
 * was asked from. Lock: THREADS. */
#include <errno.h>
#include <string.h>
#include "os/os.h"
#include "guard/guard.h"
#include "thread/inside.h"

static _Atomic(struct cache *) caches[THREAD_CACHES]; /* [acquire/release; written under threads_lock] */
static unsigned bound;                                /* [threads_lock] one past the highest id ever used */

/* The arena whose figures the cache counts in: one that stays. */
static struct arena *home_arena(void) {
	const struct cache *self = thread_enter();
	return self != NULL && !arena_is_manual(self->arena) ? self->arena : arena_at(0);
}

int thread_cache_create(unsigned *id) {
	struct arena *arena = home_arena();
	struct cache *cache = base_take(BASE_CACHE, NULL);
	if (cache == NULL)
		return EFAULT;
	cache_init(cache, arena, false);
	cache_enable(cache, true);
	lock_take(&threads_lock);
	unsigned i = 0;
	while (i < bound && load_relaxed(&caches[i]) != NULL)
		i++;
	if (i < THREAD_CACHES) {
		store_release(&caches[i], cache);
		bound = i == bound ? i + 1 : bound;
	}
	lock_drop(&threads_lock);
	if (i == THREAD_CACHES) {
		base_give(BASE_CACHE, cache);
		return EFAULT;
	}
	*id = i;
	return 0;
}

struct cache *thread_cache_at(unsigned id) {
	return id < THREAD_CACHES ? load_acquire(&caches[id]) : NULL;
}

struct cache *thread_cache_named(unsigned id) {
	struct cache *cache = thread_cache_at(id);
	if (unlikely(cache == NULL)) {
		guard_message("<ashlar>: invalid tcache id (%u).\n", id);
		os_abort();
	}
	return cache;
}

void thread_cache_flush(unsigned id) {
	cache_flush(thread_cache_named(id), true);
}

void thread_cache_destroy(unsigned id) {
	struct cache *cache = thread_cache_named(id);
	lock_take(&threads_lock);
	store_relaxed(&caches[id], NULL);
	lock_drop(&threads_lock);
	cache_flush(cache, true);
	base_give(BASE_CACHE, cache);
}

void thread_flush_explicit(const struct arena *arena) {
	struct cache *own = thread_enter();
	if (own != NULL)
		cache_flush(own, false);
	for (unsigned id = 0; id < THREAD_CACHES; id++) {
		lock_take(&threads_lock); /* or its record may be another's by now */
		struct cache *cache = thread_cache_at(id);
		bool holds = cache != NULL && cache_may_hold_of(cache, arena);
		lock_drop(&threads_lock);
		if (holds)
			cache_flush(cache, false);
	}
}

void explicit_each(void (*visit)(const struct cache *, void *), void *opaque) REQUIRES(threads_lock) {
	for (unsigned id = 0; id < bound; id++) {
		const struct cache *cache = load_relaxed(&caches[id]);
		if (cache != NULL)
			visit(cache, opaque);
	}
}

void explicit_forget_others(void) REQUIRES(threads_lock) {
	for (unsigned id = 0; id < bound; id++) {
		struct cache *cache = load_relaxed(&caches[id]);
		if (cache == NULL || !load_relaxed(&cache->busy))
			continue;
		memset(cache->idle_slots, 0, sizeof cache->idle_slots); /* may be half linked */
		cache_init(cache, cache->arena, false);
	}
}
