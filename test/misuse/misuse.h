/*
 * misuse.h - for programs that do one wrong thing each.  A program names the pointer it is about to misuse,
 * misuses it, and then may have to fill its thread cache until the wrong pointer is flushed and seen.
 */
#ifndef TEST_MISUSE_MISUSE_H
#define TEST_MISUSE_MISUSE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "../harness.h"

#include <pthread.h>

/* Tells the driver which pointer the message must name. */
static inline void *name(void *ptr) {
	char text[64];
	int length = snprintf(text, sizeof text, "%p\n", ptr);
	if (write(1, text, (size_t)length) != length)
		_exit(99);
	return ptr;
}

enum { CROWD = 20000 };

static void *crowd[CROWD];

/* Takes more blocks of a size than any cache holds, before the misuse. */
static __attribute__((unused)) void gather(size_t size) {
	for (size_t i = 0; i < CROWD; i++)
		if ((crowd[i] = malloc(size)) == NULL)
			_exit(98);
}

/* Frees them, which pushes whatever lies in the cache down to its bin. */
static __attribute__((unused)) void disperse(void) {
	for (size_t i = 0; i < CROWD; i++)
		free(crowd[i]);
}

/* Runs the body in a thread, whose end flushes all it cached. */
static __attribute__((unused)) void in_thread(void *(*body)(void *), void *argument) {
	pthread_t thread;
	if (pthread_create(&thread, NULL, body, argument) != 0 || pthread_join(thread, NULL) != 0)
		_exit(97);
}

#endif
