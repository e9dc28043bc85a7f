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

void tick_start(void);
/* In a forked child: the helper thread does not exist there. */
void tick_forget_helper(void);

void fork_start(void);

#endif
