/* inside.h - what the files of thread/ share; nobody else includes it. */
#ifndef ASHLAR_THREAD_INSIDE_H
#define ASHLAR_THREAD_INSIDE_H

#include "thread/lock.h"
#include "thread/thread.h"

/* Tells whether the thread word is at a fixed distance from the thread pointer, so that there can be a fast lane. Before
 * any other access to the word. */
void word_start(bool fixed);
struct cache *word_get(void);
void word_set(struct cache *cache);
/* For event_hooks: the thread does without its cache until word_resume. */
void *word_suspend(void);
void word_resume(void *was);
bool word_suspended(void);

/* Asks to be called when threads end. False: not possible. */
bool thread_prepare_end(void);

/* In a forked child: only the calling thread is left. Caches of the others are put aside... */
void thread_forget_others(void);
/* ...and flushed later, off the path from fork to exec. */
void thread_bury_others(void);

/* Asks the threads to return their caches' blocks when they next come to the full lane; not the one with `own`, which may
 * be NULL. Takes THREADS. / In a thread that attends: does so if it was asked since the last time. */
void thread_ask_to_flush(struct cache *own);
void thread_flush_if_asked(struct cache *cache);

void watch_start(void);
/* True where threads are watched from birth. */
bool watch_all(void);
/* What the full lane does beyond serving the call, in threads asked to attend: flushes, follows the CPU, calls back. */
void watch_attend(struct cache *cache);
/* Gives back a front. */
void watch_end(struct cache *front);

/* In a forked child: a cache somebody was working on may disagree with the arenas, and starts anew. */
void explicit_forget_others(void);
void explicit_each(void (*visit)(const struct cache *, void *), void *opaque);

/* The threads lock. */
extern HIDDEN struct lock threads_lock;

/* limit.c: the limits of memory. Where they come from at start. */
void limit_start(void);
/* Counts what the process holds now. True: that is above the soft limit, everything unused is to be given back. */
bool limit_exceeded(void);
/* For event_hooks. */
bool limit_grow(size_t more);
void limit_grown(struct pages *pages, size_t more);
bool limit_refill(size_t pages);
/* Would the hard limit refuse `size` bytes more? */
bool limit_refuses(size_t size);
/* In a forked child: what others were about to take. */
void limit_forget_others(void);

void tick_start(void);
/* In a forked child: the helper thread does not exist there. */
void tick_forget_helper(void);

void fork_start(void);

#endif
