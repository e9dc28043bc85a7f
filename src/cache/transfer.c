/* transfer.c - one stack of blocks per class between the threads. */
#include <string.h>
#include "thread/event.h"
#include "thread/lock.h"
#include "cache/cache.h"
#include "cache/transfer.h"

#define TRANSFER_BYTES (256 * KIB)
#define TRANSFER_SLOTS 1024u /* most blocks of a class */

struct transfer {
	_Alignas(CACHE_LINE) void **slots; /* [lock] NULL until first used */
	struct lock lock;
	_Atomic(unsigned) count; /* [atomic; written under lock] */
	_Atomic(bool) quiet;     /* [atomic] nobody came since the last drain */
};

static struct transfer transfers[CLASS_COUNT];
static _Atomic(bool) enabled; /* [atomic] */

static unsigned limit(unsigned class) {
	return (unsigned)size_min(TRANSFER_SLOTS, TRANSFER_BYTES / class_info[class].bytes);
}

STARTUP void transfer_start(void) {
	for (unsigned class = 0; class < CLASS_COUNT; class ++)
		lock_init(&transfers[class].lock, RANK_TRANSFER);
}

STARTUP void transfer_enable(bool several_threads) {
	store_relaxed(&enabled, several_threads);
}

bool transfer_enabled(void) {
	return load_relaxed(&enabled);
}

/* One of the blocks that waits already. */
static void *find_one_of(const struct transfer *transfer, void *const *blocks, unsigned count) {
	unsigned waiting = load_relaxed(&transfer->count);
	for (unsigned i = 0; i < waiting; i++)
		for (unsigned j = 0; j < count; j++)
			if (transfer->slots[i] == blocks[j])
				return blocks[j];
	return NULL;
}

bool transfer_push(unsigned class, void **blocks, unsigned count, unsigned most) {
	struct transfer *transfer = &transfers[class];
	if (load_relaxed(&transfer->quiet))
		store_relaxed(&transfer->quiet, false);
	if (load_relaxed(&transfer->count) + count > limit(class))
		return false; /* without the lock, as who only frees comes here again and again */
	lock_take(&transfer->lock);
	if (transfer->slots == NULL)
		transfer->slots = base_alloc(limit(class) * sizeof(void *), CACHE_LINE);
	unsigned before = load_relaxed(&transfer->count);
	bool fits = transfer->slots != NULL && before + count <= size_min(limit(class), most);
	const void *twice = fits && most != TRANSFER_ANY ? find_one_of(transfer, blocks, count) : NULL;
	if (fits && twice == NULL) {
		memcpy(transfer->slots + before, blocks, count * sizeof *blocks);
		store_relaxed(&transfer->count, before + count);
	}
	lock_drop(&transfer->lock);
	if (unlikely(twice != NULL))
		event_misuse(MISUSE_DOUBLE, "free", twice);
	return fits;
}

static unsigned take_last(struct transfer *transfer, void **slots, unsigned most) {
	lock_take(&transfer->lock);
	unsigned before = load_relaxed(&transfer->count), got = (unsigned)size_min(before, most);
	if (got > 0) {
		memcpy(slots, transfer->slots + before - got, got * sizeof *slots);
		store_relaxed(&transfer->count, before - got);
	}
	lock_drop(&transfer->lock);
	return got;
}

unsigned transfer_pop(unsigned class, void **slots, unsigned want) {
	struct transfer *transfer = &transfers[class];
	return load_relaxed(&transfer->count) == 0 ? 0 : take_last(transfer, slots, want);
}

static void drain(unsigned class) {
	void *blocks[64];
	struct transfer *transfer = &transfers[class];
	unsigned got;
	do {
		got = take_last(transfer, blocks, COUNT_OF(blocks));
		arena_flush(class, blocks, got);
	} while (got > 0);
}

void transfer_drain(bool all) {
	for (unsigned class = 1; class <= CLASS_LAST; class ++) {
		bool quiet = load_relaxed(&transfers[class].quiet);
		store_relaxed(&transfers[class].quiet, true);
		if (quiet || all)
			drain(class);
	}
}

size_t transfer_bytes(void) {
	size_t sum = 0;
	for (unsigned class = 1; class <= CLASS_LAST; class ++)
		sum += load_relaxed(&transfers[class].count) * (size_t)class_info[class].bytes;
	return sum;
}
