/* quiet_heap.h - the process's own malloc while a test looks inside the library.
 *
 * cmocka and stdio allocate. Were that served by the library linked into the test, its arenas and pool would be
 * started and used behind the test's back, and on fake memory at that. These few functions bump through a static
 * array instead and never free. A sanitizer has its own malloc; there the library's names carry a prefix. */
#ifndef TEST_QUIET_HEAP_H
#define TEST_QUIET_HEAP_H

#ifndef ASHLAR_PREFIXED

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#define QUIET_SIZE ((size_t)64 << 20)

void *(malloc)(size_t size);
void *(calloc)(size_t num, size_t size);
void *(realloc)(void *ptr, size_t size);
void(free)(void *ptr);

static _Alignas(64) unsigned char quiet_heap[QUIET_SIZE];
static atomic_size_t quiet_used;

/* Each block has its size in the 16 bytes before it. */
void *(malloc)(size_t size) {
	if (size > QUIET_SIZE)
		return NULL;
	size_t need = 16 + ((size + 15) & ~(size_t)15);
	size_t at = atomic_fetch_add(&quiet_used, need);
	if (at + need > QUIET_SIZE)
		return NULL;
	memcpy(quiet_heap + at, &size, sizeof size);
	return quiet_heap + at + 16;
}

void *(calloc)(size_t num, size_t size) {
	size_t bytes;
	return __builtin_mul_overflow(num, size, &bytes) ? NULL
	                                                 : (malloc)(bytes); /* never reused: still zero */
}

void *(realloc)(void *ptr, size_t size) {
	void *fresh = (malloc)(size);
	if (fresh != NULL && ptr != NULL) {
		size_t old;
		memcpy(&old, (unsigned char *)ptr - 16, sizeof old);
		memcpy(fresh, ptr, old < size ? old : size);
	}
	return fresh;
}

void(free)(void *ptr) {
	(void)ptr;
}

#endif
#endif
