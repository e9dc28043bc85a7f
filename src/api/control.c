/* control.c - settings and figures by name, and the variables a program may set. */
#include "ctl/ctl.h"
#include "thread/thread.h"
#include "api/api.h"

#include <errno.h>

/* Weak, so that the program's own definition takes their place also in a static link. */
EXPORT __attribute__((weak)) const char *malloc_conf;
EXPORT __attribute__((weak)) const char *malloc_conf_2_conf_harder;
EXPORT __attribute__((weak)) void (*malloc_message)(void *opaque, const char *text);

EXPORT int mallctl(const char *name, void *old, size_t *old_size, void *new_value, size_t new_size) {
	if (!thread_start())
		return EAGAIN;
	return ctl_by_name(name, &(struct ctl_call){old, old_size, new_value, new_size});
}

EXPORT int mallctlnametomib(const char *name, size_t *mib, size_t *length) {
	return thread_start() ? ctl_name_to_mib(name, mib, length) : EAGAIN;
}

/* NOLINTNEXTLINE(readability-function-size): its parameters are given */
EXPORT int mallctlbymib(const size_t *mib, size_t length, void *old, size_t *old_size, void *new_value,
                        size_t new_size) {
	if (!thread_start())
		return EAGAIN;
	return ctl_by_mib(mib, length, &(struct ctl_call){old, old_size, new_value, new_size});
}

EXPORT void malloc_stats_print(void (*write)(void *, const char *), void *opaque, const char *options) {
	if (thread_start())
		ctl_print(write, opaque, options);
}
