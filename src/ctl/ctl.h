/* ctl.h - the control room: options, mallctl, the heap summary. Beside the stairs.
 *
 * Locks: CTL for the snapshot; reading figures takes THREADS and below, some names purge (PURGE): the caller holds
 * none. */
#ifndef ASHLAR_CTL_H
#define ASHLAR_CTL_H

#include "ctl/options.h"

/* mallctl by name, name to numbers, by numbers. The allocator must have been started. 0 or an errno. */
struct ctl_call {
	void *old;        /* NULL: not read */
	size_t *old_size; /* in: bytes at old; out: bytes written. NULL: not read */
	const void *new;  /* NULL: not written */
	size_t new_size;
};
int ctl_by_name(const char *name, const struct ctl_call *call);
int ctl_name_to_mib(const char *name, size_t *mib, size_t *length);
int ctl_by_mib(const size_t *mib, size_t length, const struct ctl_call *call);

/* Figures of the whole heap, in bytes. Each is exact for some moment of the reading; between them time may
 * pass. */
struct ctl_figures {
	size_t live;         /* in blocks the program holds, by their usable size */
	size_t cached;       /* in free blocks of thread caches and between threads */
	size_t slab_free;    /* in slabs and not handed out: free regions and remainders */
	size_t active;       /* in pages handed out = live + cached + slab_free */
	size_t unused;       /* in free pages that are not given back yet: dirty and lazily freed */
	size_t lazily_freed; /* of those the system may take */
	size_t metadata;     /* in our own records */
	size_t mapped;       /* address space in use = active + unused + that of our records */
	size_t retained;     /* address space kept without memory behind it */
	size_t resident;     /* at most this is in memory = active + unused + metadata */
	size_t system;       /* resident set of the whole process as the system counts it; 0: unknown */
	size_t huge;         /* the part of that in huge pages; 0: unknown */
	size_t purged;       /* given back to the system so far */
};
struct ctl_figures ctl_read_figures(void);

/* One size class over all arenas; blocks in thread caches count as taken. */
struct ctl_class {
	size_t size;          /* usable bytes of a block; 0: all blocks above CACHED_MAX */
	size_t blocks, bytes; /* handed out now */
	size_t room;          /* bytes of the pages they are in */
	size_t slabs;
	uint64_t taken, given; /* blocks so far */
};
struct ctl_class ctl_read_class(unsigned class);
struct ctl_class ctl_read_huge(void);

/* The report of malloc_stats_print: takes a new snapshot, and writes piece by piece, with no lock held. write NULL:
 * malloc_message, or stderr; letters NULL: none. Aborts when there can be no snapshot for another reason than memory. */
void ctl_print(void (*write)(void *, const char *), void *opaque, const char *letters);
/* Its first lines, some ten: where the memory is. */
void ctl_print_summary(void (*write)(void *, const char *), void *opaque);

/* The report for stats_print:true, registered with atexit / for stats_interval, called with no lock held: each by
 * its own letters. */
void ctl_print_at_exit(void *unused);
void ctl_print_interval(void);

/* The name of an arena that exists, into name[32]. */
void ctl_arena_name(size_t index, char *name);

/* Calls of realloc(ptr, 0) with a block [atomic]. */
extern HIDDEN _Atomic(uint64_t) ctl_zero_reallocs;

#endif
