/* fake_os.h - an operating system of made-up memory and made-up time, for tests of the floors above os/.
 *
 * os_map hands out addresses of a window at which nothing is mapped in this process: whoever touches them dies. Of
 * each page there the fake knows whether it is mapped, whether it holds something other than zero, and who owns it;
 * the test "writes" with fake_write. Mappings that the library makes for its own records (by their size, see
 * is_for_records) are real memory. Every call checks its range: whole OS pages, all of them mapped.
 *
 * Defines every os_* symbol, so that nothing of src/os is linked in. Include once, in the test's one file. */
#ifndef TEST_FAKE_OS_H
#define TEST_FAKE_OS_H

#include <errno.h>
#include <sys/mman.h>

#include "quiet_heap.h"
#include "harness.h"
#include "os/os.h"
#include "page/page.h"

#define FAKE_BASE  ((uintptr_t)0x5a5b00000000 - 2 * GIB) /* so that it spans three windows of 4 GiB */
#define FAKE_SIZE  (8 * GIB)
#define FAKE_PAGES (FAKE_SIZE / PAGE)

enum {
	FAKE_MAPPED = 1,
	FAKE_WRITTEN = 2,
	FAKE_MOVED = 4,
	FAKE_CLOSED = 8,
	FAKE_NOT_HUGE = 16,
	FAKE_HUGE = 32
};

struct os_facts os = {.page_size = 4096, .cpus = 2, .overcommits = true, .max_maps = 65530};

static struct fake {
	bool all_real;    /* every mapping is real memory */
	bool misaligned;  /* made-up mappings begin off a chunk boundary, whatever the hint */
	uint64_t fail_in; /* this many mappings from now, one is refused; 0: none */
	bool fail_map;    /* all mappings are refused */
	bool fail_unmap, fail_purge, fail_lazy, fail_refresh, fail_move, fail_open;
	uint64_t fail_purge_in;   /* this many purges from now, one is refused; 0: none */
	uint64_t fail_protect_in; /* this many calls from now, one is refused; 0: none */
	bool lazy_is_now;         /* pages purged lazily lose their contents at once */
	bool purges_owned;        /* purging pages that a block owns is expected */
	void (*meanwhile)(void);  /* what other threads do while the system purges */
	uint64_t now;
	unsigned node; /* of memory, that every thread is on */
	size_t batch;  /* ranges that the system purges in one call; 0: one */
	size_t maps, unmaps, purges, lazies, refreshes, moves; /* calls so far */
	size_t closed;                                         /* made-up pages that nobody can touch now */
	size_t advised[2];            /* made-up pages for which huge pages were forbidden, wanted */
	size_t mapped;                /* made-up pages mapped now */
	size_t purged;                /* pages in purging calls so far, all three kinds */
	uintptr_t dss_first, dss_end; /* the data segment ends there; 0: there is none */
	uintptr_t next;               /* where a mapping without a usable hint goes */
	uint8_t page[FAKE_PAGES];
	uint32_t owner[FAKE_PAGES]; /* the test's: number of the block, 0 none */
} fake = {.next = FAKE_BASE};

static inline size_t fake_index(uintptr_t addr) {
	assert_true(addr >= FAKE_BASE && addr < FAKE_BASE + FAKE_SIZE);
	return (addr - FAKE_BASE) / PAGE;
}

static inline bool fake_holds(uintptr_t addr, size_t size) {
	return addr >= FAKE_BASE && size <= FAKE_SIZE && addr - FAKE_BASE <= FAKE_SIZE - size;
}

static inline bool fake_is_free(uintptr_t addr, size_t size) {
	if (!fake_holds(addr, size))
		return false;
	for (size_t i = fake_index(addr); i < fake_index(addr) + size / PAGE; i++)
		if (fake.page[i] & FAKE_MAPPED)
			return false;
	return true;
}

/* A range given to a call: whole OS pages, mapped. Returns the index of its first page. */
static inline size_t fake_range(void *addr, size_t size) {
	assert_true(size > 0 && (uintptr_t)addr % os.page_size == 0 && size % os.page_size == 0);
	assert_true(fake_holds((uintptr_t)addr, size));
	size_t first = fake_index((uintptr_t)addr);
	for (size_t i = first; i < first + size / PAGE; i++)
		assert_true(fake.page[i] & FAKE_MAPPED);
	return first;
}

/* The program writes to pages it owns. */
static inline void fake_write(uintptr_t addr, size_t pages) {
	size_t first = fake_range((void *)round_down(addr, os.page_size), os.page_size);
	first = fake_index(addr);
	for (size_t i = first; i < first + pages; i++) {
		assert_true((fake.page[i] & FAKE_MAPPED) && !(fake.page[i] & FAKE_CLOSED));
		fake.page[i] |= FAKE_WRITTEN;
	}
}

static inline bool fake_reads_zero(uintptr_t addr, size_t pages) {
	for (size_t i = fake_index(addr); i < fake_index(addr) + pages; i++)
		if (fake.page[i] & FAKE_WRITTEN)
			return false;
	return true;
}

/* Base blocks and leaves are at most a chunk or no multiple of one, and asked for without a hint. */
static inline bool is_for_records(const void *hint, size_t size) {
	return fake.all_real || (hint == NULL && (size <= CHUNK || size % CHUNK != 0));
}

static inline void fake_map_pages(uintptr_t addr, size_t size) {
	assert_true(fake_is_free(addr, size));
	memset(fake.page + fake_index(addr), FAKE_MAPPED, size / PAGE);
	fake.mapped += size / PAGE;
}

static inline bool fake_refuses(void) {
	fake.maps++;
	return fake.fail_map || (fake.fail_in != 0 && --fake.fail_in == 0);
}

static int fake_map_real(size_t size, void **out) {
	void *got = mmap(NULL, size + os.page_size, PROT_READ | PROT_WRITE,
	                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (got == MAP_FAILED)
		return ENOMEM;
	*out = (void *)round_up((uintptr_t)got, os.page_size);
	return 0;
}

/* A place for a mapping whose hint is of no use: after the last such, or else from the window's start. */
static uintptr_t fake_find(size_t size) {
	size_t off = fake.misaligned ? os.page_size : 0;
	for (int round = 0; round < 2; round++) {
		for (uintptr_t at = round_up(fake.next, CHUNK) + off; fake_holds(at, size); at += CHUNK)
			if (fake_is_free(at, size))
				return at;
		fake.next = FAKE_BASE;
	}
	return 0;
}

int os_map(void *hint, size_t size, void **out) {
	assert_true(size > 0 && size % os.page_size == 0);
	if (fake_refuses())
		return ENOMEM;
	if (is_for_records(hint, size))
		return fake_map_real(size, out);
	uintptr_t at = round_down((uintptr_t)hint, os.page_size);
	if (fake.misaligned || !fake_is_free(at, size)) {
		at = fake_find(size);
		if (at == 0)
			return ENOMEM;
		fake.next = at + size;
	}
	fake_map_pages(at, size);
	*out = (void *)at;
	return 0;
}

int os_map_at(void *at, size_t size) {
	assert_true(size > 0 && size % os.page_size == 0 && (uintptr_t)at % os.page_size == 0);
	if (fake_refuses())
		return ENOMEM;
	if (!fake_is_free((uintptr_t)at, size))
		return EEXIST;
	fake_map_pages((uintptr_t)at, size);
	return 0;
}

int os_unmap(void *addr, size_t size) {
	fake.unmaps++;
	if (fake.all_real)
		return 0;
	if (fake.fail_unmap)
		return ENOMEM;
	memset(fake.page + fake_range(addr, size), 0, size / PAGE);
	fake.mapped -= size / PAGE;
	return 0;
}

static void fake_drop(void *addr, size_t size, bool contents) {
	size_t first = fake_range(addr, size);
	fake.purged += size / PAGE;
	for (size_t i = first; i < first + size / PAGE; i++) {
		assert_true(fake.purges_owned || fake.owner[i] == 0);
		assert_false(fake.page[i] & FAKE_CLOSED);
		if (contents)
			fake.page[i] &= (uint8_t)~FAKE_WRITTEN;
	}
}

/* Records of the library that may go back: entries of the page map, all zero. */
static int fake_purge_records(const unsigned char *addr, size_t size) {
	for (size_t i = 0; i < size; i++)
		assert_int_equal(addr[i], 0);
	return 0;
}

int os_purge(void *addr, size_t size) {
	if (!fake_holds((uintptr_t)addr, size))
		return fake_purge_records(addr, size);
	fake.purges++;
	if (fake.meanwhile != NULL)
		fake.meanwhile();
	if (fake.fail_purge || (fake.fail_purge_in != 0 && --fake.fail_purge_in == 0))
		return ENOMEM;
	fake_drop(addr, size, true);
	return 0;
}

size_t os_count_resident(const void *addr, size_t size) {
	(void)addr, (void)size;
	return 0; /* there is nothing to look through */
}

int os_purge_lazy(void *addr, size_t size) {
	fake.lazies++;
	if (fake.fail_lazy)
		return EINVAL;
	fake_drop(addr, size, fake.lazy_is_now);
	return 0;
}

/* As the kernel does it: up to `batch` ranges a call. */
size_t os_purge_ranges(const struct os_range *ranges, size_t count, bool lazily, size_t *calls) {
	size_t done = 0;
	while (done < count && ((lazily && os_purge_lazy(ranges[done].addr, ranges[done].size) == 0) ||
	                        os_purge(ranges[done].addr, ranges[done].size) == 0))
		done++;
	size_t batch = fake.batch != 0 ? fake.batch : 1;
	*calls += (done + batch - 1) / batch;
	return done;
}

int os_refresh(void *addr, size_t size) {
	fake.refreshes++;
	if (fake.fail_refresh)
		return ENOMEM;
	fake_drop(addr, size, true);
	size_t first = fake_range(addr, size);
	for (size_t i = first; i < first + size / PAGE; i++)
		fake.page[i] &= (uint8_t) ~(FAKE_MOVED | FAKE_NOT_HUGE | FAKE_HUGE);
	return 0;
}

int os_move(void *to, void *from, size_t size) {
	fake.moves++;
	if (fake.fail_move)
		return ENOMEM;
	size_t target = fake_range(to, size), source = fake_range(from, size);
	for (size_t i = 0; i < size / PAGE; i++) {
		fake.page[target + i] = fake.page[source + i] | FAKE_MOVED;
		fake.page[source + i] = FAKE_MAPPED | FAKE_MOVED;
	}
	return 0;
}

int os_protect(void *addr, size_t size, bool accessible) {
	size_t first = fake_range(addr, size);
	if ((fake.fail_open && accessible) || (fake.fail_protect_in != 0 && --fake.fail_protect_in == 0))
		return ENOMEM;
	for (size_t i = first; i < first + size / PAGE; i++) {
		bool closed = fake.page[i] & FAKE_CLOSED;
		fake.page[i] = (uint8_t)(accessible ? fake.page[i] & ~FAKE_CLOSED
		                                    : (fake.page[i] & ~FAKE_WRITTEN) | FAKE_CLOSED);
		fake.closed = fake.closed - closed + !accessible;
	}
	return 0;
}

/* The break is somewhere inside the window; it moves when the test says so. */
int os_dss_take(size_t size, size_t align, void **out) {
	uintptr_t at = round_up(fake.dss_end, align);
	if (fake.dss_end == 0 || !fake_is_free(at, size))
		return ENOMEM;
	fake_map_pages(at, size);
	fake.dss_end = at + size;
	*out = (void *)at;
	return 0;
}

bool os_dss_owns(const void *addr) {
	return (uintptr_t)addr >= fake.dss_first && (uintptr_t)addr < fake.dss_end;
}

int os_huge_pages(void *addr, size_t size, bool wanted) {
	if (!fake_holds((uintptr_t)addr, size))
		return 0;
	fake.advised[wanted] += size / PAGE;
	size_t first = fake_range(addr, size);
	for (size_t i = first; i < first + size / PAGE; i++)
		fake.page[i] = (uint8_t)((fake.page[i] & ~(FAKE_NOT_HUGE | FAKE_HUGE)) |
		                         (wanted ? FAKE_HUGE : FAKE_NOT_HUGE));
	return 0;
}

int os_collapse(void *addr, size_t size) {
	(void)fake_range(addr, size);
	return 0;
}

uint64_t os_now(void) {
	return fake.now;
}
uint64_t os_now_coarse(void) {
	return fake.now;
}

/* The fakes are used by one thread: nobody ever waits. */
void os_wait(_Atomic(uint32_t) *word, uint32_t value, uint64_t timeout_ns) {
	(void)timeout_ns;
	assert_true(atomic_load(word) != value);
}
void os_wake(_Atomic(uint32_t) *word, int count) {
	(void)word;
	(void)count;
}
void os_yield(void) {}

void os_start(void) {}
unsigned os_cpus_of_cgroup(const char *root, const char *membership, unsigned limit) {
	(void)root;
	(void)membership;
	return limit;
}
size_t os_resident(void) {
	return 0;
}
void os_write(int fd, const char *data, size_t size) {
	if (write(fd, data, size) < 0)
		_exit(2);
}
const char *os_env(const char *name) {
	(void)name;
	return NULL;
}
bool os_read_link(const char *path, char *buffer, size_t size) {
	(void)path;
	(void)size;
	buffer[0] = 0;
	return false;
}
int os_thread_start(void (*body)(void *), void *argument, const char *name) {
	(void)body;
	(void)argument;
	(void)name;
	return ENOMEM;
}
unsigned os_cpu(void) {
	return 0;
}
unsigned os_node(void) {
	return fake.node;
}
uint32_t os_thread_id(void) {
	return 1;
}
/* A thread's record for restartable sequences that no kernel looks at: the test says on which CPU it is. */
static struct rseq_area fake_rseq;
static unsigned fake_rseq_cpus;   /* 0: there are no sequences */
static unsigned fake_rseq_fences; /* asked for */
static bool fake_rseq_refuses;    /* fences */
ptrdiff_t rseq_offset;
bool os_rseq_start(void) {
	rseq_offset = (ptrdiff_t)((uintptr_t)&fake_rseq - tls_pointer());
	return fake_rseq_cpus != 0;
}
bool os_rseq_after_fork(void) {
	return true;
}
bool os_rseq_fence(unsigned cpu) {
	if (cpu >= fake_rseq_cpus)
		_exit(2);
	fake_rseq_fences++;
	return !fake_rseq_refuses;
}
unsigned os_cpus_possible(void) {
	return fake_rseq_cpus;
}
bool os_tls_is_static(void) {
	return true;
}
_Noreturn void os_abort(void) {
	abort();
}

#endif
