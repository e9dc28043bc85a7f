/* record.c - sampled blocks by their pages.
 *
 * A page is marked while it has a record; of blocks above CACHED_MAX the span is flagged instead. Both change under the
 * lock of the page's shard, and only while the caller holds a block of the page, or finds a record, whose block has not
 * been given back then: the slab is there in both cases. */
#include "prof/inside.h"

#define SHARDS 64u

static struct shard {
	_Alignas(CACHE_LINE) struct lock lock;
	struct hash samples; /* by page                                     [lock] */
} shards[SHARDS];

_Atomic(size_t) prof_live;

void record_start(void) {
	for (unsigned i = 0; i < SHARDS; i++)
		lock_init(&shards[i].lock, RANK_SAMPLES);
}

static struct sample *sample_of(struct node *node) {
	return container_of(node, struct sample, node);
}

static uint64_t page_of(const void *block) {
	return (uintptr_t)block >> PAGE_SHIFT;
}

static struct shard *shard_of(uint64_t page) {
	return &shards[hash_mix(page) % SHARDS];
}

struct lock_counts prof_read_locks(void) {
	struct lock_counts sum = {0};
	for (unsigned i = 0; i < SHARDS; i++) {
		struct lock_counts one = lock_read_counts(&shards[i].lock);
		lock_add_counts(&sum, &one);
	}
	return sum;
}

/* Does a flag of the span say that the block is sampled, and not its page? It is a block that no page byte is for. */
static bool is_flagged(const struct span *span) {
	return span->kind == SPAN_LARGE && span->class == CLASS_NONE;
}

static void mark(const void *block) {
	struct span *span = map_span(block);
	if (is_flagged(span))
		store_relaxed(&span->sampled, true);
	else
		map_mark(block, true);
}

bool record_enter(struct sample *sample) {
	uint64_t page = page_of(sample->block);
	struct shard *shard = shard_of(page);
	sample->node.key = page;
	lock_take(&shard->lock);
	bool done = hash_enter(&shard->samples, &sample->node);
	if (done) {
		add_relaxed(&prof_live, 1);
		mark(sample->block);
	}
	lock_drop(&shard->lock);
	return done;
}

static bool has_page(const struct shard *shard, uint64_t page) REQUIRES(shard->lock) {
	const struct node *node = *hash_chain(&shard->samples, page);
	while (node != NULL && node->key != page)
		node = node->next;
	return node != NULL;
}

/* After the record of a block was taken out. Where another thread frees the block meanwhile, it goes on when it finds the
 * page not marked, the span not flagged, or no records at all: each of these is the last that happens here. */
static void unmark(const struct shard *shard, const void *block) REQUIRES(shard->lock) {
	struct span *span = map_span(block);
	if (is_flagged(span))
		store_release(&span->sampled, false);
	else if (!has_page(shard, page_of(block)))
		map_mark(block, false);
	sub_release(&prof_live, 1);
}

struct sample *record_take(const void *block) {
	uint64_t page = page_of(block);
	struct shard *shard = shard_of(page);
	lock_take(&shard->lock);
	struct node **chain = hash_chain(&shard->samples, page);
	struct node *node = chain == NULL ? NULL : *chain;
	while (node != NULL && sample_of(node)->block != block)
		node = node->next;
	if (node != NULL) {
		hash_remove(&shard->samples, node);
		unmark(shard, block);
	}
	lock_drop(&shard->lock);
	return node == NULL ? NULL : sample_of(node);
}

/* What one live block of the slab keeps of it; a large block: itself. */
static double share_of(const void *block) {
	const struct span *span = map_span(block);
	if (span->kind != SPAN_SLAB)
		return (double)(span->pages * PAGE);
	size_t regions = class_info[span->class].regions, open = span->free, purged = span->hollow;
	size_t pages = purged < span->pages ? span->pages - purged : 1;
	return (double)(pages * PAGE) / (double)(open < regions ? regions - open : 1);
}

static bool clear_pinned(struct node *node, void *opaque) {
	struct site *site = container_of(node, struct site, node);
	(void)opaque;
	site->pinned = 0;
	site->age = 0;
	return true;
}

/* Reads what changes under the locks of bins, which may not be waited for here. A site stays while a record of the shard is
 * counted in it, so samples in other shards go on meanwhile. */
static RACY bool add_pinned(struct node *node, void *opaque) {
	const uint64_t *now = opaque;
	const struct sample *sample = sample_of(node);
	sample->site->pinned += (uint64_t)(share_of(sample->block) * (double)sample->eighths / 8);
	sample->site->age += (double)(*now - size_min(*now, sample->born));
	return true;
}

void record_note_pinned(void) {
	uint64_t now = sample_now();
	(void)hash_visit(&count_sites, &stacks_lock, clear_pinned, NULL);
	for (unsigned i = 0; i < SHARDS; i++)
		(void)hash_visit(&shards[i].samples, &shards[i].lock, add_pinned, &now);
}

/* Samples of one arena, or with NULL of all, on their way out of a shard. */
struct leaving {
	const struct arena *arena;
	const struct shard *shard;
	struct node *first;
};

static bool is_leaving(struct node *node, void *opaque) {
	const struct leaving *leaving = opaque;
	return leaving->arena == NULL || map_span(sample_of(node)->block)->arena == leaving->arena;
}

/* One by one: a page keeps its mark until its last record goes. */
static void leave(struct node *node, void *opaque) NO_LOCK_ANALYSIS {
	struct leaving *leaving = opaque;
	unmark(leaving->shard, sample_of(node)->block);
	node->next = leaving->first;
	leaving->first = node;
}

void record_take_all(const struct arena *arena, void (*take)(struct sample *sample)) {
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *shard = &shards[i];
		lock_take(&shard->lock);
		struct leaving leaving = {arena, shard, NULL};
		hash_sift(&shard->samples, is_leaving, leave, &leaving);
		lock_drop(&shard->lock);
		struct node *next;
		for (struct node *node = leaving.first; node != NULL; node = next) {
			next = node->next;
			take(sample_of(node));
		}
	}
}
