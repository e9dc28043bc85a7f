/* cache.c - what happens when a thread leaves the fast lane.
 *
 * A bin starts with a few slots and earns depth: up to a few KiB by missing or overflowing at all, beyond that only by doing
 * both in turn, which is what a deeper stack would have spared. Depth is paid from the thread's share of a process-wide
 * budget of bytes; collection takes it back from bins that hold more than they used. */
#include <string.h>
#include "thread/lock.h"
#include "cache/cache.h"
#include "cache/percpu.h"
#include "cache/transfer.h"

#define FIRST_DEPTH   3          /* blocks a bin opens with, at most */
#define EASY_BYTES    (4 * KIB)  /* depth up to this is had for the asking... */
#define EASY_DEPTH    63         /* ...and this... */
#define EASY_SIZE     512        /* ...for blocks up to this many bytes; */
#define LARGE_BYTES   (16 * KIB) /* for larger ones, up to this and FIRST_DEPTH */
#define BATCH_PARTS   8u         /* this part of the depth is moved first after a change of direction... */
#define BATCH_FIRST   16u        /* ...or so many blocks... */
#define BATCH_BYTES   (64 * KIB) /* ...and bytes, but not more than half of it */
#define REFILL_MOST   64u        /* blocks of a refill: more would not spare a lock that counts */
#define CLASS_BYTES   (2 * MIB)  /* a bin holds no more than this... */
#define SLOTS_MAX     8191u      /* ...and this: its storage is one window */
#define SHARE_MIN     (32 * KIB)
#define SHARE_SHORT   4                /* the part of the budget there is while memory is short */
#define SHARE_PARTS   16               /* blocks larger than this part of the share are not cached */
#define COLLECT_EVERY 64               /* visits, a power of two */
#define GRANTS_MOST   (UINT32_MAX / 2) /* then requests are reported to the arena */

static struct cache_settings settings;   /* [const after start] */
static uint16_t first_most[CLASS_COUNT]; /* of new caches               [const after start] */
static uint32_t collect_mask;            /* of visits                   [const after start] */
static _Atomic(bool) memory_short;       /* [atomic] */
static _Atomic(size_t) share;            /* bytes one thread may hold                          [atomic] */
static _Atomic(uint32_t) pace = CACHE_GRANT / CACHE_UNIT; /* units of a grant                  [atomic] */

/* Blocks of the class that fit into `bytes`: at least one, at most `most`. */
static unsigned fit(unsigned class, size_t bytes, unsigned most) {
	return (unsigned)size_min(most, size_max(bytes / class_info[class].bytes, 1));
}

static unsigned even_up(unsigned number) {
	return (number + 1) & ~1u;
}

/* The most blocks of a class that the program's rule allows. */
static unsigned ruled(const struct cache_rule *rule, unsigned class) {
	if (class > CLASS_SMALL_LAST)
		return rule->large;
	uint64_t regions = class_info[class].regions;
	uint64_t slots = rule->lg_slabs < 0 ? regions >> -rule->lg_slabs : regions << rule->lg_slabs;
	size_t least = size_max(even_up(rule->least), 2), most = size_max(rule->most & ~1u, 2);
	return (unsigned)size_min(size_max(even_up((unsigned)slots), least), most);
}

static void start_most(void) {
	for (unsigned class = 1; class <= CLASS_LAST; class ++) {
		unsigned most = fit(class, CLASS_BYTES, SLOTS_MAX);
		if (settings.rule.set)
			most = (unsigned)size_min(most, ruled(&settings.rule, class));
		cache_start_most(class, most);
	}
}

void cache_start_most(unsigned class, unsigned most) {
	first_most[class] = (uint16_t)size_min(most, SLOTS_MAX);
}

/* Bytes for each of so many. */
static size_t share_of(unsigned count) {
	size_t part = settings.budget / size_max(count, 1);
	if (load_relaxed(&memory_short))
		part /= SHARE_SHORT;
	return size_max(part, SHARE_MIN);
}

STARTUP void cache_start(const struct cache_settings *wanted) {
	settings = *wanted;
	size_t every =
		settings.collect_bytes == 0 ? COLLECT_EVERY : size_max(settings.collect_bytes / KIB, 1);
	collect_mask = (UINT32_C(1) << bit_highest(size_min(every, UINT32_MAX))) - 1;
	base_define(BASE_CACHE, sizeof(struct cache));
	start_most();
	if (settings.percpu && settings.enabled)
		(void)percpu_start();
	cache_note_threads(1);
	transfer_start();
}

void cache_note_threads(unsigned count) {
	store_relaxed(&share, share_of(count));
	percpu_set_share(share_of(settings.cpus), share_of(1));
	transfer_enable(count > 1);
}

void cache_set_short(bool is_short) {
	store_relaxed(&memory_short, is_short);
}

static void tie(struct cache *cache, struct arena *arena, bool shares) {
	cache->arena = arena;
	cache->shared = shares ? arena : NULL;
	cache->percpu = shares && percpu_on();
}

void cache_init(struct cache *cache, struct arena *arena, bool shares) {
	void **idle_slots[CACHE_PARTS];
	memcpy(idle_slots, cache->idle_slots, sizeof idle_slots);
	memset(cache, 0, sizeof *cache);
	memcpy(cache->idle_slots, idle_slots, sizeof idle_slots);
	memcpy(cache->most, first_most, sizeof cache->most);
	list_init(&cache->link);
	tie(cache, arena, shares);
	cache->next_class = 1;
	cache->max_class = (uint8_t)settings.max_class;
	cache->limit = settings.enabled ? cache->max_class : CLASS_NONE;
}

/* -- depth ----------------------------------------------------------------------------------------------------- */

static unsigned first_depth(unsigned class) {
	return class_info[class].bytes > EASY_SIZE ? 1 : fit(class, EASY_BYTES, FIRST_DEPTH);
}

/* Blocks of a class that are worth one lock. */
static unsigned batch_of(unsigned class) {
	return fit(class, LARGE_BYTES, EASY_DEPTH);
}

/* Depth of a bin that is only allocated from: a batch for one lock; more while the blocks are there, freed by others. */
static unsigned miss_depth(unsigned class, bool travels) {
	if (travels)
		return batch_of(class);
	return class_info[class].bytes > EASY_SIZE ? fit(class, LARGE_BYTES, FIRST_DEPTH)
	                                           : fit(class, EASY_BYTES, EASY_DEPTH);
}

/* Depth of a bin that is only freed to: what it holds may stay there for long, and one large block may pin a slab. A
 * batch while others take what it sends away, if it was never allocated from. */
static unsigned overflow_depth(unsigned class, const struct cache_depth *record) {
	if (record->travels && !record->turned)
		return batch_of(class);
	return class_info[class].bytes > EASY_SIZE ? 0 : fit(class, EASY_BYTES, EASY_DEPTH);
}

static unsigned held(const struct cache *cache, unsigned class) {
	return (unsigned)(cache->depth[class].top - cache->bin[class].head);
}

static void set_depth(struct cache *cache, unsigned class, unsigned depth) {
	struct cache_depth *record = &cache->depth[class];
	cache->capacity += ((size_t)depth - record->depth) * class_info[class].bytes;
	record->depth = (uint16_t)depth;
	cache->bin[class].full = LOW16(record->top - depth);
}

/* -- storage: whole cache lines come from the base floor; parts of one stay with the cache, so that two threads never
 * write to the same line, and a thread that follows another finds what that one left ------------------------------- */

static void put_slots(struct cache *cache, unsigned lg, void **storage) {
	*storage = cache->idle_slots[lg - 1];
	cache->idle_slots[lg - 1] = storage;
}

static void **split_line(struct cache *cache, unsigned lg) {
	const unsigned parts = CACHE_LINE / sizeof(void *) >> lg;
	void **line = base_take(BASE_SLOTS + CACHE_PARTS + 1, NULL);
	for (unsigned part = 1; line != NULL && part < parts; part++)
		put_slots(cache, lg, line + ((size_t)part << lg));
	return line;
}

static void **take_storage(struct cache *cache, unsigned lg) {
	if (lg > CACHE_PARTS)
		return base_take(BASE_SLOTS + (enum base_kind)lg, NULL);
	void **storage = cache->idle_slots[lg - 1];
	if (storage == NULL)
		return split_line(cache, lg);
	cache->idle_slots[lg - 1] = *storage;
	return storage;
}

static void give_storage(struct cache *cache, unsigned class) {
	const struct cache_depth *record = &cache->depth[class];
	void **storage = record->top + 1 - ((size_t)1 << record->lg_slots);
	if (record->lg_slots > CACHE_PARTS)
		base_give(BASE_SLOTS + (enum base_kind)record->lg_slots, storage);
	else
		put_slots(cache, record->lg_slots, storage);
}

/* Moves a bin to storage that has room for `depth` and the NULL word. False: no memory, nothing changed. */
static bool widen(struct cache *cache, unsigned class, unsigned depth) {
	struct cache_depth *record = &cache->depth[class];
	struct cache_bin *bin = &cache->bin[class];
	uint8_t lg = (uint8_t)log2_ceil(depth + 1);
	void **storage = take_storage(cache, lg);
	if (storage == NULL)
		return false;
	void **top = storage + ((size_t)1 << lg) - 1;
	unsigned count = record->top == NULL ? 0 : held(cache, class);
	*top = NULL;
	if (record->top != NULL) {
		memcpy(top - count, bin->head, count * sizeof *top);
		give_storage(cache, class);
	}
	bin->head = top - count;
	bin->empty = LOW16(top);
	record->top = top;
	record->lg_slots = lg;
	return true;
}

static unsigned room(const struct cache_depth *record) {
	return (1u << record->lg_slots) - 1;
}

/* Notes a miss or an overflow. True when they come in turn: the last was of the other kind, and not for the first time,
 * as any thread turns once from allocating to freeing. */
static bool note_event(struct cache_depth *record, enum cache_event event) {
	bool turned = record->last != CACHE_NOTHING && record->last != event;
	bool in_turn = turned && record->turned;
	if (record->last != event)
		record->batch = 0;
	record->turned |= turned;
	record->last = event;
	record->shrunk &= event == CACHE_OVERFLOW;
	return in_turn;
}

/* Doubles the depth if that can be paid for; beyond `easy` only for events in turn. */
static void earn_depth(struct cache *cache, unsigned class, bool in_turn, unsigned easy) {
	struct cache_depth *record = &cache->depth[class];
	unsigned depth = (unsigned)size_min(record->depth * 2u + 1, cache->most[class]);
	if (depth <= record->depth || (!in_turn && depth > easy))
		return;
	size_t more = (size_t)(depth - record->depth) * class_info[class].bytes;
	if (cache->capacity + more > load_relaxed(&share))
		return;
	if (depth > room(record) && !widen(cache, class, depth))
		return;
	set_depth(cache, class, depth);
}

/* Blocks that are moved first after a change of direction: few may be all that is missing, or too many. A thread that
 * wants but a few blocks gets one. */
static unsigned first_batch(const struct cache_depth *record, unsigned class) {
	size_t part = size_max(record->depth / BATCH_PARTS, fit(class, BATCH_BYTES, BATCH_FIRST));
	return record->turned ? (unsigned)size_min(part, record->depth / 2u + 1) : 1;
}

/* First use of a bin. False: it is to hold none, blocks of this class are too large for the share, or there is no
 * memory. */
static bool open_bin(struct cache *cache, unsigned class) {
	unsigned depth = (unsigned)size_min(first_depth(class), cache->most[class]);
	if (depth == 0 || class_info[class].bytes > load_relaxed(&share) / SHARE_PARTS ||
	    !widen(cache, class, depth))
		return false;
	set_depth(cache, class, depth);
	return true;
}

/* -- flushing -------------------------------------------------------------------------------------------------- */

/* Hands blocks to other threads, which then have at most so many waiting. False: it cannot be, or there is no room. */
static bool send(struct cache *cache, unsigned class, void **blocks, unsigned count, unsigned most) {
	bool sent = cache->shared != NULL && arena_may_travel(blocks, count) &&
	            transfer_push(class, blocks, count, most);
	cache->depth[class].travels = sent;
	return sent;
}

/* The same, only while there are others. */
static bool send_on(struct cache *cache, unsigned class, void **blocks, unsigned count) {
	return transfer_enabled() && send(cache, class, blocks, count, TRANSFER_ANY);
}

/* Returns the `count` blocks that have waited longest, to other threads or to the arenas. */
static void flush_oldest(struct cache *cache, unsigned class, unsigned count, bool to_threads) {
	struct cache_depth *record = &cache->depth[class];
	struct cache_bin *bin = &cache->bin[class];
	void **oldest = record->top - count;
	cache->net -= count * (uint64_t)class_info[class].bytes;
	if (!to_threads || !send_on(cache, class, oldest, count))
		arena_flush(class, oldest, count);
	memmove(bin->head + count, bin->head, (size_t)(oldest - bin->head) * sizeof *oldest);
	bin->head += count;
}

/* Blocks the bin held all the time since the last look without needing them. */
static unsigned idle_blocks(struct cache *cache, unsigned class) {
	struct cache_depth *record = &cache->depth[class];
	uint32_t requests =
		record->grants * CACHE_UNIT - (uint32_t)cache->bin[class].left - cache->withheld[class];
	uint32_t served = requests - record->requests;
	unsigned idle = record->held > served ? record->held - served : 0, now = held(cache, class);
	record->requests = requests;
	return idle < now ? idle : now;
}

/* Looks at the next bin in turn: what was idle goes back, and depth that is not used or not covered by the share. */
static void collect(struct cache *cache) {
	unsigned class = cache->next_class;
	cache->next_class = (uint8_t)(class == CLASS_LAST ? 1 : class + 1);
	struct cache_depth *record = &cache->depth[class];
	if (record->top == NULL)
		return;
	unsigned idle = idle_blocks(cache, class);
	bool over = cache->capacity > load_relaxed(&share);
	if (idle > 0)
		flush_oldest(cache, class, idle - idle / 4, false);
	if ((over || idle > record->depth / 2u) && record->depth > first_depth(class)) {
		unsigned depth = record->depth / 2u, count = held(cache, class);
		if (count > depth)
			flush_oldest(cache, class, count - depth, false);
		set_depth(cache, class, depth);
	}
	record->held = (uint16_t)held(cache, class);
	audit(cache_audit(cache));
}

/* Counts a visit that means more than a grant used up. */
static void collect_at_times(struct cache *cache) {
	if ((++cache->visits & collect_mask) == 0)
		collect(cache);
}

/* Blocks of a full bin that are flushed when `wanted` are to be: the program may have set a bound. */
static unsigned bounded(unsigned class, unsigned count, unsigned wanted) {
	unsigned lg = class <= CLASS_SMALL_LAST ? settings.lg_flush_small : settings.lg_flush_large;
	return lg == 0 ? wanted : (unsigned)size_min(wanted, size_max(count >> lg, 1));
}

/* Gives up depth, down to `least`, as far as no block is in the way. */
static void shrink(struct cache *cache, unsigned class, unsigned least) {
	unsigned depth = (unsigned)size_max(least, held(cache, class));
	if (depth < cache->depth[class].depth)
		set_depth(cache, class, depth);
}

/* Makes room in a full bin. A thread that allocates and frees in turn sends little away at first, then more each time; one
 * that only frees keeps nothing, and of its depth only what makes a batch: what it holds may stay there for long. False: no
 * depth is left at all. */
static bool make_room(struct cache *cache, unsigned class) {
	struct cache_depth *record = &cache->depth[class];
	bool steady = record->turned, in_turn = note_event(record, CACHE_OVERFLOW);
	unsigned count = held(cache, class);
	earn_depth(cache, class, in_turn, overflow_depth(class, record));
	unsigned batch = steady ? record->batch + first_batch(record, class) : record->depth;
	record->batch = (uint16_t)size_min(batch, record->depth);
	if (count < record->depth)
		return true;
	cache->patience -= (int32_t)count / 4;
	if (count > 0)
		flush_oldest(cache, class, bounded(class, count, record->batch), true);
	unsigned least = overflow_depth(class, record);
	if (!in_turn && record->batch == record->depth && !(steady && record->shrunk) &&
	    record->depth > least) {
		record->shrunk = true; /* once until the next miss: growing must be faster */
		shrink(cache, class, steady ? (unsigned)size_max(record->depth / 2u, least) : least);
	}
	return held(cache, class) < record->depth;
}

RACY uint64_t cache_served(const struct cache *cache, unsigned class) {
	int32_t left = cache->bin[class].left;
	return (uint64_t)cache->depth[class].grants * CACHE_UNIT - (uint64_t)(left > 0 ? left : 0) -
	       cache->withheld[class];
}

/* Reports the requests served so far, and forgets them but for their bytes. */
static void settle(struct cache *cache, unsigned class) {
	uint64_t served = cache_served(cache, class);
	if (served > 0)
		arena_count_requests(cache->arena, class, served);
	cache->allocated += served * class_info[class].bytes;
	cache->freed += served * class_info[class].bytes;
	cache->depth[class].grants = 0;
	cache->depth[class].requests = 0;
	cache->depth[class].due = false;
	cache->withheld[class] = 0;
	cache->bin[class].left = 0;
}

/* -- the full lane --------------------------------------------------------------------------------------------- */

/* Blocks that other threads freed, else from the arena. Returns how many. */
static unsigned fetch(struct cache *cache, unsigned class, struct arena *arena, void **slots, unsigned want) {
	unsigned got = arena == cache->shared ? transfer_pop(class, slots, want) : 0;
	cache->depth[class].travels = got > 0;
	return got != 0 ? got : arena_fill(arena, class, slots, want);
}

/* Whoever ends an arena asks which explicit caches its blocks may be in. */
static void note_manual(struct cache *cache, void *block) {
	if (unlikely(!arena_may_travel(&block, 1)) && load_relaxed(&cache->manual) == NULL)
		store_relaxed(&cache->manual, map_span(block)->arena);
}

/* Fills an empty bin with one batch. */
static bool refill(struct cache *cache, unsigned class, struct arena *arena) {
	struct cache_depth *record = &cache->depth[class];
	bool opened = record->last == CACHE_NOTHING, in_turn = note_event(record, CACHE_MISS);
	if (!opened)
		earn_depth(cache, class, in_turn, miss_depth(class, record->travels));
	unsigned want = (unsigned)size_max((size_t)record->batch * 2, first_batch(record, class));
	want = (unsigned)size_max(size_min(want, size_min(record->depth, REFILL_MOST)), 1);
	record->batch = (uint16_t)want;
	void **slots = record->top - want;
	unsigned got = fetch(cache, class, arena, slots, want);
	cache->net += got * (uint64_t)class_info[class].bytes;
	if (got < want)
		memmove(record->top - got, slots, got * sizeof *slots);
	cache->bin[class].head = record->top - got;
	if (unlikely(cache->shared == NULL) && got > 0)
		note_manual(cache, *cache->bin[class].head);
	return got > 0;
}

/* -- grants, and sampling ---------------------------------------------------------------------------------------- */

void cache_follow_sampling(struct cache *cache) {
	uint32_t now = load_relaxed(&event_sampling);
	if (cache->sampling == now)
		return;
	cache->sampling = now;
	cache->until = 0;
	for (unsigned class = 1; class <= CLASS_LAST; class ++) {
		struct cache_bin *bin = &cache->bin[class];
		unsigned back = cache->withheld[class] + (unsigned)(bin->left > 0 ? bin->left : 0);
		cache->depth[class].grants -= back / CACHE_UNIT;
		cache->withheld[class] = (uint8_t)(back % CACHE_UNIT);
		cache->depth[class].due = false;
		bin->left = 0;
	}
}

bool cache_count_down(struct cache *cache, size_t bytes) {
	cache_follow_sampling(cache);
	if (cache->until == 0)
		cache->until = event_hooks.distance(&cache->random) + 1;
	if (bytes < cache->until) {
		cache->until -= bytes;
		return false;
	}
	cache->until = 0;
	return true;
}

/* Draws, for the request being served, whether it is sampled, and for those after it, how many of at most *pass come
 * before one is due. Each class is drawn for alone: together they are sampled as one stream of bytes would be. */
static COLD bool draw(struct cache *cache, unsigned class, unsigned *pass) {
	struct cache_depth *record = &cache->depth[class];
	size_t bytes = class_info[class].bytes;
	cache_follow_sampling(cache);
	bool hit = record->due || event_hooks.distance(&cache->random) < bytes;
	uint64_t next = event_hooks.distance(&cache->random) / bytes;
	record->due = next <= *pass;
	if (record->due)
		*pass = (unsigned)next;
	return hit;
}

/* Grants the request being served, and those up to the next visit for this reason. True: it is to be sampled. */
static bool grant(struct cache *cache, unsigned class) {
	struct cache_depth *record = &cache->depth[class];
	unsigned pass = load_relaxed(&pace) * CACHE_UNIT - 1;
	if (unlikely(record->grants >= GRANTS_MOST))
		settle(cache, class);
	bool hit = unlikely(load_relaxed(&event_sampling) != 0) && draw(cache, class, &pass);
	unsigned held_back = cache->withheld[class], wanted = pass + 1;
	unsigned units = wanted <= held_back ? 0 : (wanted - held_back + CACHE_UNIT - 1) / CACHE_UNIT;
	record->grants += units;
	cache->withheld[class] = (uint8_t)(held_back + units * CACHE_UNIT - wanted);
	cache->bin[class].left = (int32_t)pass;
	cache->lavish |= pass >= CACHE_UNIT;
	cache->patience = 0;
	return hit;
}

static void *take_uncached(struct cache *cache, unsigned class, struct arena *arena) {
	void *block = arena_take(arena, class);
	if (likely(block != NULL)) {
		cache_count(cache, class_info[class].bytes, 0);
		cache->hit = cache_samples(cache, class_info[class].bytes);
	}
	return block;
}

static void give_uncached(struct cache *cache, unsigned class, void *block) {
	arena_flush(class, &block, 1);
	cache_count(cache, 0, class_info[class].bytes);
}

void cache_set_pace(bool often) {
	uint32_t units = often ? 1 : CACHE_GRANT / CACHE_UNIT;
	if (unlikely(load_relaxed(&pace) != units))
		store_relaxed(&pace, units);
}

void cache_keep_pace(struct cache *cache) {
	if (likely(!cache->lavish) || load_relaxed(&pace) > 1)
		return;
	cache->lavish = false;
	for (unsigned class = 1; class <= CLASS_LAST; class ++) {
		int32_t left = cache->bin[class].left, units = left / CACHE_UNIT;
		if (left < CACHE_UNIT)
			continue;
		cache->bin[class].left = left - units * CACHE_UNIT;
		cache->depth[class].due = false; /* drawn for another number */
		cache->depth[class].grants -= (uint32_t)units;
	}
}

static void set_busy(struct cache *cache, bool busy) {
	store_relaxed(&cache->busy, busy);
	compiler_barrier();
}

/* Counts the request that a cache is about to serve. */
static void count_request(struct cache *cache, unsigned class) {
	struct cache_bin *bin = &cache->bin[class];
	if (bin->left <= 0) /* below: by requests the fast lane counted and did not serve */
		cache->hit = grant(cache, class);
	else
		bin->left--;
	if (unlikely(cache->front != NULL))
		cache->front->allocated += class_info[class].bytes;
}

/* -- the same with caches of CPUs ------------------------------------------------------------------------------ */

/* Each call comes here, and is to hurry the clock no more than one on the fast lane does. */
static void stay_patient(struct cache *cache) {
	cache->patience += CACHE_VISIT - 1;
}

/* Brings a batch for the CPU, and returns the first block of it. */
static NOINLINE void *refill_cpu(struct cache *cache, unsigned class) {
	void *blocks[PERCPU_BATCH];
	unsigned want = percpu_note_miss(class, miss_depth(class, false), cache->most[class]);
	unsigned got = fetch(cache, class, cache->shared, blocks, want), rest = got;
	while (rest > 1 && percpu_push(class, blocks[rest - 1]))
		rest--;
	if (rest > 1)
		arena_flush(class, blocks + 1, rest - 1);
	return got == 0 ? NULL : blocks[0];
}

/* Makes room for the block, if there can be any, by taking half of the others away. */
static NOINLINE void spill_cpu(struct cache *cache, unsigned class, void *block) {
	void *blocks[PERCPU_BATCH + 1];
	unsigned count = 0;
	unsigned want = percpu_note_overflow(class, miss_depth(class, false), cache->most[class]);
	while (count < want && (blocks[count] = percpu_pop(class)) != NULL)
		count++;
	cache->patience -= (int32_t)count / 4;
	if (!percpu_push(class, block))
		blocks[count++] = block;
	if (count > 0 && !send_on(cache, class, blocks, count))
		arena_flush(class, blocks, count);
}

static void *take_from_cpu(struct cache *cache, unsigned class, struct arena *arena) {
	if (unlikely(arena != cache->shared || cache->most[class] == 0))
		return take_uncached(cache, class, arena);
	void *block = percpu_pop(class);
	if (unlikely(block == NULL) && (block = refill_cpu(cache, class)) == NULL)
		return NULL;
	cache->net += class_info[class].bytes;
	count_request(cache, class);
	stay_patient(cache);
	return block;
}

static void give_to_cpu(struct cache *cache, unsigned class, void *block) {
	if (unlikely(cache->most[class] == 0 || !arena_may_travel(&block, 1))) {
		give_uncached(cache, class, block);
		return;
	}
	cache->net -= class_info[class].bytes;
	if (unlikely(cache->front != NULL))
		cache->front->freed += class_info[class].bytes;
	stay_patient(cache);
	if (unlikely(!percpu_push(class, block)))
		spill_cpu(cache, class, block);
}

/* May the thread go on without a look around? */
static bool serves_at_once(const struct cache *cache, unsigned class) {
	return likely(cache->patience > 1 && class <= cache->limit && cache->most[class] != 0 &&
	              !load_relaxed(&cache->attend));
}

void *cache_take_at_once(struct cache *cache, unsigned class) {
	struct cache_bin *bin = &cache->bin[class];
	if (unlikely(bin->left <= 0) || !serves_at_once(cache, class))
		return NULL;
	void *block = percpu_pop(class);
	if (unlikely(block == NULL))
		return NULL;
	bin->left--;
	cache->net += class_info[class].bytes;
	cache->patience--;
	return block;
}

bool cache_give_at_once(struct cache *cache, unsigned class, void *block) {
	if (!serves_at_once(cache, class) || !arena_may_travel(&block, 1) || !percpu_push(class, block))
		return false;
	cache->net -= class_info[class].bytes;
	cache->patience--;
	return true;
}

/* -- taking and giving ----------------------------------------------------------------------------------------- */

void *cache_take(struct cache *cache, unsigned class, struct arena *arena) {
	struct cache_bin *bin = &cache->bin[class];
	struct cache_depth *record = &cache->depth[class];
	void *block = NULL;
	if (class > cache->limit)
		return take_uncached(cache, class, arena);
	if (unlikely(cache->percpu))
		return take_from_cpu(cache, class, arena);
	set_busy(cache, true);
	if (bin->head == record->top)
		collect_at_times(cache);
	if (record->top == NULL && !open_bin(cache, class)) {
		block = take_uncached(cache, class, arena);
	} else if (bin->head != record->top || refill(cache, class, arena)) {
		count_request(cache, class);
		block = *bin->head++;
	}
	compiler_barrier();
	set_busy(cache, false);
	return block;
}

/* A thread's first frees of a class it has not allocated from may be of blocks that share a cache line with another
 * thread's: keeping them would keep the line shared for ever. A few go home; a thread that frees more is a consumer. */
static bool goes_home(struct cache *cache, unsigned class, const void *block) {
	struct cache_depth *record = &cache->depth[class];
	if (class_info[class].bytes >= 2 * CACHE_LINE || record->foreign == 3 ||
	    arena_owns(cache->arena, block))
		return false;
	record->foreign++;
	return true;
}

/* Is there room for the block, and is it to stay here? */
static bool keeps(struct cache *cache, unsigned class, const void *block) {
	const struct cache_depth *record = &cache->depth[class];
	if (record->top == NULL)
		return !goes_home(cache, class, block) && open_bin(cache, class);
	return held(cache, class) < record->depth || make_room(cache, class);
}

void cache_give(struct cache *cache, unsigned class, void *block) {
	if (class > cache->limit) {
		give_uncached(cache, class, block);
		return;
	}
	if (unlikely(cache->percpu)) {
		give_to_cpu(cache, class, block);
		return;
	}
	set_busy(cache, true);
	collect_at_times(cache);
	if (keeps(cache, class, block)) {
		*--cache->bin[class].head = block;
		if (unlikely(cache->shared == NULL))
			note_manual(cache, block);
		if (unlikely(cache->front != NULL))
			cache->front->freed += class_info[class].bytes;
	} else {
		if (cache->depth[class].top == NULL || !send_on(cache, class, &block, 1))
			arena_flush(class, &block, 1);
		cache_count(cache, 0, class_info[class].bytes);
	}
	compiler_barrier();
	set_busy(cache, false);
}

bool cache_holds(const struct cache *cache, unsigned class, const void *block, unsigned most) {
	if (unlikely(cache->percpu))
		return percpu_holds(class, block, most);
	void **slot = cache->bin[class].head;
	void **end = slot == NULL ? NULL : slot + size_min(held(cache, class), most);
	while (slot < end && *slot != block)
		slot++;
	return slot < end;
}

static void close_bin(struct cache *cache, unsigned class) {
	set_depth(cache, class, 0);
	give_storage(cache, class);
	cache->bin[class] = (struct cache_bin){0};
	cache->depth[class] = (struct cache_depth){0};
}

static bool all_differ(void *const *blocks, unsigned count) {
	for (unsigned i = 1; i < count; i++)
		for (unsigned j = 0; j < i; j++)
			if (blocks[i] == blocks[j])
				return false;
	return true;
}

/* Can the next thread have these? Blocks that may share a cache line with others are not spread over threads one by one.
 * What cannot be a block, or comes twice, is left to the flush, which reports it. */
static bool may_be_left(unsigned class, void *const *blocks, unsigned count) {
	return count > 0 && count <= batch_of(class) && class_info[class].bytes >= 2 * CACHE_LINE &&
	       arena_has_blocks(class, blocks, count) && all_differ(blocks, count);
}

void cache_bequeath(struct cache *cache) {
	set_busy(cache, true);
	for (unsigned class = 1; class <= CLASS_LAST; class ++) {
		struct cache_bin *bin = &cache->bin[class];
		unsigned count = cache->depth[class].top == NULL ? 0 : held(cache, class);
		if (!may_be_left(class, bin->head, count) ||
		    !send(cache, class, bin->head, count, batch_of(class)))
			continue;
		cache->net -= count * (uint64_t)class_info[class].bytes;
		bin->head = cache->depth[class].top;
	}
	compiler_barrier();
	set_busy(cache, false);
}

void cache_flush(struct cache *cache, bool end) {
	set_busy(cache, true);
	store_relaxed(&cache->manual, NULL);
	for (unsigned class = 1; class <= CLASS_LAST; class ++) {
		if (cache->depth[class].top == NULL) {
			if (cache->percpu)
				settle(cache, class);
			continue;
		}
		unsigned count = held(cache, class);
		if (count > 0)
			flush_oldest(cache, class, count, false);
		settle(cache, class);
		if (end)
			close_bin(cache, class);
	}
	compiler_barrier();
	set_busy(cache, false);
	if (cache->percpu && !end)
		percpu_drain_here();
}

void cache_move(struct cache *cache, struct arena *arena, bool shares) {
	if (shares && percpu_on() && !cache->percpu)
		cache_flush(cache, true);
	for (unsigned class = 1; class <= CLASS_LAST; class ++)
		settle(cache, class);
	tie(cache, arena, shares);
}

void cache_drain_shared(bool all) {
	percpu_drain(all);
	transfer_drain(all);
}

/* -- limits ---------------------------------------------------------------------------------------------------- */

bool cache_enabled(const struct cache *cache) {
	return cache->limit != CLASS_NONE;
}

void cache_enable(struct cache *cache, bool enabled) {
	if (enabled == cache_enabled(cache))
		return;
	cache_flush(cache, true);
	cache->limit = enabled ? cache->max_class : CLASS_NONE;
}

void cache_set_max(struct cache *cache, unsigned class) {
	bool enabled = cache_enabled(cache);
	cache_flush(cache, true);
	cache->max_class = (uint8_t) class;
	cache->limit = enabled ? cache->max_class : CLASS_NONE;
}

unsigned cache_most(const struct cache *cache, unsigned class) {
	return class > cache->max_class ? 0 : cache->most[class];
}

void cache_set_most(struct cache *cache, const uint16_t most[CLASS_COUNT]) {
	cache_flush(cache, true);
	for (unsigned class = 1; class <= CLASS_LAST; class ++)
		cache->most[class] = (uint16_t)size_min(most[class], SLOTS_MAX);
}

/* -- figures --------------------------------------------------------------------------------------------------- */

uint64_t cache_allocated(const struct cache *cache) {
	uint64_t sum = cache->allocated;
	for (unsigned class = 1; class <= CLASS_LAST; class ++)
		sum += cache_served(cache, class) * class_info[class].bytes;
	return sum;
}

uint64_t cache_freed(const struct cache *cache) {
	uint64_t sum = cache->freed - cache->net;
	for (unsigned class = 1; class <= CLASS_LAST; class ++) {
		unsigned count = cache->depth[class].top == NULL ? 0 : held(cache, class);
		sum += (cache_served(cache, class) + count) * class_info[class].bytes;
	}
	return sum;
}

RACY size_t cache_bytes(const struct cache *cache) {
	size_t sum = 0;
	for (unsigned class = 1; class <= CLASS_LAST; class ++) {
		/* another thread's bin may be on its way to other storage: what cannot be is not counted */
		const struct cache_depth *record = &cache->depth[class];
		uintptr_t head = (uintptr_t)cache->bin[class].head, top = (uintptr_t)record->top;
		size_t count = top == 0 ? 0 : (top - head) / sizeof(void *);
		if (count <= record->depth)
			sum += count * class_info[class].bytes;
	}
	return sum;
}

size_t cache_shared_bytes(void) {
	return transfer_bytes() + percpu_read_stats().bytes;
}

struct cache_percpu cache_read_percpu(void) {
	struct percpu_stats stats = percpu_read_stats();
	return (struct cache_percpu){.on = percpu_on(), .cpus = stats.cpus, .bytes = stats.bytes};
}

void cache_after_fork(void) {
	percpu_after_fork();
}

void cache_audit(const struct cache *cache) {
	size_t capacity = 0;
	for (unsigned class = 0; class <= CLASS_LAST; class ++) {
		const struct cache_depth *record = &cache->depth[class];
		const struct cache_bin *bin = &cache->bin[class];
		must(!cache->percpu || record->top == NULL, cache);
		if (record->top == NULL) {
			must(bin->head == NULL && bin->full == 0 && bin->empty == 0, cache);
			continue;
		}
		must(held(cache, class) <= record->depth && record->depth <= room(record), cache);
		must(class <= cache->limit, cache);
		must(record->depth <= cache->most[class], cache);
		must(*record->top == NULL, cache);
		must(((uintptr_t)record->top ^ (uintptr_t)(record->top - record->depth)) < 64 * KIB, cache);
		must(bin->empty == LOW16(record->top) && bin->full == LOW16(record->top - record->depth),
		     cache);
		capacity += record->depth * (size_t)class_info[class].bytes;
	}
	must(capacity == cache->capacity, cache);
}
