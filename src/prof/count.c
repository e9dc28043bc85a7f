/* count.c - stacks, threads, and what was sampled where. */
#include <errno.h>
#include <string.h>
#include "ctl/ctl.h"
#include "os/os.h"
#include "prof/inside.h"

struct lock stacks_lock = LOCK_INITIALIZER(RANK_STACKS);
struct hash count_stacks, count_sites;                        /* [stacks_lock] */
struct list count_threads = {&count_threads, &count_threads}; /* [stacks_lock] */
static uint64_t next_uid;                                     /* [stacks_lock] */

enum { LIVE, ALL, SORTS };
static struct prof_requests small[CLASS_SMALL_LAST + 1][SORTS]; /* [stacks_lock] */
static struct prof_requests large[LARGE_CLASSES][SORTS];        /* [stacks_lock] */

void count_start(void) {
	base_define(BASE_SITE, sizeof(struct site));
	base_define(BASE_PROF_THREAD, sizeof(struct prof_thread));
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
	list_append(&count_threads, &thread->link);
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
	list_remove(&thread->link);
	base_give(BASE_PROF_THREAD, thread);
}

void prof_end_thread(struct cache *cache) {
	struct prof_thread *thread = cache->prof;
	if (thread == NULL)
		return;
	cache->prof = NULL;
	lock_take(&stacks_lock);
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
	if (hash_enter(&count_stacks, &stack->node))
		return stack;
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
	base_give(BASE_SLOTS + (enum base_kind)stack->lg_words, stack);
}

/* -- sites ----------------------------------------------------------------------------------------------------- */

static struct site *make_site(const struct site *wanted) REQUIRES(stacks_lock) {
	struct site *site = base_take(BASE_SITE, NULL);
	if (site == NULL)
		return NULL;
	*site = *wanted;
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

/* Where nothing is live, and nothing to be remembered. */
static bool is_spent(const struct site *site) {
	return site->live.objects == 0 && (!opt.prof_accum || site->all.objects == 0);
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

static void add(struct prof_counts *counts, const struct sample *sample) {
	counts->objects++;
	counts->bytes += sample->usable;
	counts->eighths += sample->eighths;
	counts->weighed += sample->weighed;
}

bool count_in(struct sample *sample, const struct trace *trace, struct prof_thread *thread) {
	const struct span *span = map_span(sample->block);
	struct site *site = NULL;
	lock_take(&stacks_lock);
	struct stack *stack = count_stack(trace);
	if (stack != NULL) {
		struct site wanted = {.stack = stack, .thread = thread, .arena = span->arena->index};
		wanted.node.key = hash_mix((uintptr_t)stack) ^ (uintptr_t)thread ^ wanted.arena;
		site = find_site(&wanted);
		if (site == NULL)
			count_drop_stack(stack);
	}
	if (site != NULL) {
		sample->site = site;
		add(&site->live, sample);
		add(&site->all, sample);
		struct prof_requests *requests = requests_of(sample);
		for (int sort = LIVE; sort < SORTS; sort++) {
			requests[sort].bytes += sample->asked;
			requests[sort].count++;
		}
	}
	lock_drop(&stacks_lock);
	return site != NULL;
}

void count_out(const struct sample *sample) {
	struct site *site = sample->site;
	lock_take(&stacks_lock);
	site->live.objects--;
	site->live.bytes -= sample->usable;
	site->live.eighths -= sample->eighths;
	site->live.weighed -= sample->weighed;
	struct prof_requests *requests = requests_of(sample);
	requests[LIVE].bytes -= sample->asked;
	requests[LIVE].count--;
	if (is_spent(site)) {
		hash_remove(&count_sites, &site->node);
		drop_site(site);
	}
	lock_drop(&stacks_lock);
}

static bool has_ended(struct node *node, void *opaque) {
	(void)opaque;
	return container_of(node, struct site, node)->live.objects == 0;
}

static void drop_ended(struct node *node, void *opaque) REQUIRES(stacks_lock) {
	(void)opaque;
	drop_site(container_of(node, struct site, node));
}

void count_forget(void) {
	lock_take(&stacks_lock);
	hash_sift(&count_sites, has_ended, drop_ended, NULL);
	EACH_NODE(&count_sites, node) {
		struct site *site = container_of(node, struct site, node);
		site->all = site->live;
	}
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
