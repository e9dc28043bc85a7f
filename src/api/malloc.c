/* malloc.c - the standard functions. */
#include <errno.h>
#include <string.h>
#include "ctl/ctl.h"
#include "guard/guard.h"
#include "os/os.h"
#include "api/api.h"
#include "api/fast.h"

EXPORT ALIGNED_LINE void *malloc(size_t size) {
	return lane_malloc(size);
}

EXPORT ALIGNED_LINE void free(void *ptr) {
	lane_free(ptr);
}

EXPORT void cfree(void *ptr) {
	lane_free(ptr);
}

/* The size is a promise nobody needs: the page map knows it. */
EXPORT ALIGNED_LINE void free_sized(void *ptr, size_t size) {
	full_check_size(ptr, size, 1);
	lane_free(ptr);
}

EXPORT void free_aligned_sized(void *ptr, size_t align, size_t size) {
	full_check_size(ptr, size, align);
	lane_free(ptr);
}

/* Clears a block of a request of at most 64 bytes: its class is the request rounded up to 16, or 8. */
ALWAYS_INLINE void clear_small(char *block, size_t size) {
	if (size <= 8) {
		memset(block, 0, 8);
		return;
	}
	switch ((size - 1) / 16) {
	case 3:
		memset(block + 48, 0, 16);
		__attribute__((fallthrough));
	case 2:
		memset(block + 32, 0, 16);
		__attribute__((fallthrough));
	case 1:
		memset(block + 16, 0, 16);
		__attribute__((fallthrough));
	default:
		memset(block, 0, 16);
	}
}

EXPORT void *calloc(size_t count, size_t size) {
	size_t total;
	if (unlikely(__builtin_mul_overflow(count, size, &total) || total >= LARGE_MIN))
		return full_calloc(count, size);
	char *block = lane_malloc(total);
	if (unlikely(block == NULL))
		return NULL;
	if (total <= 64)
		clear_small(block, total);
	else
		memset(block, 0,
		       class_info[size_class(total)].bytes); /* whole: see rallocx with MALLOCX_ZERO */
	return block;
}

/* realloc(ptr, 0) of a block, by zero_realloc. */
static void *realloc_to_nothing(void *ptr) {
	add_relaxed(&ctl_zero_reallocs, 1);
	switch (opt_now(zero_realloc)) {
	case ZERO_REALLOC_ALLOC:
		return full_realloc(ptr, 1);
	case ZERO_REALLOC_ABORT:
		guard_message("Called realloc(non-null-ptr, 0) with zero_realloc:abort set\n");
		os_abort();
	default:
		lane_free(ptr);
		return NULL;
	}
}

EXPORT void *realloc(void *ptr, size_t size) {
	if (ptr == NULL)
		return opt_now(xmalloc) ? full_malloc_as(size, "in realloc(): out of memory")
		                        : lane_malloc(size);
	if (unlikely(size == 0))
		return realloc_to_nothing(ptr);
	return full_realloc(ptr, size);
}

EXPORT void *reallocarray(void *ptr, size_t count, size_t size) {
	size_t total;
	if (unlikely(__builtin_mul_overflow(count, size, &total)))
		return full_fail(ENOMEM, "in reallocarray(): out of memory");
	return realloc(ptr, total);
}

/* As realloc, but a block that cannot be resized is freed. */
EXPORT void *reallocf(void *ptr, size_t size) {
	void *block = realloc(ptr, size);
	if (block == NULL && ptr != NULL && size != 0)
		lane_free(ptr);
	return block;
}

EXPORT int posix_memalign(void **out, size_t align, size_t size) {
	int saved = errno;
	if (!is_power_of_two(align) || align < sizeof(void *)) {
		(void)full_fail(EINVAL, "allocating aligned memory: invalid alignment");
		errno = saved;
		return EINVAL;
	}
	void *block = full_aligned(size_max(size, 1), align);
	errno = saved;
	if (block == NULL)
		return ENOMEM;
	*out = block;
	return 0;
}

EXPORT void *aligned_alloc(size_t align, size_t size) {
	if (!is_power_of_two(align))
		return full_fail(EINVAL, "allocating aligned memory: invalid alignment");
	return full_aligned(size_max(size, 1), align);
}

EXPORT void *memalign(size_t align, size_t size) {
	return aligned_alloc(align, size);
}

/* The system's page; known only after the start. */
static size_t os_page(void) {
	return thread_start() ? os.page_size : PAGE;
}

EXPORT void *valloc(size_t size) {
	return full_aligned(size, os_page());
}

EXPORT void *pvalloc(size_t size) {
	size_t whole = round_up(size, os_page());
	if (whole < size)
		return full_fail(ENOMEM, "allocating aligned memory: out of memory");
	return full_aligned(whole, os_page());
}

EXPORT size_t malloc_usable_size(void *ptr) {
	return full_usable(ptr);
}
