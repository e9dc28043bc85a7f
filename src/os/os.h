/* os.h - floor 1: the one contract with the operating system.
 *
 * Pre-conditions, for every call that takes a range: address and size are multiples of `os.page_size`, size
 * is not 0, and the range was given by os_map. Results: 0 or an errno; nothing here prints, allocates or
 * changes errno for its caller (each call saves and restores it). No locks are taken. A call that fails
 * leaves its ranges as they were.
 *
 * Facts about the machine are values in `os`, read once by os_start(). */
#ifndef ASHLAR_OS_H
#define ASHLAR_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "util/util.h"

enum os_thp { OS_THP_UNKNOWN, OS_THP_NEVER, OS_THP_MADVISE, OS_THP_ALWAYS };

/* What the control groups of the process, and all groups above, allow. */
struct os_group {
	unsigned cpus;      /* min(what it was before, ceil(quota)); at least 1 */
	size_t memory_max;  /* bytes of memory that cannot be exceeded; 0: no limit */
	size_t memory_high; /* bytes of memory above which the system slows the group down; 0: no limit */
};

/* All fields: [const after start]. */
struct os_facts {
	size_t page_size;    /* bytes; at least 4096, a power of two */
	unsigned cpus;       /* min(affinity, which follows cpusets; ceil(cgroup quotas)); at least 1 */
	unsigned cpus_there; /* by affinity alone */
	size_t memory;       /* bytes of the machine; 0: unknown */
	size_t memory_max;   /* as in struct os_group */
	size_t memory_high;
	enum os_thp thp;  /* mode of transparent huge pages, of the system and of this process */
	bool overcommits; /* false: vm.overcommit_memory is 2 */
	bool purge_lies; /* true: os_try_purge found that purged pages keep what was in them; os_purge clears them */
	size_t max_maps;    /* limit of mappings of this process */
	size_t purge_batch; /* most ranges that one call of os_purge_ranges's may purge; 0: as many as is good */
};
extern HIDDEN struct os_facts os;

/* Laid out as struct iovec. */
struct os_range {
	void *addr;
	size_t size;
};

/* Fills `os`. Called once, before any other thread can be in the allocator. Does not allocate. */
void os_start(void);

/* Lowers the limits in `group` to those under the cgroup file system mounted at `root` with the memberships listed in
 * `membership` (the text of /proc/self/cgroup). For os_start and for tests with made-up trees. */
void os_read_group(const char *root, const char *membership, struct os_group *group);

/* Maps `size` bytes of zeroed, readable, writable, not reserved memory, near `hint` if that is free (NULL:
 * anywhere). *out is multiple of os.page_size only. ENOMEM when refused. */
int os_map(void *hint, size_t size, void **out);
/* As os_map, exactly at `at` or not at all (EEXIST when something else is mapped there). */
int os_map_at(void *at, size_t size);
int os_unmap(void *addr, size_t size);

/* Gives the pages back at once; they read as zero afterwards (MADV_DONTNEED). */
int os_purge(void *addr, size_t size);
/* Tries that on a page of its own, and sets os.purge_lies. False: the system takes the call and does nothing, as some
 * emulators do. At start only. */
bool os_try_purge(void);
/* Gives the pages back when the system needs them; they read as before or as zero (MADV_FREE). */
int os_purge_lazy(void *addr, size_t size);
/* Purges several ranges, lazily or where that is refused at once, with few system calls; *calls is raised by their number.
 * Returns how many ranges were purged, from the first: all, or the next one is refused. Ranges that the kernel takes in
 * one call are purged in less than half the time. */
size_t os_purge_ranges(const struct os_range *ranges, size_t count, bool lazily, size_t *calls);
/* Replaces the range by a fresh zeroed mapping, without the marks of os_huge_pages, so that neighbouring
 * mappings can merge again. Where memory is accounted strictly it only purges. */
int os_refresh(void *addr, size_t size);
/* Moves the pages of [from, from + size) to [to, to + size), which is mapped; the old range stays mapped
 * and zero. The caller copies instead when this fails: EFAULT when the system sees the old range as several
 * mappings, ENOTSUP when it cannot move safely at all. The marks of os_huge_pages move along. */
int os_move(void *to, void *from, size_t size);
/* Lets the range, which may be accessible in part, be read and written, or be touched by nobody: then its pages are
 * given back first, also where the call fails. Each end of an inaccessible range may cost a mapping until it is accessible
 * again; ENOMEM when there are too many. */
int os_protect(void *addr, size_t size, bool accessible);
/* Asks for / forbids transparent huge pages in a range. */
int os_huge_pages(void *addr, size_t size, bool wanted);
/* Makes huge pages of the range now, resident as far as it was or not. EINVAL before Linux 6.1. */
int os_collapse(void *addr, size_t size);

/* Zeroed memory from the end of the data segment, at a multiple of `align` (a power of two, at least os.page_size). It
 * may be purged, never unmapped, moved or refreshed. ENOMEM when refused, EAGAIN when others are at it. */
int os_dss_take(size_t size, size_t align, void **out);
/* Is it memory of that kind, or between two such? */
bool os_dss_owns(const void *addr);

/* Bytes of the range that are resident; 0 when the system does not tell. What is not may still have contents: swapped out. */
size_t os_count_resident(const void *addr, size_t size);

/* Nanoseconds of a monotonic clock; the coarse one is cheaper and lags by some milliseconds. */
uint64_t os_now(void);
uint64_t os_now_coarse(void);
/* Nanoseconds since 1970. */
uint64_t os_wall_time(void);

/* Bytes of address space or of data that the process may have at most, whichever is less; SIZE_MAX: no limit. */
size_t os_space_limit(void);
/* Resident set of this process in bytes; 0 when unknown. */
size_t os_resident(void);
/* The part of it in transparent huge pages; 0 when unknown. Takes some hundred microseconds. */
size_t os_huge_resident(void);

/* Sleeps while *word == value, until woken or `timeout_ns` passed (0: no limit). May return early. */
void os_wait(_Atomic(uint32_t) *word, uint32_t value, uint64_t timeout_ns);
void os_wake(_Atomic(uint32_t) *word, int count);
void os_yield(void);

/* Writes all of `data`, ignoring errors; async-signal-safe. */
void os_write(int fd, const char *data, size_t size);

/* Files, by descriptor: for writing, made or cut to nothing (mode 0644) / for reading. Below 0: an errno, negated. */
int os_create(const char *path);
int os_open(const char *path);
void os_close(int file);
/* Bytes read, at most `size`; 0: the end, or an error. / 0, or an errno. */
size_t os_read(int file, void *buffer, size_t size);
size_t os_read_at(int file, void *buffer, size_t size, uint64_t offset);
int os_write_all(int file, const void *data, size_t size);

/* As atexit; false: no memory. / As pthread_atfork. */
bool os_at_exit(void (*function)(void *));
void os_at_fork(void (*before)(void), void (*parent)(void), void (*child)(void));

/* Sets a handler for a signal that is at its default. 0 or an errno; EEXIST: it is not. */
int os_on_signal(int number, void (*handler)(int));

/* Can the word be read? Any address may be asked for. */
bool os_readable(const void *word);

/* Value of an environment variable, NULL when unset or when the process is set-id. */
const char *os_env(const char *name);
/* Target of the symbolic link `path` into buffer (terminated); false, and an empty string, when there is
 * none or it does not fit. */
bool os_read_link(const char *path, char *buffer, size_t size);

/* Starts a detached thread with all signals blocked and the given name, on all CPUs that os_note_cpus noted, whatever
 * the caller is tied to. May allocate: hold no lock. Returns 0 or an errno. */
int os_thread_start(void (*body)(void *), void *argument, const char *name);
/* Notes the CPUs that the calling thread may run on, as os_start does. Returns their number; 0: unknown. */
unsigned os_note_cpus(void);
/* True once the process has had a second thread; where the C library does not tell, always false. */
bool os_several_threads(void);
/* Identifies the calling thread; never 0. */
uint32_t os_thread_id(void);
uint32_t os_process_id(void);
/* The calling thread's name by the system, terminated, which may be empty. */
void os_thread_name(char name[16]);
/* The CPU the calling thread runs on at this moment. / The memory node of that CPU; 0 when unknown. */
unsigned os_cpu(void);
unsigned os_node(void);

/* True when this library's thread-local storage is at the same distance from the thread pointer in every thread:
 * it was there when the program started. Ask before the first access to a thread-local variable. */
bool os_tls_is_static(void);

_Noreturn void os_abort(void);

#include "os/rseq.h"

#endif
