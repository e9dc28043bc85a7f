/*
 * To be preloaded before the library: lets it believe that it runs on another machine.
 *
 *   PRETEND_ROOT=DIR    /proc/self/cgroup and what is below /sys/fs/cgroup are read from below DIR
 *   PRETEND_CPUS=N      the affinity mask has N CPUs
 *
 *   mkdir -p DIR/proc/self DIR/sys/fs/cgroup/pod
 *   echo 0::/pod >DIR/proc/self/cgroup
 *   echo 100000 100000 >DIR/sys/fs/cgroup/pod/cpu.max
 *   echo 536870912 >DIR/sys/fs/cgroup/pod/memory.max
 *   PRETEND_ROOT=DIR PRETEND_CPUS=64 LD_PRELOAD=pretend.so:libashlar.so.1 program
 *
 * The library reads files and affinity by syscall(), which is replaced here.  All this runs inside the first malloc.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static long call_system(long number, const long *arguments) {
#if defined(__x86_64__)
	register long r10 __asm__("r10") = arguments[3];
	register long r8 __asm__("r8") = arguments[4];
	register long r9 __asm__("r9") = arguments[5];
	long result;
	__asm__ volatile("syscall"
	                 : "=a"(result)
	                 : "a"(number), "D"(arguments[0]), "S"(arguments[1]), "d"(arguments[2]), "r"(r10),
	                   "r"(r8), "r"(r9)
	                 : "rcx", "r11", "memory");
	return result;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = arguments[0];
	register long x1 __asm__("x1") = arguments[1];
	register long x2 __asm__("x2") = arguments[2];
	register long x3 __asm__("x3") = arguments[3];
	register long x4 __asm__("x4") = arguments[4];
	register long x5 __asm__("x5") = arguments[5];
	__asm__ volatile("svc 0"
	                 : "+r"(x0)
	                 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
	                 : "memory");
	return x0;
#else
	(void)number, (void)arguments;
	return -ENOSYS;
#endif
}

/* The path to open instead, in `buffer`, or the same. */
static const char *other_path(const char *path, char *buffer, size_t size) {
	static const char mount[] = "/sys/fs/cgroup";
	const char *root = environ == NULL ? NULL : getenv("PRETEND_ROOT");
	if (root == NULL ||
	    (strcmp(path, "/proc/self/cgroup") != 0 && strncmp(path, mount, sizeof mount - 1) != 0))
		return path;
	if (strlen(root) + strlen(path) >= size)
		abort();
	return strcat(strcpy(buffer, root), path);
}

/* The affinity mask of a machine with `count` CPUs. */
static long pretend_cpus(long count, size_t size, cpu_set_t *mask) {
	memset(mask, 0, size);
	while (count-- > 0)
		CPU_SET_S((size_t)count, size, mask);
	return (long)size;
}

/* The prototype is the C library's. */
EXPORT long syscall(long number, ...) {
	long arguments[6];
	char path[4096];
	va_list list;
	va_start(list, number);
	for (int i = 0; i < 6; i++)
		arguments[i] = va_arg(list, long);
	va_end(list);
	if (number == SYS_openat)
		arguments[1] = (long)other_path((const char *)arguments[1], path, sizeof path);
	const char *cpus = environ == NULL || number != SYS_sched_getaffinity ? NULL : getenv("PRETEND_CPUS");
	if (cpus != NULL)
		return pretend_cpus(strtol(cpus, NULL, 10), (size_t)arguments[1], (cpu_set_t *)arguments[2]);
	long result = call_system(number, arguments);
	if (result >= 0 || result < -4095)
		return result;
	errno = (int)-result;
	return -1;
}
