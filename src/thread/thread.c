/* thread.c - a thread's cache: birth, end, the list of all. */
#include <pthread.h>
#include <string.h>
#include "os/os.h"
#include "thread/inside.h"

struct cache thread_unborn, thread_none;

/* The thread word. Reached through its distance from the thread pointer where that is fixed (see util/tls.h). */
static _Thread_local struct cache *word = &thread_unborn;
static bool word_is_fixed; /* [const after start] */

static pthread_key_t end_key; /* [const after start] */
static struct lock threads_lock = LOCK_INITIALIZER(RANK_THREADS);
static struct list threads = {&threads, &threads}; /* [threads_lock] */
static struct list orphans = {&orphans,
                              &orphans}; /* [threads_lock] caches of threads that fork left behind */
static _Atomic(bool) has_orphans;        /* [atomic; written under threads_lock] */
static _Atomic(unsigned) count;          /* [atomic; written under threads_lock] */

void word_start(bool fixed) {
	word_is_fixed = fixed;
	if (fixed)
		lane.word = (ptrdiff_t)((uintptr_t)&word - tls_pointer());
}

struct cache *word_get(void) {
	return word_is_fixed ? tls_word(lane.word) : word;
}

void word_set(struct cache *cache) {
	word = cache;
}

/* A thread that has no cache is suspended already, one that never had one gets it afterwards. */
static _Thread_local unsigned suspensions;

void *word_suspend(void) {
	struct cache *was = word_get();
	suspensions++;
	word_set(&thread_none);
	return was;
}

void word_resume(void *was) {
	suspensions--;
	word_set(was);
}

bool word_suspended(void) {
	return suspensions != 0;
}

static void enlist(struct cache *cache) {
	lock_take(&threads_lock);
	list_append(&threads, &cache->link);
	cache_note_threads(add_relaxed(&count, 1) + 1);
	lock_drop(&threads_lock);
}

static void delist(struct cache *cache) {
	lock_take(&threads_lock);
	list_remove(&cache->link);
	cache_note_threads(sub_relaxed(&count, 1) - 1);
	lock_drop(&threads_lock);
}

/* Makes the calling thread's cache. What this calls may allocate (pthread_setspecific): that goes without. */
static COLD struct cache *give_birth(void) {
	word_set(&thread_none);
	struct cache *cache = base_take(BASE_CACHE, NULL);
	if (cache == NULL || pthread_setspecific(end_key, cache) != 0) {
		if (cache != NULL)
			base_give(BASE_CACHE, cache);
		word_set(&thread_unborn);
		return NULL;
	}
	cache_init(cache, arena_assign());
	enlist(cache);
	word_set(cache);
	return cache;
}

struct cache *thread_enter(void) {
	if (!thread_start())
		return NULL;
	struct cache *cache = word_get();
	if (likely(cache->arena != NULL))
		return cache;
	return cache == &thread_none ? NULL : give_birth();
}

/* Returns a cache to where it came from. */
static void bury(struct cache *cache) {
	cache_flush(cache, true);
	arena_leave(cache->arena);
	base_give(BASE_CACHE, cache);
}

/* The end of a thread, called among its other destructors in any order. What comes later goes without a cache. A
 * thread that first allocates in the very last round of destructors is not called back: its cache stays in the list. */
static void end(void *argument) {
	struct cache *cache = argument;
	word_set(&thread_none);
	delist(cache);
	bury(cache);
}

bool thread_prepare_end(void) {
	return pthread_key_create(&end_key, end) == 0;
}

unsigned thread_count(void) {
	return load_relaxed(&count);
}

size_t thread_cached_bytes(void) {
	size_t sum = transfer_bytes();
	lock_take(&threads_lock);
	list_each (&threads, node)
		sum += cache_bytes(container_of(node, struct cache, link));
	lock_drop(&threads_lock);
	return sum;
}

size_t thread_trim(void) {
	struct cache *cache = thread_enter();
	if (cache != NULL)
		cache_flush(cache, false);
	thread_bury_others();
	transfer_drain(true);
	uint64_t before = arena_read_stats().purged;
	thread_purge(NULL, true);
	return (size_t)(arena_read_stats().purged - before) * PAGE;
}

/* -- after fork ------------------------------------------------------------------------------------------------ */

void thread_forget_others(void) {
	struct cache *self = word_get();
	lock_take(&threads_lock);
	list_each_safe (&threads, node) {
		if (node == &self->link)
			continue;
		list_remove(node);
		list_push(&orphans, node);
	}
	store_relaxed(&has_orphans, !list_empty(&orphans));
	store_relaxed(&count, self->arena != NULL);
	cache_note_threads(self->arena != NULL);
	lock_drop(&threads_lock);
	arena_forget_threads(self->arena);
}

/* A cache that was being worked on when the process forked may disagree with the arenas: its blocks are lost. */
void thread_bury_others(void) {
	if (!load_relaxed(&has_orphans))
		return;
	struct list *node;
	do {
		lock_take(&threads_lock);
		node = list_first(&orphans);
		if (node != NULL)
			list_remove(node);
		else
			store_relaxed(&has_orphans, false);
		lock_drop(&threads_lock);
		struct cache *cache = node == NULL ? NULL : container_of(node, struct cache, link);
		if (cache != NULL && !load_relaxed(&cache->busy)) {
			cache_flush(cache, true);
			base_give(BASE_CACHE, cache);
		}
	} while (node != NULL);
}
