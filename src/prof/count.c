/* count.c - stacks, threads, and what was sampled where. */
#include <errno.h>
#include <string.h>
#include "ctl/ctl.h"
#include "os/os.h"
#include "prof/inside.h"

struct lock stacks_lock = LOCK_INITIALIZER(RANK_STACKS);
struct hash count_stacks, count_sites; /* [stacks_lock] */
size_t count_frames, count_threads;    /* [stacks_lock] */
static uint64_t next_uid;              /* [stacks_lock] */

enum sort { LIVE, ALL, SORTS };
static struct prof_requests small[CLASS_SMALL_LAST + 1][SORTS]; /* [stacks_lock] */
static struct prof_requests large[LARGE_CLASSES][SORTS];        /* [stacks_lock] */
static _Atomic(uint32_t) forgettings;                           /* [atomic; written under stacks_lock] */

STARTUP void count_start(void) {
	base_define(BASE_SITE, sizeof(struct site));
	base_define(BASE_PROF_THREAD, sizeof(struct prof_thread));
	base_define(BASE_SAMPLE, sizeof(struct sample));
}

/* -- threads --------------------------------------------------------------------------------------------------- */

static struct prof_thread *make_thread(void) {
	struct prof_thread *thread = base_take(BASE_PROF_THREAD, NULL);
	if (thread == NULL)
		return NULL;
	memset(thread, 0, sizeof *thread);
	store_relaxed(&thread->active, prof_thread_active_init());
	lock_take(&stacks_lock);
	thread->uid = next_uid++;
	count_threads++;
	lock_drop(&stacks_lock);
	return thread;
}

struct prof_thread *count_thread(struct cache *self) {
	if (self->prof == NULL)
		self->prof = make_thread();
	return self->prof;
}

/* A thread that has ended stays while something it sampled does. */
static void drop_thread(struct prof_thread *thread) REQUIRES(stacks_lock) {
	if (!thread->ended || thread->sites != 0)
		return;
	count_threads--;
	base_give(BASE_PROF_THREAD, thread);
}

void prof_end_thread(struct cache *cache) {
	struct prof_thread *thread = cache->prof;
	if (thread == NULL)
		return;
	cache->prof = NULL;
	sample_drop_spares(thread);
	lock_take(&stacks_lock);
	path_end(thread);
	thread->ended = true;
	drop_thread(thread);
	lock_drop(&stacks_lock);
}

bool prof_thread_is_active(const struct cache *self) {
	return self->prof == NULL ? prof_thread_active_init() : load_relaxed(&self->prof->active);
}

int prof_set_thread_active(struct cache *self, bool active) {
	struct prof_thread *thread = count_thread(self);
	if (thread == NULL)
		return EAGAIN;
	store_relaxed(&thread->active, active);
	return 0;
}

const char *prof_thread_name(const struct cache *self) {
	return self->prof == NULL ? "" : self->prof->name;
}

/* May it stand in a line of a dump? */
static bool is_printable(char c) {
	return (c >= ' ' && c < 127) || c == '\t';
}

static bool is_name(const char *name) {
	while (is_printable(*name))
		name++;
	return *name == 0;
}

int prof_set_thread_name(struct cache *self, const char *name) {
	if (!is_name(name))
		return EINVAL;
	struct prof_thread *thread = count_thread(self);
	if (thread == NULL)
		return EAGAIN;
	size_t length = strnlen(name, PROF_NAME_MAX - 1);
	lock_take(&stacks_lock);
	memset(thread->name, 0, sizeof thread->name);
	memcpy(thread->name, name, length);
	lock_drop(&stacks_lock);
	return 0;
}

void count_name_thread(struct prof_thread *thread) {
	char name[PROF_NAME_MAX];
	os_thread_name(name);
	for (char *at = name; *at != 0; at++)
		if (!is_printable(*at))
			*at = '?';
	lock_take(&stacks_lock);
	memcpy(thread->name, name, sizeof thread->name);
	lock_drop(&stacks_lock);
}

/* -- stacks ---------------------------------------------------------------------------------------------------- */

static uint64_t hash_trace(const struct trace *trace) {
	uint64_t hash = trace->depth;
	for (unsigned i = 0; i < trace->depth; i++)
		hash = hash_mix(hash ^ (uintptr_t)trace->frames[i]) + i;
	return hash;
}

static struct stack *make_stack(const struct trace *trace, uint64_t key) REQUIRES(stacks_lock) {
	size_t words = (sizeof(struct stack) / sizeof(void *)) + trace->depth;
	unsigned lg = log2_ceil(words);
	struct stack *stack = base_take(BASE_SLOTS + (enum base_kind)lg, NULL);
	if (stack == NULL)
		return NULL;
	*stack = (struct stack){.node.key = key, .depth = (uint16_t)trace->depth, .lg_words = (uint16_t)lg};
	memcpy(stack->frames, trace->frames, trace->depth * sizeof *stack->frames);
	if (hash_enter(&count_stacks, &stack->node)) {
		count_frames += stack->depth;
		return stack;
	}
	base_give(BASE_SLOTS + (enum base_kind)lg, stack);
	return NULL;
}

struct stack *count_stack(const struct trace *trace) REQUIRES(stacks_lock) {
	uint64_t key = hash_trace(trace);
	struct node **chain = hash_chain(&count_stacks, key);
	for (struct node *node = chain == NULL ? NULL : *chain; node != NULL; node = node->next) {
		struct stack *stack = container_of(node, struct stack, node);
		if (node->key == key && stack->depth == trace->depth &&
		    memcmp(stack->frames, trace->frames, trace->depth * sizeof *stack->frames) == 0)
			return stack;
	}
	return make_stack(trace, key);
}

void count_drop_stack(struct stack *stack) REQUIRES(stacks_lock) {
	if (stack->users != 0)
		return;
	hash_remove(&count_stacks, &stack->node);
	count_frames -= stack->depth;
	base_give(BASE_SLOTS + (enum base_kind)stack->lg_words, stack);
}

/* -- sites ----------------------------------------------------------------------------------------------------- */

static struct site *make_site(const struct site *wanted) REQUIRES(stacks_lock) {
	struct site *site = base_take(BASE_SITE, NULL);
	if (site == NULL)
		return NULL;
	*site = *wanted;
	site->era = load_relaxed(&forgettings);
	if (!hash_enter(&count_sites, &site->node)) {
		base_give(BASE_SITE, site);
		return NULL;
	}
	site->stack->users++;
	site->thread->sites++;
	return site;
}

static struct site *find_site(const struct site *wanted) REQUIRES(stacks_lock) {
	struct node **chain = hash_chain(&count_sites, wanted->node.key);
	for (struct node *node = chain == NULL ? NULL : *chain; node != NULL; node = node->next) {
		struct site *site = container_of(node, struct site, node);
		if (site->stack == wanted->stack && site->thread == wanted->thread &&
		    site->arena == wanted->arena)
			return site;
	}
	return make_site(wanted);
}

/* The counts of a site's thread are behind the others at most: who reads what was given first misses nothing of `all` that
 * it is a part of. */
static struct prof_counts read_tally(const struct tally *tally) {
	return (struct prof_counts){.objects = load_acquire(&tally->objects),
	                            .bytes = load_acquire(&tally->bytes),
	                            .eighths = load_acquire(&tally->eighths),
	                            .weighed = load_acquire(&tally->weighed)};
}

static void write_tally(struct tally *tally, const struct prof_counts *counts) {
	store_release(&tally->objects, counts->objects);
	store_release(&tally->bytes, counts->bytes);
	store_release(&tally->eighths, counts->eighths);
	store_release(&tally->weighed, counts->weighed);
}

static void subtract(struct prof_counts *from, const struct prof_counts *counts) {
	from->objects -= counts->objects;
	from->bytes -= counts->bytes;
	from->eighths -= counts->eighths;
	from->weighed -= counts->weighed;
}

void count_read(const struct site *site, struct prof_counts *live, struct prof_counts *all) {
	struct prof_counts given = read_tally(&site->given);
	*all = *live = read_tally(&site->all);
	subtract(live, &given);
	subtract(live, &site->freed);
	if (load_relaxed(&site->era) != load_relaxed(&forgettings))
		*all = *live;
}

/* What was freed before the last forgetting goes. By the site's thread only. */
static void forget_freed(struct site *site) REQUIRES(stacks_lock) {
	struct prof_counts live, all, none = {0};
	count_read(site, &live, &all);
	write_tally(&site->given, &none);
	site->freed = none;
	write_tally(&site->all, &live);
	store_relaxed(&site->era, load_relaxed(&forgettings));
}

/* Where nothing is live, and nothing to be remembered. */
static bool is_spent(const struct site *site) REQUIRES(stacks_lock) {
	struct prof_counts live, all;
	count_read(site, &live, &all);
	return site->kept == 0 && live.objects == 0 && (!opt.prof_accum || all.objects == 0);
}

static void drop_site(struct site *site) REQUIRES(stacks_lock) {
	site->stack->users--;
	count_drop_stack(site->stack);
	site->thread->sites--;
	drop_thread(site->thread);
	base_give(BASE_SITE, site);
}

/* -- counting -------------------------------------------------------------------------------------------------- */

static struct prof_requests *requests_of(const struct sample *sample) {
	return sample->usable <= SMALL_MAX ? small[size_class(sample->usable)]
	                                   : large[size_large_class(sample->usable)];
}

static struct prof_counts counts_of(const struct sample *sample) {
	return (struct prof_counts){1, sample->usable, sample->eighths, sample->weighed};
}

static void add_one(_Atomic(uint64_t) *count, uint64_t more) {
	store_release(count, load_relaxed(count) + more);
}

/* By the one thread that may. */
static void add(struct tally *tally, const struct sample *sample) {
	add_one(&tally->objects, 1);
	add_one(&tally->bytes, sample->usable);
	add_one(&tally->eighths, sample->eighths);
	add_one(&tally->weighed, sample->weighed);
}

/* Counts in, without a lock, where the site is known. False: it is not, or not of this arena. */
static bool count_in_known(struct sample *sample, const struct trace *trace, uint32_t arena) {
	struct site *site = trace->site;
	if (site->arena != arena || load_relaxed(&site->era) != load_relaxed(&forgettings) || opt.prof_stats)
		return false;
	sample->site = site;
	add(&site->all, sample);
	return true;
}

static struct site *find_place(const struct trace *trace, struct prof_thread *thread, uint32_t arena)
	REQUIRES(stacks_lock) {
	struct stack *stack = trace->site != NULL ? trace->site->stack : count_stack(trace);
	if (stack == NULL)
		return NULL;
	struct site wanted = {.stack = stack, .thread = thread, .arena = arena};
	wanted.node.key = hash_mix((uintptr_t)stack) ^ (uintptr_t)thread ^ wanted.arena;
	struct site *site = find_site(&wanted);
	if (site == NULL)
		count_drop_stack(stack);
	return site;
}

static void count_requests(const struct sample *sample, enum sort first, bool in) REQUIRES(stacks_lock) {
	struct prof_requests *requests = requests_of(sample);
	if (!opt.prof_stats)
		return;
	for (enum sort sort = LIVE; sort <= first; sort++) {
		requests[sort].bytes += in ? sample->asked : -sample->asked;
		requests[sort].count += in ? 1 : UINT64_MAX;
	}
}

bool count_in(struct sample *sample, const struct trace *trace, struct prof_thread *thread) {
	uint32_t arena = map_span(sample->block)->arena->index;
	if (likely(trace->site != NULL) && likely(count_in_known(sample, trace, arena)))
		return true;
	lock_take(&stacks_lock);
	struct site *site = find_place(trace, thread, arena);
	if (site != NULL) {
		if (load_relaxed(&site->era) != load_relaxed(&forgettings))
			forget_freed(site);
		sample->site = site;
		add(&site->all, sample);
		count_requests(sample, ALL, true);
		if (trace->site == NULL)
			path_keep(thread, &trace->path, site);
	}
	lock_drop(&stacks_lock);
	return site != NULL;
}

static void drop_if_spent(struct site *site) REQUIRES(stacks_lock) {
	if (!is_spent(site))
		return;
	hash_remove(&count_sites, &site->node);
	drop_site(site);
}

void count_keep(struct site *site) {
	site->kept++;
}

void count_release(struct site *site) {
	site->kept--;
	drop_if_spent(site);
}

void count_out(const struct sample *sample, const struct prof_thread *thread) {
	struct site *site = sample->site;
	if (thread == site->thread && site->kept != 0 && !opt.prof_stats) {
		add(&site->given, sample);
		return;
	}
	struct prof_counts one = counts_of(sample);
	lock_take(&stacks_lock);
	counts_add(&site->freed, &one);
	count_requests(sample, LIVE, false);
	drop_if_spent(site);
	lock_drop(&stacks_lock);
}

/* Of an earlier era: all there ever was is what is live. */
static bool has_ended(struct node *node, void *opaque) NO_LOCK_ANALYSIS {
	(void)opaque;
	return is_spent(container_of(node, struct site, node));
}

static void drop_ended(struct node *node, void *opaque) REQUIRES(stacks_lock) {
	(void)opaque;
	drop_site(container_of(node, struct site, node));
}

void count_forget(void) {
	lock_take(&stacks_lock);
	add_relaxed(&forgettings, 1);
	hash_sift(&count_sites, has_ended, drop_ended, NULL);
	for (unsigned class = 1; class <= CLASS_SMALL_LAST; class ++)
		small[class][ALL] = small[class][LIVE];
	for (unsigned i = 0; i < LARGE_CLASSES; i++)
		large[i][ALL] = large[i][LIVE];
	lock_drop(&stacks_lock);
}

static struct prof_requests read_requests(const struct prof_requests *from) {
	lock_take(&stacks_lock);
	struct prof_requests copy = *from;
	lock_drop(&stacks_lock);
	return copy;
}

struct prof_requests prof_requests_small(unsigned class, bool live) {
	return read_requests(&small[class][live ? LIVE : ALL]);
}

struct prof_requests prof_requests_large(unsigned index, bool live) {
	return read_requests(&large[index][live ? LIVE : ALL]);
}
