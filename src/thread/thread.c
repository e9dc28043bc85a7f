/* thread.c - a thread's cache: birth, end, the list of all. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include "os/os.h"
#include "prof/prof.h"
#include "thread/inside.h"

struct cache thread_unborn, thread_none, thread_suspended;

/* The thread word. Reached through its distance from the thread pointer where that is fixed (see util/tls.h). */
static _Thread_local struct cache *word = &thread_unborn;
/* Read at every visit to the full lane, so in a line that nobody writes to. [const after start] */
static struct {
	_Alignas(CACHE_LINE) bool word_is_fixed;
	pthread_key_t end_key;
} known;

_Alignas(CACHE_LINE) struct lock threads_lock = LOCK_INITIALIZER(RANK_THREADS);
static struct list threads = {&threads, &threads}; /* [threads_lock] */
static struct list orphans = {&orphans,
                              &orphans}; /* [threads_lock] caches of threads that fork left behind */
static _Atomic(bool) has_orphans;        /* [atomic; written under threads_lock] */
static _Atomic(unsigned) count;          /* [atomic; written under threads_lock] */
static _Atomic(uint32_t) trims;          /* [atomic] times that all threads were asked to flush */

STARTUP void word_start(bool fixed) {
	known.word_is_fixed = fixed;
	if (fixed)
		lane.word = (ptrdiff_t)((uintptr_t)&word - tls_pointer());
}

struct cache *word_get(void) {
	return known.word_is_fixed ? tls_word(lane.word) : word;
}

void word_set(struct cache *cache) {
	word = cache;
}

struct cache *thread_self(void) {
	struct cache *cache = word_get();
	if (cache->behind != NULL)
		cache = cache->behind;
	return cache->arena != NULL ? cache : NULL;
}

/* What the word was goes with the caller: suspensions nest. */
void *word_suspend(void) {
	struct cache *was = word_get();
	word_set(&thread_suspended);
	return was;
}

void word_resume(void *was) {
	word_set(was);
}

bool word_suspended(void) {
	return word_get() == &thread_suspended;
}

static void enlist(struct cache *cache) {
	lock_take(&threads_lock);
	store_relaxed(&cache->attend, arena_per_cpu() || watch_all());
	cache->trims = load_relaxed(&trims);
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
	if (cache == NULL || pthread_setspecific(known.end_key, cache) != 0) {
		if (cache != NULL)
			base_give(BASE_CACHE, cache);
		word_set(&thread_unborn);
		return NULL;
	}
	struct arena *arena = arena_assign();
	cache_init(cache, arena, !arena_is_manual(arena));
	enlist(cache);
	word_set(cache);
	return cache;
}

/* A thread that has no open cache: new, watched, without one, or in a library loaded late. */
static NOINLINE struct cache *enter_otherwise(void) {
	if (!thread_start())
		return NULL;
	struct cache *cache = word_get();
	if (likely(cache->arena != NULL))
		return cache;
	if (cache->behind != NULL)
		return cache->behind;
	return cache == &thread_unborn ? give_birth() : NULL;
}

struct cache *thread_enter(void) {
	if (likely(known.word_is_fixed)) { /* never before the start */
		struct cache *cache = tls_word(lane.word);
		if (likely(cache->arena != NULL))
			return cache;
	}
	return enter_otherwise();
}

/* Returns a cache to where it came from. */
static void bury(struct cache *cache) {
	cache_flush(cache, true);
	prof_end_thread(cache);
	if (cache->front != NULL)
		watch_end(cache->front);
	base_give(BASE_CACHE, cache);
}

/* The end of a thread, called among its other destructors in any order. What comes later goes without a cache. A
 * thread that first allocates in the very last round of destructors is not called back: its cache stays in the list. */
static void end(void *argument) {
	struct cache *cache = argument;
	word_set(&thread_none);
	delist(cache);
	struct arena *arena = cache->arena;
	cache_bequeath(cache);
	bury(cache);
	arena_leave(arena);
}

STARTUP bool thread_prepare_end(void) {
	return pthread_key_create(&known.end_key, end) == 0;
}

unsigned thread_count(void) {
	return load_relaxed(&count);
}

void thread_each_cache(void (*visit)(const struct cache *, void *), void *opaque) {
	lock_take(&threads_lock);
	list_each (&threads, node)
		visit(container_of(node, struct cache, link), opaque);
	explicit_each(visit, opaque);
	lock_drop(&threads_lock);
}

static void add_bytes(const struct cache *cache, void *sum) {
	*(size_t *)sum += cache_bytes(cache);
}

size_t thread_cached_bytes(void) {
	size_t sum = cache_shared_bytes();
	thread_each_cache(add_bytes, &sum);
	return sum;
}

void thread_call_all(void) {
	lock_take(&threads_lock);
	list_each (&threads, node)
		store_release(&container_of(node, struct cache, link)->attend, true);
	lock_drop(&threads_lock);
}

int thread_set_arena(struct cache *cache, struct arena *arena) {
	struct arena *old = cache->arena;
	if (arena == old)
		return 0;
	if (arena_per_cpu() && !arena_is_manual(arena))
		return EPERM;
	if (!arena_join(arena)) /* destroyed since it was found */
		return EFAULT;
	cache_move(cache, arena, !arena_is_manual(arena));
	arena_leave(old);
	if (load_relaxed(&old->threads) == 0 && !thread_helper_runs())
		thread_purge(old, true);
	return 0;
}

/* Counted first: who attends takes the request down before it looks at the count (watch_attend). */
void thread_ask_to_flush(struct cache *own) {
	uint32_t now = add_relaxed(&trims, 1) + 1;
	thread_call_all();
	if (own != NULL)
		own->trims = now;
}

void thread_flush_if_asked(struct cache *cache) {
	uint32_t now = load_relaxed(&trims);
	if (cache->trims == now)
		return;
	cache->trims = now;
	cache_flush(cache, false);
}

size_t thread_trim(void) {
	struct cache *cache = thread_enter();
	if (cache != NULL)
		cache_flush(cache, false);
	thread_ask_to_flush(cache);
	thread_bury_others();
	cache_drain_shared(true);
	uint64_t before = arena_count_given();
	thread_purge(NULL, true);
	uint64_t after = arena_count_given();
	return after > before ? (size_t)(after - before) * PAGE : 0;
}

/* -- after fork ------------------------------------------------------------------------------------------------ */

void thread_forget_others(void) {
	struct cache *self = thread_self();
	lock_take(&threads_lock);
	list_each_safe (&threads, node) {
		if (self != NULL && node == &self->link)
			continue;
		list_remove(node);
		list_push(&orphans, node);
	}
	store_relaxed(&has_orphans, !list_empty(&orphans));
	store_relaxed(&count, self != NULL);
	cache_note_threads(self != NULL);
	explicit_forget_others();
	lock_drop(&threads_lock);
	arena_forget_threads(self == NULL ? NULL : self->arena);
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
		if (cache != NULL && !load_relaxed(&cache->busy))
			bury(cache);
	} while (node != NULL);
}
