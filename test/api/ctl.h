/*
 * ctl.h - mallctl for tests: reads and writes of one value that must succeed, and the error of any call.
 */
#ifndef TEST_API_CTL_H
#define TEST_API_CTL_H

#include "api.h"

#ifdef ASHLAR_PREFIXED
#define SUT_CTL(name) ashlar_##name
#else
#define SUT_CTL(name) name
#endif

int SUT_CTL(mallctl)(const char *name, void *old, size_t *old_size, void *new, size_t new_size);
void *SUT_CTL(mallocx)(size_t size, int flags);
void *SUT_CTL(rallocx)(void *ptr, size_t size, int flags);
size_t SUT_CTL(xallocx)(void *ptr, size_t size, size_t extra, int flags);
void SUT_CTL(dallocx)(void *ptr, int flags);

#define FLAG_TCACHE(id)  (((int)(id) + 2) << 8)
#define FLAG_TCACHE_NONE 0x100
#define FLAG_TCACHE_MASK 0xfff00
#define FLAG_ARENA(i)    (((int)(i) + 1) << 20)

TEST_OPAQUE void *t_mallocx(size_t size, int flags) {
	TEST_HIDE(size);
	void *ptr = SUT_CTL(mallocx)(size, flags);
	TEST_HIDE(ptr);
	return ptr;
}

TEST_OPAQUE void *t_rallocx(void *ptr, size_t size, int flags) {
	TEST_HIDE(ptr);
	void *moved = SUT_CTL(rallocx)(ptr, size, flags);
	TEST_HIDE(moved);
	return moved;
}

TEST_OPAQUE void t_dallocx(void *ptr, int flags) {
	TEST_HIDE(ptr);
	SUT_CTL(dallocx)(ptr, flags);
}

/* The error of a call with all there is. */
TEST_OPAQUE int ctl(const char *name, void *old, size_t *old_size, const void *new, size_t new_size) {
	void *hidden = (void *)(uintptr_t) new;
	return SUT_CTL(mallctl)(name, old, old_size, hidden, new_size);
}

TEST_OPAQUE int ctl_read(const char *name, void *old, size_t size) {
	size_t got = size;
	int error = ctl(name, old, &got, NULL, 0);
	if (error == 0)
		CHECK(got == size);
	return error;
}

TEST_OPAQUE int ctl_write(const char *name, const void *new, size_t size) {
	return ctl(name, NULL, NULL, new, size);
}

TEST_OPAQUE int ctl_do(const char *name) {
	return ctl(name, NULL, NULL, NULL, 0);
}

/* A value of the type by name; ends the test when there is none. */
#define CTL_GET(type, name) \
	__extension__({ \
		type value_; \
		CHECK(ctl_read((name), &value_, sizeof value_) == 0); \
		value_; \
	})
#define CTL_SET(type, name, new) \
	__extension__({ \
		type new_ = (new); \
		ctl_write((name), &new_, sizeof new_); \
	})

#endif
