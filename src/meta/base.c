/* base.c - bump allocation with free lists. */
#include "os/os.h"
#include "thread/lock.h"
#include "meta/meta.h"

#define BLOCK_SIZE (2 * MIB)

struct free_record {
	struct free_record *next;
};

static _Alignas(CACHE_LINE) struct lock base_lock = LOCK_INITIALIZER(RANK_BASE);
static struct {
	uintptr_t next, end;                  /* the rest of the current block          [base_lock] */
	struct free_record *free[BASE_KINDS]; /*                                        [base_lock] */
	size_t size[BASE_KINDS];              /* bytes of a record             [const after start] */
	struct base_stats stats;              /*                                        [base_lock] */
	enum base_huge huge;                  /*                                 [const after start] */
} base;

STARTUP void base_start(enum base_huge huge) {
	base.huge = huge;
}

static size_t record_size(enum base_kind kind) {
	return kind >= BASE_SLOTS ? sizeof(void *) << (kind - BASE_SLOTS) : base.size[kind];
}

/* Slot storage must not cross a 64 KiB border; other records begin with a cache line, small ones do not straddle two. */
static size_t record_align(enum base_kind kind) {
	size_t power = (size_t)1 << log2_ceil(record_size(kind));
	return kind >= BASE_SLOTS ? power : size_min(power, CACHE_LINE);
}

STARTUP void base_define(enum base_kind kind, size_t size) {
	base.size[kind] = size;
}

/* Maps a block's size more than asked and cuts off both ends. */
static bool map_aligned(size_t size, void **out) {
	void *got;
	if (os_map(NULL, size + BLOCK_SIZE, &got) != 0)
		return false;
	char *start = got, *block = (char *)round_up((uintptr_t)start, BLOCK_SIZE);
	if (block != start)
		(void)os_unmap(start, (size_t)(block - start));
	size_t tail = BLOCK_SIZE - (size_t)(block - start);
	if (tail != 0)
		(void)os_unmap(block + size, tail);
	*out = block;
	return true;
}

static bool wants_huge(void) {
	return base.huge == BASE_HUGE_ALWAYS || (base.huge == BASE_HUGE_LATER && base.stats.mapped != 0);
}

static bool map_block(size_t size, void **out) {
	if (wants_huge() && size % BLOCK_SIZE == 0 && map_aligned(size, out)) {
		if (os_huge_pages(*out, size, true) == 0)
			base.stats.huge += size / BLOCK_SIZE;
		return true;
	}
	if (os_map(NULL, size, out) != 0)
		return false;
	(void)os_huge_pages(*out, size, false);
	return true;
}

/* Starts a new block that holds at least `need` bytes; smaller blocks when memory is short. */
static bool add_block(size_t need) {
	size_t least = round_up(need, size_max(os.page_size, 64 * KIB));
	for (size_t size = size_max(least, BLOCK_SIZE); size >= least; size /= 2) {
		void *memory;
		size_t whole = round_up(size, os.page_size);
		if (map_block(whole, &memory)) {
			base.next = (uintptr_t)memory;
			base.end = base.next + whole;
			base.stats.mapped += whole;
			return true;
		}
	}
	return false;
}

/* Counts a record of the kind that is bumped off. */
static void count_kind(enum base_kind kind, size_t bytes) REQUIRES(base_lock) {
	if (kind == BASE_SPAN || kind == BASE_SLAB || kind == BASE_CHUNK)
		base.stats.spans += bytes;
	else
		base.stats.caches += bytes;
}

static bool is_span(enum base_kind kind) {
	return kind == BASE_SPAN || kind == BASE_SLAB;
}

static STARTUP void *bump(size_t size, size_t align) {
	uintptr_t at = round_up(base.next, align);
	if (base.next == 0 || at + size > base.end) {
		if (!add_block(size + align))
			return NULL;
		at = round_up(base.next, align);
	}
	base.stats.allocated += at + size - base.next;
	base.next = at + size;
	return (void *)at;
}

void *base_take(enum base_kind kind, bool *fresh) {
	size_t size = record_size(kind);
	expect(size >= sizeof(struct free_record));
	lock_take(&base_lock);
	struct free_record *record = base.free[kind];
	if (fresh != NULL)
		*fresh = record == NULL;
	if (record != NULL) {
		base.free[kind] = record->next;
		base.stats.idle -= size;
		base.stats.idle_spans -= is_span(kind);
	} else {
		size_t before = base.stats.allocated;
		record = bump(size, record_align(kind));
		count_kind(kind, base.stats.allocated - before);
	}
	lock_drop(&base_lock);
	return record;
}

void base_give(enum base_kind kind, void *memory) {
	struct free_record *record = memory;
	lock_take(&base_lock);
	record->next = base.free[kind];
	base.free[kind] = record;
	base.stats.idle += record_size(kind);
	base.stats.idle_spans += is_span(kind);
	lock_drop(&base_lock);
}

STARTUP void *base_alloc(size_t size, size_t align) {
	lock_take(&base_lock);
	void *memory = bump(size, align);
	lock_drop(&base_lock);
	return memory;
}

struct base_stats base_read_stats(void) {
	lock_take(&base_lock);
	struct base_stats stats = base.stats;
	lock_drop(&base_lock);
	return stats;
}
