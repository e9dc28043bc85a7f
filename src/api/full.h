/* full.h - the full lane: everything the fast lane leaves out, one function per kind of request.
 *
 * On failure these return NULL and set errno to ENOMEM (and with xmalloc:true do not return). */
#ifndef ASHLAR_API_FULL_H
#define ASHLAR_API_FULL_H

#include "util/util.h"

/* malloc of any size. The second names the call in its message of failure, "in CALL(): out of memory". */
void *full_malloc(size_t size);
void *full_malloc_as(size_t size, const char *what);
/* free of any pointer; NULL is fine. Keeps errno. Reports pointers that are not blocks. */
void full_free(void *ptr);
/* `size` bytes at a multiple of `align`, a power of two. */
void *full_aligned(size_t size, size_t align);
/* calloc of any product; overflow is out of memory. */
void *full_calloc(size_t count, size_t size);
/* realloc of a block (not NULL) to a size that is not 0. */
void *full_realloc(void *ptr, size_t size);
/* Usable size; 0 for NULL and for what is not a block of ours. */
size_t full_usable(const void *ptr);

/* errno = error, or with xmalloc:true the message "Error WHAT" and an end. Returns NULL. */
void *full_fail(int error, const char *what);

#endif
