/* file.h - small files of the system, read whole; private to this floor. Nothing here is a cancellation
 * point: a thread that is being cancelled must not end inside the allocator. */
#ifndef ASHLAR_OS_FILE_H
#define ASHLAR_OS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads at most size - 1 bytes of the file into buffer, terminated. False (and an empty string) when the
 * file cannot be read. Size is at least 1. Does not change errno. */
bool file_read(const char *path, char *buffer, size_t size);

/* Takes a decimal number off the front of *at after blanks; false, and *at as it was, when there is none.
 * A number that does not fit is the largest one. */
bool file_take_number(const char **at, uint64_t *out);

#endif
