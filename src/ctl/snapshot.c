/* snapshot.c - collects, adds up, and answers the rows of names.def that are a place in a record. */
#include "ctl/snapshot.h"
#include "ctl/names.h"
#include "cache/cache.h"
#include "prof/prof.h"
#include "thread/thread.h"

#include <errno.h>
#include <string.h>

/* Records are made when first needed and used again. */
struct record {
	struct arena_reading *reading;  /* NULL: none yet */
	struct extent_reading *extents; /* of EXTENT_CLASSES; NULL: none yet */
	uint64_t epoch;                 /* of the reading */
	uint64_t extents_epoch;         /* of the extents */
};

#define FIRST_EPOCH 1 /* what is read before any write */

_Atomic(uint64_t) ctl_zero_reallocs;

static struct lock snapshot_lock = LOCK_INITIALIZER(RANK_CTL);
static struct record arenas[ARENA_LIMIT]; /* [snapshot_lock] */
static struct record merged, destroyed;   /* [snapshot_lock] */
static struct snapshot_totals totals;     /* [snapshot_lock] */
static _Atomic(uint64_t) epoch;           /* [atomic; written under snapshot_lock] 0: nothing collected yet */

static bool make_record(struct record *record) {
	if (record->reading == NULL)
		record->reading = base_alloc(sizeof *record->reading, CACHE_LINE);
	if (record->reading != NULL)
		memset(record->reading, 0, sizeof *record->reading);
	return record->reading != NULL;
}

/* All or nothing: a refresh that lacks memory leaves the snapshot as it was. */
static bool make_records(void) {
	EACH_ARENA (arena, i)
		if (arenas[i].reading == NULL && !make_record(&arenas[i]))
			return false;
	return make_record(&merged) && make_record(&destroyed);
}

/* -- collecting ------------------------------------------------------------------------------------------ */

/* What live caches hold and have served belongs to their arenas. */
static void add_cache(const struct cache *cache, void *opaque) {
	const struct arena *arena = cache->arena;
	uint64_t next = *(const uint64_t *)opaque;
	struct arena_reading *reading = arenas[arena->index].reading;
	if (arenas[arena->index].epoch != next)
		return;
	reading->tcache_bytes += cache_bytes(cache);
	for (unsigned class = 1; class <= CLASS_LAST; class ++) {
		uint64_t served = cache_served(cache, class);
		bool small = class <= CLASS_SMALL_LAST;
		*(small ? &reading->bins[class - 1].nrequests
		        : &reading->lextents[class - CLASS_SMALL_LAST - 1].nrequests) += served;
		*(small ? &reading->small.nrequests : &reading->large.nrequests) += served;
	}
}

static void collect_arenas(uint64_t next) {
	EACH_ARENA (arena, i) {
		if (arenas[i].reading == NULL) /* made this very moment */
			continue;
		memset(arenas[i].reading, 0, sizeof *arenas[i].reading);
		arena_read(arena, arenas[i].reading);
		arenas[i].epoch = next;
	}
	thread_each_cache(add_cache, &next);
	arenas[0].reading->tcache_bytes += cache_shared_bytes();
	arenas[0].reading->mutexes[MUTEX_TCACHE_LIST] = lock_read_rank(RANK_THREADS);
	memset(destroyed.reading, 0, sizeof *destroyed.reading);
	destroyed.epoch = arena_read_destroyed(destroyed.reading) ? next : 0;
	memcpy(merged.reading, destroyed.reading, sizeof *merged.reading);
	for (unsigned i = 0; i < arena_count(); i++)
		if (arenas[i].epoch == next)
			arena_add_reading(merged.reading, arenas[i].reading);
	merged.reading->uptime = arenas[0].reading->uptime;
	merged.reading->node = NO_NODE;
	merged.epoch = next;
}

static uint64_t slab_free_bytes(const struct arena_reading *all) {
	uint64_t slabs = 0;
	for (unsigned class = 1; class <= CLASS_SMALL_LAST; class ++)
		slabs += all->bins[class - 1].curslabs * class_info[class].slab_pages * PAGE;
	return slabs - size_min(slabs, all->small.allocated + all->hollow * PAGE);
}

static void collect_totals(void) REQUIRES(snapshot_lock) {
	const struct arena_reading *all = merged.reading;
	uint64_t allocated = all->small.allocated + all->large.allocated;
	uint64_t cached = size_min(all->tcache_bytes, allocated);
	totals = (struct snapshot_totals){
		.allocated = allocated,
		.active = all->pactive * PAGE,
		.metadata = all->base + all->internal,
		.metadata_edata = all->metadata_edata,
		.metadata_rtree = all->metadata_rtree,
		.metadata_thp = all->metadata_thp,
		.resident = all->resident,
		.mapped = all->mapped,
		.retained = all->retained,
		.pinned = all->pinned,
		.zero_reallocs = load_relaxed(&ctl_zero_reallocs),
		.live = allocated - cached,
		.cached = cached,
		.slab_free = slab_free_bytes(all),
		.dirty = all->pdirty * PAGE,
		.lazily_freed = all->pmuzzy * PAGE,
	};
	totals.mutexes[TOTAL_BACKGROUND_THREAD] = lock_read_rank(RANK_PURGE);
	totals.mutexes[TOTAL_MAX_PER_BG_THD] = totals.mutexes[TOTAL_BACKGROUND_THREAD];
	totals.mutexes[TOTAL_CTL] = lock_read_counts(&snapshot_lock);
	totals.mutexes[TOTAL_PROF] = lock_read_rank(RANK_STACKS);
	totals.mutexes[TOTAL_PROF_SAMPLES] = prof_read_locks();
}

static int refresh(uint64_t next) REQUIRES(snapshot_lock) {
	if (!make_records())
		return EAGAIN;
	collect_arenas(next);
	collect_totals();
	store_relaxed(&epoch, next);
	return 0;
}

uint64_t snapshot_epoch(void) {
	return size_max(load_relaxed(&epoch), FIRST_EPOCH);
}

int snapshot_refresh(void) {
	lock_take(&snapshot_lock);
	int error = refresh(snapshot_epoch() + 1);
	lock_drop(&snapshot_lock);
	return error;
}

/* -- answering ------------------------------------------------------------------------------------------- */

/* The record of an index; one that is not in the snapshot has none, but its arena may be new: that reads as zero. */
static struct record *record_of(size_t index) REQUIRES(snapshot_lock) {
	struct record *record = ctl_all_arenas(index)           ? &merged
	                        : index == CTL_DESTROYED_ARENAS ? &destroyed
	                        : index < ARENA_LIMIT           ? &arenas[index]
	                                                        : NULL;
	return record != NULL && record->epoch == load_relaxed(&epoch) ? record : NULL;
}

bool snapshot_has(size_t index) {
	lock_take(&snapshot_lock);
	bool has = record_of(index) != NULL && load_relaxed(&epoch) != 0;
	lock_drop(&snapshot_lock);
	return has;
}

unsigned snapshot_arenas(void) {
	unsigned count = 0;
	lock_take(&snapshot_lock);
	uint64_t now = load_relaxed(&epoch);
	for (unsigned i = 0; i < arena_count(); i++)
		count += now != 0 && arenas[i].epoch == now;
	lock_drop(&snapshot_lock);
	return count;
}

struct snapshot_totals snapshot_totals(void) {
	lock_take(&snapshot_lock);
	if (load_relaxed(&epoch) == 0)
		(void)refresh(FIRST_EPOCH);
	struct snapshot_totals copy = totals;
	lock_drop(&snapshot_lock);
	return copy;
}

static void add_extents(struct extent_reading *sum, const struct extent_reading *one) {
	const uint64_t *from = (const uint64_t *)one;
	uint64_t *to = (uint64_t *)sum;
	for (size_t i = 0; i < EXTENT_CLASSES * sizeof *one / sizeof *from; i++)
		to[i] += from[i];
}

static bool make_extents(struct record *record) REQUIRES(snapshot_lock) {
	if (record->extents == NULL)
		record->extents = base_alloc(EXTENT_CLASSES * sizeof *record->extents, CACHE_LINE);
	if (record->extents == NULL)
		return false;
	memset(record->extents, 0, EXTENT_CLASSES * sizeof *record->extents);
	record->extents_epoch = record->epoch;
	return true;
}

static void walk_extents(struct record *record, struct arena *arena) REQUIRES(snapshot_lock) {
	if (record->extents_epoch != record->epoch && make_extents(record))
		arena_read_extents(arena, record->extents);
}

static void walk_all_extents(void) REQUIRES(snapshot_lock) {
	if (merged.extents_epoch == merged.epoch || !make_extents(&merged))
		return;
	EACH_ARENA (arena, i) {
		if (record_of(i) == NULL)
			continue;
		walk_extents(&arenas[i], arena);
		if (arenas[i].extents_epoch == arenas[i].epoch)
			add_extents(merged.extents, arenas[i].extents);
	}
}

static const void *extents_of(struct record *record, size_t index) REQUIRES(snapshot_lock) {
	if (record == &merged) {
		walk_all_extents();
	} else if (record == &destroyed) {
		if (record->extents_epoch != record->epoch)
			(void)make_extents(record); /* nothing of them is left */
	} else {
		struct arena *arena = arena_at((unsigned)index);
		if (arena != NULL)
			walk_extents(record, arena);
	}
	return record->extents_epoch == record->epoch ? record->extents : NULL;
}

/* The record the row is a place in; NULL: it reads as zero. */
static const char *place_of(const struct ctl_name *row, size_t index) REQUIRES(snapshot_lock) {
	if (row->record == CTL_TOTALS)
		return (const char *)&totals;
	struct record *record = record_of(index);
	if (record == NULL)
		return NULL;
	return row->record == CTL_EXTENTS ? extents_of(record, index) : (const char *)record->reading;
}

int ctl_read_record(const struct ctl_name *row, const size_t *index, union ctl_value *value) {
	uint64_t number = 0;
	int error = 0;
	lock_take(&snapshot_lock);
	if (load_relaxed(&epoch) == 0)
		error = refresh(FIRST_EPOCH);
	const char *record = error == 0 ? place_of(row, index[0]) : NULL;
	if (record != NULL)
		memcpy(&number, record + row->offset + (size_t)row->stride * index[1], sizeof number);
	lock_drop(&snapshot_lock);
	if (row->type == CTL_UNSIGNED || row->type == CTL_UINT32)
		value->as_uint32 = (uint32_t)number;
	else
		value->as_uint64 = number;
	return error;
}
