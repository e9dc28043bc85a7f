/* gzip.c - reading files, compressed or not; compressing. */
#include "gzip.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define STEP         65536
#define GZIP_WINDOW  (15 + 16) /* as zlib asks for gzip */
#define LEVEL        6
#define MEMORY_LEVEL 8

static bool inflate_all(z_stream *stream, struct bytes *out, struct failure *failure) {
	unsigned char piece[STEP];
	for (;;) {
		stream->next_out = piece;
		stream->avail_out = STEP;
		int result = inflate(stream, Z_NO_FLUSH);
		bytes_add(out, piece, STEP - stream->avail_out);
		if (result == Z_STREAM_END && stream->avail_in == 0)
			return true;
		if (result == Z_STREAM_END && inflateReset(stream) != Z_OK) /* another part */
			return failure_say(failure, "gzip: %s", stream->msg != NULL ? stream->msg : "broken");
		if (result == Z_BUF_ERROR ||
		    (result == Z_OK && stream->avail_in == 0 && stream->avail_out > 0))
			return failure_say(failure, "byte %lu: the compressed file was cut off",
			                   stream->total_in);
		if (result != Z_OK && result != Z_STREAM_END)
			return failure_say(failure, "byte %lu: broken gzip: %s", stream->total_in,
			                   stream->msg != NULL ? stream->msg : "no reason given");
		if (out->length > MOST_BYTES)
			return failure_say(failure, "more than 1 GiB when uncompressed");
	}
}

/* The data in place of the compressed data. */
static bool uncompress_bytes(struct bytes *bytes, struct failure *failure) {
	z_stream stream = {.next_in = bytes->data, .avail_in = (uInt)bytes->length};
	struct bytes out = {0};
	if (inflateInit2(&stream, GZIP_WINDOW) != Z_OK)
		return failure_say(failure, "zlib does not start");
	bool done = inflate_all(&stream, &out, failure);
	inflateEnd(&stream);
	free(bytes->data);
	*bytes = out;
	return done;
}

bool read_file(const char *path, struct bytes *bytes, struct failure *failure) {
	char piece[STEP];
	bool input = strcmp(path, "-") == 0;
	FILE *file = input ? stdin : fopen(path, "rb");
	size_t length;
	if (file == NULL)
		return failure_say(failure, "%s", strerror(errno));
	errno = 0;
	while ((length = fread(piece, 1, sizeof piece, file)) > 0 && bytes->length <= MOST_BYTES)
		bytes_add(bytes, piece, length);
	int error = ferror(file) ? errno : 0;
	if (!input)
		fclose(file);
	if (error != 0)
		return failure_say(failure, "%s", strerror(error));
	if (bytes->length > MOST_BYTES)
		return failure_say(failure, "more than 1 GiB");
	bool compressed = bytes->length >= 2 && bytes->data[0] == 0x1f && bytes->data[1] == 0x8b;
	return !compressed || uncompress_bytes(bytes, failure);
}

void compress_bytes(const struct bytes *data, struct bytes *out) {
	unsigned char piece[STEP];
	z_stream stream = {.next_in = data->data, .avail_in = (uInt)data->length};
	if (deflateInit2(&stream, LEVEL, Z_DEFLATED, GZIP_WINDOW, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
		abort();
	for (int result = Z_OK; result != Z_STREAM_END;) {
		stream.next_out = piece;
		stream.avail_out = STEP;
		result = deflate(&stream, Z_FINISH);
		bytes_add(out, piece, STEP - stream.avail_out);
	}
	deflateEnd(&stream);
}
