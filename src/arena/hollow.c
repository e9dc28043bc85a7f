/* hollow.c - pages of slabs that hold no block go back to the system, while other pages of the slab are in use.
 *
 *   slab:   | region | region | region | region | ...         one block in use pins eight pages otherwise
 *           | page          | page          | ...
 *             in use          hollow: every region that touches it is free, and it was purged
 *
 * Rounds: `dirty_decay_ms` / 2 apart every slab with free regions is visited. One that nobody took from or gave to since
 * the round before is idle, and its empty pages are purged: they were unused for between half and all of that time.
 * Filling goes to the fullest slabs, so sparse ones are left alone until they are empty; what is filled after all is
 * faulted in again, and counts as resident then (slab->hollow = 0).
 *
 *   bin lock    the regions of those pages are taken: nobody can be given one      (16 slabs at most)
 *   no lock     the pages are purged
 *   bin lock    the regions are free again; a slab that became empty meanwhile goes back
 *
 * Visited slabs go to the end of their list, so that the first one visited ends the walk. All under PURGE. */
#include "os/os.h"
#include "arena/arena.h"
#include "arena/inside.h"

#define GROUP  16   /* slabs per hold of a bin's lock */
#define VISITS 4096 /* slabs per pass */
#define MS     ((uint64_t)1000000)
#define LEAST  (1000 * MS) /* between rounds where pages go at once */
#define ROUNDS 255

/* Regions that touch a page: [*first, *end). */
static void regions_of(const struct span *slab, unsigned page, unsigned *first, unsigned *end) {
	const struct class_info *info = &class_info[slab->class];
	*first = (unsigned)(page * PAGE / info->bytes);
	*end = (unsigned)size_min((page * PAGE + PAGE - 1) / info->bytes + 1, info->regions);
}

/* Not so a page behind the last region: no region can be taken that keeps the slab, and nobody ever wrote to it. */
static bool is_empty(const struct span *slab, unsigned page) {
	unsigned first, end;
	regions_of(slab, page, &first, &end);
	return first < end && bitmap_next_clear(slab->open, SLAB_REGIONS, first) >= end;
}

/* Bits of the pages without a block that are not hollow yet, whole OS pages. */
static uint16_t find_empty(const struct span *slab) {
	unsigned unit = (unsigned)(os.page_size / PAGE), found = 0;
	unsigned start = (unsigned)((round_up(slab->base, os.page_size) - slab->base) >> PAGE_SHIFT);
	for (unsigned page = start; page + unit <= slab->pages; page += unit) {
		unsigned i = 0;
		while (i < unit && is_empty(slab, page + i))
			i++;
		if (i == unit)
			found |= ((1u << unit) - 1) << page;
	}
	return (uint16_t)(found & ~slab->hollow);
}

/* Takes the regions that touch the pages, or opens them again. */
static void set_open(struct span *slab, uint16_t pages, bool open) {
	for (unsigned left = pages; left != 0; left &= left - 1) {
		unsigned first, end;
		regions_of(slab, bit_lowest(left), &first, &end);
		if (open)
			bitmap_set_range(slab->open, first, end - first);
		else
			bitmap_clear_range(slab->open, first, end - first);
		if (open && first / 64 < slab->from)
			slab->from = (uint8_t)(first / 64);
	}
	slab->free = (uint16_t)bitmap_count_range(slab->open, 0, SLAB_REGIONS);
}

struct group {
	uint8_t round;
	bool all; /* idle or not */
	size_t count;
	struct page_hole holes[GROUP];
};

static void visit(struct bin *bin, struct span *slab, struct group *group) REQUIRES(bin->lock) {
	uint8_t before = group->round == 1 ? ROUNDS : (uint8_t)(group->round - 1);
	bool idle = group->all || slab->seen == before;
	slab->seen = group->round;
	if (!idle || slab->pages > sizeof slab->hollow * 8 || page_is_foreign(slab))
		return;
	uint16_t pages = find_empty(slab);
	if (pages == 0)
		return;
	set_open(slab, pages, false);
	bin_settle(bin, slab, NULL);
	group->holes[group->count++] = (struct page_hole){.span = slab, .pages = pages};
}

static void open_again(struct arena *arena, struct bin *bin, struct group *group) {
	struct list emptied;
	list_init(&emptied);
	lock_take(&bin->lock);
	for (size_t i = 0; i < group->count; i++) {
		const struct page_hole *hole = &group->holes[i];
		struct span *slab = hole->span;
		set_open(slab, hole->pages, true);
		if (!hole->refused) {
			slab->hollow |= hole->pages;
			add_relaxed(&arena->hollow, bit_count(hole->pages));
			add_relaxed(&arena->hollowed, bit_count(hole->pages));
		}
		bin_settle(bin, slab, &emptied);
		if (slab->free < class_info[slab->class].regions && slab->seen == group->round) {
			list_remove(&slab->link); /* behind those that are not visited yet */
			list_append(&bin->slabs[slab->quarter], &slab->link);
		}
	}
	lock_drop(&bin->lock);
	bin_give_slabs(&emptied);
}

/* Visits slabs of one list. True: all were. */
static bool visit_list(struct arena *arena, struct bin *bin, unsigned quarter) {
	struct sweep *sweep = &arena->sweep;
	struct group group = {.round = sweep->round, .all = sweep->all};
	bool done = false;
	lock_take(&bin->lock);
	for (unsigned i = 0; i < GROUP; i++) {
		struct list *first = list_first(&bin->slabs[quarter]);
		struct span *slab = first == NULL ? NULL : container_of(first, struct span, link);
		done = slab == NULL || slab->seen == group.round || sweep->left == 0;
		if (done)
			break;
		sweep->left--;
		list_remove(first);
		list_append(&bin->slabs[quarter], first);
		visit(bin, slab, &group);
	}
	lock_drop(&bin->lock);
	if (group.count != 0) {
		page_purge_holes(group.holes, group.count);
		open_again(arena, bin, &group);
	}
	return done;
}

/* The next list of the round. False: there is none. */
static bool next_list(struct arena *arena, struct sweep *sweep) {
	if (++sweep->quarter == BIN_LISTS) {
		sweep->quarter = 1;
		if (++sweep->shard == arena_shards(sweep->class)) {
			sweep->shard = 0;
			sweep->class ++;
		}
	}
	if (sweep->class > CLASS_SMALL_LAST)
		return false;
	struct bin *bin = arena_bin(arena, sweep->class, sweep->shard);
	if (bin == NULL)
		return true;
	lock_take(&bin->lock);
	sweep->left = bin->live + GROUP; /* slabs that are used all the time would keep it from ending */
	lock_drop(&bin->lock);
	return true;
}

static void begin(struct sweep *sweep, bool all) {
	sweep->runs = true;
	sweep->all = all;
	sweep->round = sweep->round == ROUNDS ? 1 : (uint8_t)(sweep->round + 1);
	sweep->class = 1;
	sweep->shard = sweep->quarter = 0;
	sweep->left = 0;
}

void arena_hollow(struct arena *arena, uint64_t now, bool all) {
	struct sweep *sweep = &arena->sweep;
	int64_t ms = load_relaxed(&arena->pages.decay[PAGE_DIRTY].ms);
	if (all) {
		begin(sweep, true);
	} else if (!sweep->runs) {
		if (ms < 0 || now < sweep->due)
			return;
		begin(sweep, false);
		sweep->due = now + (ms == 0 ? LEAST : (uint64_t)ms * MS / 2);
	}
	for (size_t visits = 0; all || visits < VISITS; visits += GROUP) {
		struct bin *bin = sweep->quarter == 0 ? NULL : arena_bin(arena, sweep->class, sweep->shard);
		if (bin != NULL && !visit_list(arena, bin, sweep->quarter))
			continue;
		if (!next_list(arena, sweep)) {
			sweep->runs = false;
			return;
		}
	}
}
