/* tls.h - one word at a fixed distance from the thread pointer.
 *
 * Reading `thread pointer + offset` with the offset in a variable costs what initial-exec TLS costs (one load for the
 * offset, one for the word) and lets the library be loaded after static TLS is used up: see doc/decisions/thread-word.md. */
#ifndef ASHLAR_UTIL_TLS_H
#define ASHLAR_UTIL_TLS_H

#include <stddef.h>
#include <stdint.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#endif

static inline uintptr_t tls_pointer(void) {
	uintptr_t pointer;
#if defined(__x86_64__)
	__asm__("mov %%fs:0, %0" : "=r"(pointer));
#elif defined(__aarch64__)
	__asm__("mrs %0, tpidr_el0" : "=r"(pointer));
#else
	pointer = (uintptr_t)__builtin_thread_pointer();
#endif
	return pointer;
}

/* The word at `offset` from the thread pointer. */
static inline void *tls_word(ptrdiff_t offset) {
#if defined(__x86_64__) && !defined(SANITIZED)
	return *(void *__seg_fs *)(uintptr_t)offset; /* one instruction instead of two */
#else
	return *(void **)(tls_pointer() + (uintptr_t)offset);
#endif
}

#endif
