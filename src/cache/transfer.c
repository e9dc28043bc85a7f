/* transfer.c - one stack of blocks per class between the threads. */
#include <string.h>
#include "thread/lock.h"
#include "cache/cache.h"
#include "cache/transfer.h"

#define TRANSFER_BYTES (256 * KIB)
#define TRANSFER_SLOTS 1024u /* most blocks of a class */

struct transfer {
	_Alignas(CACHE_LINE) void **slots; /* [lock] NULL until first used */
	struct lock lock;
	unsigned count;      /* [lock] */
	_Atomic(bool) quiet; /* [atomic] nobody came since the last drain */
};

static struct transfer transfers[CLASS_COUNT];
static _Atomic(bool) enabled; /* [atomic] */

static unsigned limit(unsigned class) {
	return (unsigned)size_min(TRANSFER_SLOTS, TRANSFER_BYTES / class_info[class].bytes);
}

void transfer_start(void) {
	for (unsigned class = 0; class < CLASS_COUNT; class ++)
		lock_init(&transfers[class].lock, RANK_TRANSFER);
}

void transfer_enable(bool several_threads) {
	store_relaxed(&enabled, several_threads);
}

bool transfer_push(unsigned class, void **blocks, unsigned count) {
	struct transfer *transfer = &transfers[class];
	if (!load_relaxed(&enabled))
		return false;
	store_relaxed(&transfer->quiet, false);
	lock_take(&transfer->lock);
	if (transfer->slots == NULL)
		transfer->slots = base_alloc(limit(class) * sizeof(void *), CACHE_LINE);
	bool fits = transfer->slots != NULL && transfer->count + count <= limit(class);
	if (fits) {
		memcpy(transfer->slots + transfer->count, blocks, count * sizeof *blocks);
		transfer->count += count;
	}
	lock_drop(&transfer->lock);
	return fits;
}

unsigned transfer_pop(unsigned class, void **slots, unsigned want) {
	struct transfer *transfer = &transfers[class];
	if (!load_relaxed(&enabled))
		return 0;
	lock_take(&transfer->lock);
	unsigned got = want < transfer->count ? want : transfer->count;
	if (got > 0) {
		transfer->count -= got;
		memcpy(slots, transfer->slots + transfer->count, got * sizeof *slots);
	}
	lock_drop(&transfer->lock);
	return got;
}

static void drain(unsigned class) {
	void *blocks[64];
	struct transfer *transfer = &transfers[class];
	unsigned got;
	do {
		lock_take(&transfer->lock);
		got = (unsigned)size_min(transfer->count, COUNT_OF(blocks));
		transfer->count -= got;
		if (got > 0)
			memcpy(blocks, transfer->slots + transfer->count, got * sizeof blocks[0]);
		lock_drop(&transfer->lock);
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
	for (unsigned class = 1; class <= CLASS_LAST; class ++) {
		lock_take(&transfers[class].lock);
		sum += transfers[class].count * (size_t)class_info[class].bytes;
		lock_drop(&transfers[class].lock);
	}
	return sum;
}
