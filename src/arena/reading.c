/* reading.c - copies what one arena counts. */
#include "os/os.h"
#include "arena/inside.h"
#include "arena/reading.h"

#include <string.h>

/* Bytes of page map entries of so many bytes: a class and a span per page, and of each chunk its record. */
static size_t map_bytes(size_t mapped) {
	return mapped / PAGE * (1 + sizeof(void *)) + (mapped + CHUNK - 1) / CHUNK * sizeof(void *);
}

/* -- blocks ---------------------------------------------------------------------------------------------------- */

static void add_blocks(struct reading_blocks *sum, const struct reading_bin *bin) {
	sum->nmalloc += bin->nmalloc;
	sum->ndalloc += bin->ndalloc;
	sum->nrequests += bin->nrequests;
	sum->nfills += bin->nfills;
	sum->nflushes += bin->nflushes;
}

/* A bin's counts, which belong to the small blocks' as well. */
static void read_bin(const struct class_stats *stats, unsigned class, struct arena_reading *reading) {
	struct reading_bin *out = &reading->bins[class - 1];
	*out = (struct reading_bin){
		.nmalloc = stats->filled,
		.ndalloc = stats->flushed,
		.nrequests = stats->requests,
		.nfills = stats->fills,
		.nflushes = stats->flushes,
		.nslabs = stats->created,
		.nreslabs = stats->reused,
		.curregs = stats->filled - stats->flushed,
		.curslabs = stats->slabs,
		.nonfull_slabs = stats->nonfull,
	};
	reading->small.allocated += out->curregs * class_info[class].bytes;
	add_blocks(&reading->small, out);
}

static void read_large(struct reading_large *out, struct reading_blocks *sum,
                       const struct large_stats *stats) {
	out->nmalloc = stats->taken;
	out->ndalloc = stats->given;
	out->nrequests = stats->requests;
	out->curlextents = stats->taken - stats->given;
	sum->nmalloc += stats->taken;
	sum->nfills += stats->taken; /* each is taken for itself... */
	sum->ndalloc += stats->given;
	sum->nflushes += stats->given; /* ...and given back so */
	sum->nrequests += stats->requests;
}

static void read_blocks(struct arena *arena, struct arena_reading *reading) {
	for (unsigned class = 1; class <= CLASS_SMALL_LAST; class ++) {
		struct class_stats stats = arena_read_own_class(arena, class);
		read_bin(&stats, class, reading);
	}
	for (unsigned large = 0; large < LARGE_CLASSES; large++) {
		struct large_stats stats = arena_read_own_large(arena, large);
		if (stats.taken != 0)
			read_large(&reading->lextents[large], &reading->large, &stats);
	}
	reading->large.allocated = arena_read_large_bytes(arena);
}

/* -- pages ----------------------------------------------------------------------------------------------------- */

static void read_locks(struct arena *arena, struct lock_counts *mutexes) {
	struct lock_counts pages = lock_read_counts(&arena->pages.lock),
			   pool = lock_read_counts(&load_acquire(&arena->pages.pool)->lock);
	static const uint8_t of_pages[] = {MUTEX_LARGE,         MUTEX_EXTENT_AVAIL, MUTEX_EXTENTS_DIRTY,
	                                   MUTEX_EXTENTS_MUZZY, MUTEX_DECAY_DIRTY,  MUTEX_DECAY_MUZZY};
	for (unsigned i = 0; i < COUNT_OF(of_pages); i++)
		mutexes[of_pages[i]] = pages;
	mutexes[MUTEX_EXTENTS_RETAINED] = mutexes[MUTEX_EXTENTS_PINNED] = pool;
	for (unsigned class = 1; class <= CLASS_SMALL_LAST; class ++) {
		EACH_BIN (arena, class, bin) {
			struct lock_counts counts = lock_read_counts(&bin->lock);
			lock_add_counts(&mutexes[MUTEX_BIN + class - 1], &counts);
		}
	}
}

static void add_pages(struct arena_reading *reading, const struct page_stats *pages) {
	reading->pactive += pages->active;
	reading->pdirty += pages->dirty;
	reading->pmuzzy += pages->muzzy;
	reading->mapped += pages->mapped;
	reading->retained += pages->retained;
	reading->pinned += pages->pinned;
	reading->abandoned_vm += pages->abandoned;
	for (int s = 0; s < PAGE_STATES; s++) {
		reading->npurge[s] += pages->passes[s];
		reading->nmadvise[s] += pages->purges[s];
		reading->purged[s] += pages->purged[s];
	}
}

/* What the common pool holds. Chunks that arenas have are counted there. */
static void add_pool(struct arena_reading *reading) {
	struct pool_stats pool = pool_read_stats(arena_pool());
	reading->pdirty += pool.dirty / PAGE;
	reading->mapped += pool.dirty;
	reading->retained += pool.pooled - pool.dirty;
	reading->npurge[PAGE_DIRTY] += pool.passes;
	reading->nmadvise[PAGE_DIRTY] += pool.purges;
	reading->purged[PAGE_DIRTY] += pool.purged;
	reading->metadata_rtree = map_bytes(pool.mapped);
}

/* The page map is one for all; what arenas have for themselves is in it too. */
static void add_own_pools(struct arena_reading *reading) {
	EACH_ARENA (arena, i) {
		struct pool *own = arena_own_pool(arena);
		if (own != NULL)
			reading->metadata_rtree += map_bytes(pool_read_stats(own).mapped);
	}
}

static void read_base(struct arena_reading *reading) {
	struct base_stats base = base_read_stats();
	reading->metadata_edata = base.spans;
	reading->internal = base.caches;
	reading->base = base.allocated - base.caches + reading->metadata_rtree;
	reading->metadata_thp = base.huge;
	reading->extent_avail = base.idle_spans;
	reading->mutexes[MUTEX_BASE] = lock_read_rank(RANK_BASE);
}

/* Pages of slabs that were given back hold no block: they are as good as free. */
static void take_out_hollow(struct arena_reading *reading, size_t hollow) {
	reading->hollow = size_min(hollow, reading->pactive); /* counted at two moments */
	reading->pactive -= reading->hollow;
	reading->mapped -= reading->hollow * PAGE;
	reading->retained += reading->hollow * PAGE;
}

void arena_read(struct arena *arena, struct arena_reading *reading) {
	reading->nthreads = load_relaxed(&arena->threads);
	reading->uptime = os_now() - arena->born;
	reading->node = arena->node;
	read_blocks(arena, reading);
	read_locks(arena, reading->mutexes);
	struct page_stats pages = page_read_stats(&arena->pages);
	add_pages(reading, &pages);
	if (arena->index == 0) {
		add_pool(reading);
		add_own_pools(reading);
		read_base(reading);
	}
	reading->mapped += reading->base + reading->internal;
	take_out_hollow(reading, load_relaxed(&arena->hollow));
	reading->resident = reading->base + reading->internal + reading->pinned +
	                    (reading->pactive + reading->pdirty) * PAGE;
}

/* -- what is over ---------------------------------------------------------------------------------------------- */

bool arena_read_destroyed(struct arena_reading *reading) {
	static struct arena_past past; /* [ctl lock: one reader at a time] */
	arena_read_past(&past);
	for (unsigned class = 1; class <= CLASS_SMALL_LAST; class ++)
		read_bin(&past.class[class], class, reading);
	for (unsigned large = 0; large < LARGE_CLASSES; large++)
		read_large(&reading->lextents[large], &reading->large, &past.large[large]);
	add_pages(reading, &past.pages);
	reading->node = NO_NODE;
	return past.destroyed > 0;
}

void arena_read_extents(struct arena *arena, struct extent_reading extents[EXTENT_CLASSES]) {
	static struct page_extent_stats walked[PAGE_CLASSES]; /* [ctl lock: one reader at a time] */
	memset(walked, 0, sizeof walked);
	page_read_extents(&arena->pages, walked);
	if (arena->index == 0)
		pool_read_extents(arena_pool(), walked);
	for (unsigned i = 0; i < EXTENT_CLASSES; i++) {
		const struct page_extent_stats *from = &walked[i];
		extents[i] = (struct extent_reading){
			.ndirty = from->count[EXTENT_DIRTY],
			.nmuzzy = from->count[EXTENT_MUZZY],
			.nretained = from->count[EXTENT_RETAINED],
			.npinned = from->count[EXTENT_PINNED],
			.dirty_bytes = from->bytes[EXTENT_DIRTY],
			.muzzy_bytes = from->bytes[EXTENT_MUZZY],
			.retained_bytes = from->bytes[EXTENT_RETAINED],
			.pinned_bytes = from->bytes[EXTENT_PINNED],
		};
	}
}
_Static_assert(EXTENT_CLASSES == PAGE_CLASSES, "the same classes");

void arena_add_reading(struct arena_reading *sum, const struct arena_reading *one) {
	const uint64_t *from = (const uint64_t *)one;
	uint64_t *to = (uint64_t *)sum;
	for (size_t i = 0; i < offsetof(struct arena_reading, mutexes) / sizeof *from; i++)
		to[i] += from[i];
	for (unsigned i = 0; i < MUTEX_COUNT; i++)
		lock_add_counts(&sum->mutexes[i], &one->mutexes[i]);
}
