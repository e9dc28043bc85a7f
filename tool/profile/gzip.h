/* gzip.h - files that may be compressed. Needs zlib. */
#ifndef PROFILE_GZIP_H
#define PROFILE_GZIP_H

#include "profile.h"

#define MOST_BYTES (1u << 30) /* of a file, and of what a compressed one becomes */

/* Reads a file, or standard input for "-", and uncompresses it if it is gzip. */
bool read_file(const char *path, struct bytes *bytes, struct failure *failure);
/* Appends the data compressed as gzip. */
void compress_bytes(const struct bytes *data, struct bytes *out);

#endif
