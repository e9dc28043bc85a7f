/* facts.c - what the machine is like: read once at the start, from libc, /proc and /sys.
 *
 * Every question has an answer that is right for most machines, taken where the system does not tell. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "util/util.h"
#include "os/os.h"
#include "os/file.h"

#define DEFAULT_PAGE_SIZE ((size_t)4096)
#define DEFAULT_MAX_MAPS  ((size_t)65530)

struct os_facts os = {
	.page_size = DEFAULT_PAGE_SIZE,
	.cpus = 1,
	.cpus_there = 1,
	.thp = OS_THP_UNKNOWN,
	.overcommits = true,
	.max_maps = DEFAULT_MAX_MAPS,
};

STARTUP static size_t probe_page_size(void) {
	size_t size = getauxval(AT_PAGESZ);
	return size >= DEFAULT_PAGE_SIZE && is_power_of_two(size) ? size : DEFAULT_PAGE_SIZE;
}

/* CPUs in the affinity mask. */
STARTUP static unsigned probe_affinity(void) {
	unsigned count = os_note_cpus();
	if (count == 0) {
		long online = sysconf(_SC_NPROCESSORS_ONLN);
		count = online > 0 ? (unsigned)online : 0;
	}
	return count > 0 ? count : 1;
}

/* The memberships have lines of some hundred bytes, a dozen at most; in the odd longer file the rest counts
 * as no limit. */
STARTUP static void probe_group(void) {
	struct os_group group = {.cpus = os.cpus_there};
	char membership[4096];
	if (file_read("/proc/self/cgroup", membership, sizeof membership))
		os_read_group("/sys/fs/cgroup", membership, &group);
	os.cpus = group.cpus;
	os.memory_max = group.memory_max;
	os.memory_high = group.memory_high;
}

STARTUP static size_t probe_memory(void) {
	struct sysinfo info;
	return sysinfo(&info) == 0 ? (size_t)info.totalram * info.mem_unit : 0;
}

/* The file lists the modes with the current one in brackets: "always [madvise] never". */
STARTUP static enum os_thp probe_thp(void) {
	char modes[64];
	if (prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1)
		return OS_THP_NEVER;
	if (!file_read("/sys/kernel/mm/transparent_hugepage/enabled", modes, sizeof modes))
		return OS_THP_UNKNOWN;
	for (const char *at = modes; *at != 0; at++) {
		if (*at != '[')
			continue;
		switch (at[1]) {
		case 'a':
			return OS_THP_ALWAYS;
		case 'm':
			return OS_THP_MADVISE;
		case 'n':
			return OS_THP_NEVER;
		default:
			return OS_THP_UNKNOWN;
		}
	}
	return OS_THP_UNKNOWN;
}

/* The number in a file of one number; `otherwise` when there is none. */
STARTUP static uint64_t probe_number(const char *path, uint64_t otherwise) {
	char line[32];
	const char *at = line;
	uint64_t value = otherwise;
	if (file_read(path, line, sizeof line))
		(void)file_take_number(&at, &value);
	return value;
}

STARTUP void os_start(void) {
	int saved = errno;
	os.page_size = probe_page_size();
	os.cpus_there = probe_affinity();
	probe_group();
	os.memory = probe_memory();
	os.thp = probe_thp();
	os.overcommits = probe_number("/proc/sys/vm/overcommit_memory", 0) != 2;
	os.max_maps = (size_t)probe_number("/proc/sys/vm/max_map_count", DEFAULT_MAX_MAPS);
	errno = saved;
}

size_t os_space_limit(void) {
	size_t least = SIZE_MAX;
	int saved = errno;
	struct rlimit limit;
	if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
		least = (size_t)limit.rlim_cur;
	if (getrlimit(RLIMIT_DATA, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
		least = size_min(least, (size_t)limit.rlim_cur);
	errno = saved;
	return least;
}

/* The file counts in the kernel's own pages, whatever os.page_size says. */
size_t os_resident(void) {
	int saved = errno;
	char line[128];
	const char *at = line;
	uint64_t total = 0, resident = 0;
	size_t bytes = 0;
	if (file_read("/proc/self/statm", line, sizeof line) && file_take_number(&at, &total) &&
	    file_take_number(&at, &resident))
		bytes = (size_t)resident * getauxval(AT_PAGESZ);
	errno = saved;
	return bytes;
}

/* The file has some twenty lines, "AnonHugePages:      2048 kB" among them. */
size_t os_huge_resident(void) {
	static const char name[] = "AnonHugePages:";
	int saved = errno;
	char text[2048];
	uint64_t kilobytes = 0;
	if (file_read("/proc/self/smaps_rollup", text, sizeof text)) {
		const char *at = strstr(text, name);
		if (at != NULL) {
			at += sizeof name - 1;
			(void)file_take_number(&at, &kilobytes);
		}
	}
	errno = saved;
	return (size_t)kilobytes * KIB;
}
