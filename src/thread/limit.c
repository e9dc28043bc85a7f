/* limit.c - how much of the system's memory the process may hold through the allocator.
 *
 *   used = pages handed out, dirty and muzzy ones, of all arenas and pools + our own records
 *
 *   used > soft   when an arena grows everything unused is purged, and so at every look at the clock; caches shrink,
 *                 threads share arenas. Until used falls CALM below it.
 *   used > hard   when an arena is to grow everything unused is purged. Where all that could not make room, it does not grow:
 *                 pages in use + records + what it asks for > hard; nor are pages inside of slabs used again
 *
 * Nobody keeps the sum: it is made anew when an arena comes to hold more than it may unasked (`allowed`, see pages.h), before
 * the program touches the new pages, and says how much it may hold then:
 *
 *   allowed = held + step        step = a part of what is left up to the next limit
 *
 * Whoever makes the sum also takes back from the other arenas what they are allowed beyond a step: they have shrunk since.
 * So all arenas together go beyond a limit by a step for each at most, and by what is asked for while a purge is waited
 * for. Their counts are read without their locks, and what moves at that moment from one place to another is in neither;
 * a request between asking and having is in `promised`.
 *
 * Locks: none while adding up but BASE; purging takes PURGE; shrinking caches THREADS. */
#include <string.h>
#include "os/os.h"
#include "ctl/ctl.h"
#include "thread/event.h"
#include "thread/inside.h"

#define STEP_MAX   CHUNK_PAGES /* pages an arena may grow unasked */
#define STEP_MIN   64
#define STEP_PART  4         /* all arenas together may have this part of what is left */
#define CALM_PART  32        /* of the soft limit */
#define WORTH      (1 * MIB) /* of unused pages, or... */
#define WORTH_PART 64        /* ...a part of the limit, to be purged when an arena grows; or... */
#define VAIN_PART  16        /* ...of what is in use, where that alone is beyond the limit */
#define SPARE_PART 10        /* of the group's maximum, which the soft limit of itself leaves */

static _Atomic(size_t) limits[LIMITS];               /* bytes, 0: none     [atomic] */
static _Atomic(size_t) promised;                     /* pages              [atomic] */
static _Atomic(size_t) stuck;                        /* bytes unused after the last purge for it   [atomic] */
static _Atomic(bool) above;                          /* [atomic] */
static _Atomic(uint64_t) exceeded, purges, refusals; /* [atomic] */

/* -- the sum --------------------------------------------------------------------------------------------------- */

struct sum {
	size_t used, unused; /* bytes */
	unsigned arenas;
};

static struct sum add_up(void) {
	struct sum sum = {.unused = pool_peek_unused(arena_pool())};
	sum.used = sum.unused;
	EACH_ARENA (arena, i) {
		const struct pool *own = arena_own_pool(arena);
		size_t pooled = own == NULL ? 0 : pool_peek_unused(own);
		struct page_held held = page_peek_held(&arena->pages);
		size_t hollow = size_min(load_relaxed(&arena->hollow), held.pages - held.unused);
		sum.used += held.pages - hollow + pooled;
		sum.unused += held.unused + pooled;
		sum.arenas++;
	}
	sum.used = sum.used * PAGE + base_read_stats().allocated;
	sum.unused *= PAGE;
	return sum;
}

/* Pages an arena may grow before it asks again. */
static size_t step_after(const struct sum *sum) {
	size_t step = STEP_MAX;
	for (unsigned kind = 0; kind < LIMITS; kind++) {
		size_t limit = load_relaxed(&limits[kind]);
		if (limit > sum->used)
			step = size_min(step,
			                (limit - sum->used) / PAGE / STEP_PART / size_max(sum->arenas, 1));
	}
	return size_max(step, STEP_MIN);
}

static void take_back(size_t step) {
	EACH_ARENA (arena, i) {
		size_t most = page_peek_held(&arena->pages).pages + step;
		if (load_relaxed(&arena->pages.allowed) > most)
			store_relaxed(&arena->pages.allowed, most);
	}
}

/* -- the soft limit -------------------------------------------------------------------------------------------- */

/* What goes with being above the limit, and ends with it. Whoever changes that comes here; the last one sees how it is. */
static void apply(void) {
	lock_take(&threads_lock);
	bool is = load_relaxed(&above);
	arena_allow_more(!is);
	cache_set_short(is);
	cache_note_threads(thread_count());
	lock_drop(&threads_lock);
	if (is)
		thread_ask_to_flush(NULL);
}

static void note(size_t used) {
	size_t soft = load_relaxed(&limits[LIMIT_SOFT]);
	bool was = load_relaxed(&above);
	bool is = soft != 0 && used > (was ? soft - soft / CALM_PART : soft);
	if (is == was || swap_acq_rel(&above, is) == is)
		return;
	if (is)
		add_relaxed(&exceeded, 1);
	apply();
}

/* Unused bytes that are worth a purge: what goes is soon fetched again by a program that lives near its limit. */
static size_t worth(const struct sum *sum, size_t limit) {
	size_t live = sum->used - sum->unused, least = size_max(WORTH, limit / WORTH_PART);
	return live > limit ? size_max(least, live / VAIN_PART) : least;
}

/* Waits for a purge that is going on: it may be enough. Not for pages that did not go the last time. */
static void purge_for(size_t limit) {
	struct sum before = add_up();
	if (before.used <= limit || before.unused < worth(&before, limit) + load_relaxed(&stuck))
		return;
	uint64_t given = arena_count_given();
	thread_purge(NULL, true);
	add_relaxed(&purges, 1);
	store_relaxed(&stuck, arena_count_given() != given ? 0 : add_up().unused);
}

bool limit_exceeded(void) {
	if (load_relaxed(&limits[LIMIT_SOFT]) == 0 && !load_relaxed(&above))
		return false;
	struct sum sum = add_up();
	note(sum.used);
	bool is = load_relaxed(&above);
	if (is && sum.unused >= WORTH)
		add_relaxed(&purges, 1);
	return is;
}

/* -- growing --------------------------------------------------------------------------------------------------- */

/* Would it be beyond the hard limit to have `more` bytes more in use? What is unused can be given back. */
static bool too_much(size_t more) {
	size_t hard = load_relaxed(&limits[LIMIT_HARD]);
	if (hard == 0)
		return false;
	struct sum sum = add_up();
	return sum.used - sum.unused + more > hard;
}

bool limit_refuses(size_t size) {
	return too_much(size_min(size, SIZE_LIMIT));
}

/* Only looks: a bin is locked. */
bool limit_refill(size_t pages) {
	if (!too_much(pages * PAGE))
		return true;
	add_relaxed(&refusals, 1);
	return false;
}

bool limit_grow(size_t more) {
	size_t all = add_relaxed(&promised, more) + more;
	size_t hard = load_relaxed(&limits[LIMIT_HARD]);
	if (!too_much(all * PAGE)) {
		if (hard != 0)
			purge_for(hard - size_min(hard, all * PAGE));
		return true;
	}
	sub_relaxed(&promised, more);
	add_relaxed(&refusals, 1);
	return false;
}

/* The lowest limit there is; SIZE_MAX: none. */
static size_t lowest_limit(void) {
	size_t lowest = SIZE_MAX;
	for (unsigned kind = 0; kind < LIMITS; kind++) {
		size_t limit = load_relaxed(&limits[kind]);
		lowest = limit != 0 ? size_min(lowest, limit) : lowest;
	}
	return lowest;
}

void limit_grown(struct pages *pages, size_t more) {
	size_t lowest = lowest_limit();
	sub_relaxed(&promised, more);
	struct sum sum = add_up();
	note(sum.used);
	if (sum.used > lowest) {
		purge_for(lowest);
		sum = add_up();
	}
	size_t step = step_after(&sum);
	take_back(step);
	store_relaxed(&pages->allowed, page_peek_held(pages).pages + step);
}

void limit_forget_others(void) {
	store_relaxed(&promised, 0);
}

/* -- setting and reading --------------------------------------------------------------------------------------- */

size_t thread_limit(enum limit_kind kind) {
	return load_relaxed(&limits[kind]);
}

static void watch(void) {
	page_watch_growth(thread_limit(LIMIT_SOFT) != 0 || thread_limit(LIMIT_HARD) != 0);
}

void thread_set_limit(enum limit_kind kind, size_t bytes) {
	store_relaxed(&limits[kind], bytes);
	watch();
	EACH_ARENA (arena, i)
		store_relaxed(&arena->pages.allowed, 0);
	if (limit_exceeded())
		thread_purge(NULL, true);
	note(add_up().used); /* no purge comes after this one */
}

/* What an option says, in bytes. Unless told otherwise the soft limit is a part of what the control group may have. */
static size_t resolve(const struct option_limit *option, enum limit_kind kind) {
	size_t most = os.memory_max, whole = os.memory_max != 0 ? os.memory_max : os.memory;
	size_t bytes;
	if (option_limit(option, whole, &bytes))
		return bytes;
	if (os.memory_high != 0 && (most == 0 || os.memory_high < most))
		most = os.memory_high;
	return kind == LIMIT_SOFT ? most - most / SPARE_PART : 0;
}

STARTUP void limit_start(void) {
	store_relaxed(&limits[LIMIT_SOFT], resolve(&opt.memory_limit_soft, LIMIT_SOFT));
	store_relaxed(&limits[LIMIT_HARD], resolve(&opt.memory_limit_hard, LIMIT_HARD));
	watch();
}

struct limit_stats thread_read_limits(void) {
	struct limit_stats stats = {.used = add_up().used};
	note(stats.used);
	stats.above = load_relaxed(&above);
	stats.exceeded = load_relaxed(&exceeded);
	stats.purges = load_relaxed(&purges);
	stats.refused = load_relaxed(&refusals);
	return stats;
}
