/* file.c - reading and writing without stdio, without allocation and without cancellation points. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/util.h"
#include "os/os.h"
#include "os/file.h"

/* open, read, write and close of libc are cancellation points; the bare system calls are not. */
static int file_open(const char *path, int flags) {
	long fd;
	do
		fd = syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0644);
	while (fd < 0 && errno == EINTR);
	return (int)fd;
}

static size_t read_all(int fd, char *buffer, size_t size) {
	size_t used = 0;
	while (used < size) {
		long got = syscall(SYS_read, fd, buffer + used, size - used);
		if (got > 0)
			used += (size_t)got;
		else if (got == 0 || errno != EINTR)
			break;
	}
	return used;
}

STARTUP bool file_read(const char *path, char *buffer, size_t size) {
	int saved = errno;
	size_t used = 0;
	int fd = file_open(path, O_RDONLY);
	if (fd >= 0) {
		used = read_all(fd, buffer, size - 1);
		(void)syscall(SYS_close, fd);
	}
	buffer[used] = 0;
	errno = saved;
	return used != 0;
}

STARTUP bool file_take_number(const char **at, uint64_t *out) {
	const char *p = *at;
	while (*p == ' ' || *p == '\t' || *p == '\n')
		p++;
	if (*p < '0' || *p > '9')
		return false;
	uint64_t value = 0;
	for (; *p >= '0' && *p <= '9'; p++) {
		unsigned digit = (unsigned)(*p - '0');
		value = value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : value * 10 + digit;
	}
	*at = p;
	*out = value;
	return true;
}

int os_create(const char *path) {
	int saved = errno, fd = file_open(path, O_WRONLY | O_CREAT | O_TRUNC), error = errno;
	errno = saved;
	return fd < 0 ? -error : fd;
}

int os_open(const char *path) {
	int saved = errno, fd = file_open(path, O_RDONLY), error = errno;
	errno = saved;
	return fd < 0 ? -error : fd;
}

void os_close(int file) {
	int saved = errno;
	(void)syscall(SYS_close, file);
	errno = saved;
}

size_t os_read(int file, void *buffer, size_t size) {
	int saved = errno;
	long got;
	do
		got = syscall(SYS_read, file, buffer, size);
	while (got < 0 && errno == EINTR);
	errno = saved;
	return got < 0 ? 0 : (size_t)got;
}

size_t os_read_at(int file, void *buffer, size_t size, uint64_t offset) {
	int saved = errno;
	long got = syscall(SYS_pread64, file, buffer, size, offset);
	errno = saved;
	return got < 0 ? 0 : (size_t)got;
}

int os_write_all(int file, const void *data, size_t size) {
	int saved = errno, error = 0;
	const char *at = data;
	while (size > 0 && error == 0) {
		long done = syscall(SYS_write, file, at, size);
		if (done > 0) {
			at += done;
			size -= (size_t)done;
		} else if (done == 0 || errno != EINTR) {
			error = done == 0 ? EIO : errno;
		}
	}
	errno = saved;
	return error;
}

void os_write(int fd, const char *data, size_t size) {
	(void)os_write_all(fd, data, size);
}

STARTUP const char *os_env(const char *name) {
	int saved = errno;
	const char *value = secure_getenv(name);
	errno = saved;
	return value;
}

STARTUP bool os_read_link(const char *path, char *buffer, size_t size) {
	int saved = errno;
	ssize_t length = readlink(path, buffer, size);
	errno = saved;
	/* A target that fills the buffer may have been cut, and leaves no room for the terminator. */
	bool whole = length >= 0 && (size_t)length < size;
	buffer[whole ? length : 0] = 0;
	return whole;
}
