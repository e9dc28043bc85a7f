/* libc.c - the C library's second names of its allocator, for callers that bypass the first. */
#include "api/api.h"
#include "api/fast.h"

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *ptr, size_t size);
void *__libc_reallocarray(void *ptr, size_t count, size_t size);
void *__libc_memalign(size_t align, size_t size);
void *__libc_valloc(size_t size);
void *__libc_pvalloc(size_t size);
void __libc_free(void *ptr);
void __libc_free_sized(void *ptr, size_t size);
void __libc_free_aligned_sized(void *ptr, size_t align, size_t size);
int __posix_memalign(void **out, size_t align, size_t size);

EXPORT void *__libc_malloc(size_t size) {
	return lane_malloc(size);
}

EXPORT void *__libc_calloc(size_t count, size_t size) {
	return calloc(count, size);
}

EXPORT void *__libc_realloc(void *ptr, size_t size) {
	return realloc(ptr, size);
}

EXPORT void *__libc_reallocarray(void *ptr, size_t count, size_t size) {
	return reallocarray(ptr, count, size);
}

EXPORT void *__libc_memalign(size_t align, size_t size) {
	return memalign(align, size);
}

EXPORT void *__libc_valloc(size_t size) {
	return valloc(size);
}

EXPORT void *__libc_pvalloc(size_t size) {
	return pvalloc(size);
}

EXPORT void __libc_free(void *ptr) {
	lane_free(ptr);
}

EXPORT void __libc_free_sized(void *ptr, size_t size) {
	free_sized(ptr, size);
}

EXPORT void __libc_free_aligned_sized(void *ptr, size_t align, size_t size) {
	free_aligned_sized(ptr, align, size);
}

EXPORT int __posix_memalign(void **out, size_t align, size_t size) {
	return posix_memalign(out, align, size);
}
