/* rseq.c - whether there are restartable sequences, and the fence against them. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/util.h"
#include "os/os.h"
#include "os/file.h"

/* The kernel's numbers: its header may be older. Linux 5.10. */
#define MEMBARRIER_QUERY         0
#define MEMBARRIER_RSEQ          (1 << 7)
#define MEMBARRIER_REGISTER_RSEQ (1 << 8)
#define MEMBARRIER_ON_CPU        1u

#define AREA_LEAST 20 /* bytes of it that are used */

ptrdiff_t rseq_offset;

/* glibc 2.35 and later; other C libraries have none of them. Size 0: the kernel has no sequences, or the user wants none. */
extern const ptrdiff_t __rseq_offset __attribute__((weak));   /* NOLINT(bugprone-reserved-identifier) */
extern const unsigned int __rseq_size __attribute__((weak));  /* NOLINT(bugprone-reserved-identifier) */
extern const unsigned int __rseq_flags __attribute__((weak)); /* NOLINT(bugprone-reserved-identifier) */

#ifdef RSEQ_KNOWN
static long membarrier(int command, unsigned flags, unsigned cpu) {
	int saved = errno;
	long result = syscall(SYS_membarrier, command, flags, cpu);
	errno = saved;
	return result;
}

bool os_rseq_after_fork(void) {
	return membarrier(MEMBARRIER_REGISTER_RSEQ, 0, 0) == 0;
}

bool os_rseq_fence(unsigned cpu) {
	return membarrier(MEMBARRIER_RSEQ, MEMBARRIER_ON_CPU, cpu) == 0;
}

bool os_rseq_start(void) {
	if (&__rseq_offset == NULL || &__rseq_size == NULL || &__rseq_flags == NULL ||
	    __rseq_size < AREA_LEAST || __rseq_flags != 0)
		return false;
	rseq_offset = __rseq_offset;
	if (load_relaxed(&rseq_own_area()->cpu) >= os_cpus_possible())
		return false;
	long known = membarrier(MEMBARRIER_QUERY, 0, 0);
	return known > 0 && (known & MEMBARRIER_RSEQ) != 0 && os_rseq_after_fork() && os_rseq_fence(0);
}
#else
bool os_rseq_after_fork(void) {
	return false;
}

bool os_rseq_fence(unsigned cpu) {
	(void)cpu;
	return false;
}

bool os_rseq_start(void) {
	return false;
}
#endif

/* The file has ranges, "0-3,8-11", the last number the highest. */
unsigned os_cpus_possible(void) {
	char ranges[256];
	uint64_t highest = os.cpus_there - 1;
	if (file_read("/sys/devices/system/cpu/possible", ranges, sizeof ranges)) {
		const char *at = ranges;
		while (file_take_number(&at, &highest) && (*at == '-' || *at == ','))
			at++;
	}
	return (unsigned)(highest < UINT16_MAX ? highest + 1 : UINT16_MAX);
}
