/* sample.c - switches, chance, and the way of a sampled block from its allocation to its free. */
#include <errno.h>
#include "ctl/ctl.h"
#include "os/os.h"
#include "thread/thread.h"
#include "prof/inside.h"

#define DISTANCE_MAX ((double)((uint64_t)1 << 62))

static struct lock switch_lock = LOCK_INITIALIZER(RANK_CTL); /* one switches at a time */
static _Atomic(bool) known, active, thread_active;           /* [atomic; written under switch_lock] */
static _Atomic(uint32_t) switches;                           /* [switch_lock] */
static _Atomic(unsigned) lg;                                 /* [atomic; written under switch_lock] */
static _Atomic(double) scale; /* of the logarithm that draws distances  [atomic; written under switch_lock] */

static _Atomic(prof_sampled *) sampled;    /* [atomic] */
static _Atomic(prof_sample_freed *) freed; /* [atomic] */

/* -- chance ---------------------------------------------------------------------------------------------------- */

/* A byte is sampled with probability p = 1 / 2^lg: u being uniform in (0, 1], ln u / ln(1 - p) bytes pass before. */
static double scale_of(unsigned power) {
	double mean = (double)((uint64_t)1 << power);
	if (power == 0)
		return 0;
	return power > 12 ? 0.5 - mean : 1 / arith_ln(1 - 1 / mean); /* the first to nine digits */
}

static uint64_t distance(uint64_t *random) {
	if (*random == 0)
		*random = os_now() ^ (uintptr_t)random;
	double u = (double)((random_next(random) >> 11) + 1) / (double)((uint64_t)1 << 53);
	double bytes = arith_ln(u) * load_relaxed(&scale);
	return (uint64_t)(bytes < DISTANCE_MAX ? bytes : DISTANCE_MAX);
}

void sample_weigh(struct sample *sample) {
	double mean = (double)((uint64_t)1 << load_relaxed(&lg));
	double weight = 1 / arith_part((double)sample->usable / mean);
	sample->eighths = (uint64_t)(weight * 8 + 0.5);
	sample->weighed = (uint64_t)(weight * (double)sample->usable + 0.5);
}

/* -- switches -------------------------------------------------------------------------------------------------- */

bool prof_known(void) {
	return load_acquire(&known);
}

bool prof_active(void) {
	return load_relaxed(&active);
}

bool prof_thread_active_init(void) {
	return load_relaxed(&thread_active);
}

void prof_set_thread_active_init(bool wanted) {
	store_relaxed(&thread_active, wanted);
}

unsigned prof_lg_sample(void) {
	return load_relaxed(&lg);
}

static void set_rate(unsigned power) {
	store_relaxed(&lg, power);
	store_relaxed(&scale, scale_of(power));
}

/* Makes what is drawn by now count no more. The number is never 0 while there is sampling. */
static void announce(void) REQUIRES(switch_lock) {
	uint32_t number = add_relaxed(&switches, 1) + 1;
	store_release(&event_sampling, load_relaxed(&active) ? number | 1u << 31 : 0);
}

static void make_known(void) REQUIRES(switch_lock) {
	if (load_relaxed(&known))
		return;
	record_start();
	stack_start();
	store_release(&known, true);
}

void prof_set_active(bool wanted) {
	if (wanted)
		stack_prepare();
	lock_take(&switch_lock);
	if (wanted)
		make_known();
	bool changed = load_relaxed(&active) != wanted;
	store_relaxed(&active, wanted);
	if (changed)
		announce();
	lock_drop(&switch_lock);
	if (changed)
		thread_call_all();
}

/* Without a word to anybody. */
static void drop(struct sample *sample) {
	recent_leave(sample, NULL, NULL);
	count_out(sample, NULL);
	base_give(BASE_SAMPLE, sample);
}

void prof_reset(unsigned power) {
	lock_take(&switch_lock);
	set_rate(power);
	announce();
	bool any = load_relaxed(&known);
	lock_drop(&switch_lock);
	if (!any)
		return;
	record_take_all(NULL, drop);
	count_forget();
	thread_call_all();
}

/* -- samples --------------------------------------------------------------------------------------------------- */

prof_sampled *prof_sample_hook(void) {
	return load_relaxed(&sampled);
}
void prof_set_sample_hook(prof_sampled *call) {
	store_relaxed(&sampled, call);
}
prof_sample_freed *prof_free_hook(void) {
	return load_relaxed(&freed);
}
void prof_set_free_hook(prof_sample_freed *call) {
	store_relaxed(&freed, call);
}

uint64_t sample_now(void) {
	return opt.prof_time_resolution == PROF_TIME_RESOLUTION_HIGH ? os_now() : os_now_coarse();
}

/* Usable size of a live block. */
static size_t usable_of(const void *block) {
	const struct span *span = map_span(block);
	return span->kind == SPAN_SLAB ? class_info[span->class].bytes : span->pages * PAGE;
}

/* Records a thread is about to need again stay with it. */
#define SPARES 8u

static struct sample *take_record(struct prof_thread *thread) {
	struct node *node = thread->spare;
	if (node == NULL)
		return base_take(BASE_SAMPLE, NULL);
	thread->spare = node->next;
	thread->spares--;
	return container_of(node, struct sample, node);
}

/* thread may be NULL. */
static void give_record(struct prof_thread *thread, struct sample *sample) {
	if (thread == NULL || thread->spares >= SPARES) {
		base_give(BASE_SAMPLE, sample);
		return;
	}
	sample->node.next = thread->spare;
	thread->spare = &sample->node;
	thread->spares++;
}

void sample_drop_spares(struct prof_thread *thread) {
	struct node *next;
	for (struct node *node = thread->spare; node != NULL; node = next) {
		next = node->next;
		base_give(BASE_SAMPLE, container_of(node, struct sample, node));
	}
	thread->spare = NULL;
}

/* False: no memory, and no sample. Once it is entered, it may be forgotten by another thread. */
static bool enter_sample(struct prof_thread *thread, const struct trace *trace, const struct sample *made) {
	struct sample *sample = take_record(thread);
	if (sample == NULL)
		return false;
	*sample = *made;
	if (!count_in(sample, trace, thread)) {
		give_record(thread, sample);
		return false;
	}
	recent_enter(sample, thread);
	if (record_enter(sample))
		return true;
	drop(sample);
	return false;
}

/* Returns the bytes it stands for; 0: none was taken. Not part of its caller, so that the trace is gone from a small stack
 * when a dump begins. */
static NOINLINE uint64_t take_sample(struct prof_thread *thread, void *block, size_t asked) {
	struct trace trace;
	if (opt.prof_sys_thread_name)
		count_name_thread(thread);
	stack_find(&trace, thread);
	struct sample sample = {.block = block,
	                        .usable = usable_of(block),
	                        .asked = asked,
	                        .born = sample_now(),
	                        .log = log_number()};
	sample_weigh(&sample);
	if (!enter_sample(thread, &trace, &sample))
		return 0;
	probe(alloc, block, sample.usable, sample.weighed);
	prof_sampled *call = load_relaxed(&sampled);
	if (call != NULL) {
		if (trace.site != NULL)
			stack_read(&trace, thread);
		call(block, asked, trace.frames, trace.depth, sample.usable);
	}
	return sample.weighed;
}

NOINLINE void prof_note(struct cache *self, void *block, size_t asked) {
	int saved = errno;
	void *was = event_suspend();
	struct prof_thread *thread = self == NULL ? NULL : count_thread(self);
	uint64_t weighed = 0;
	if (thread != NULL && load_relaxed(&thread->active))
		weighed = take_sample(thread, block, asked);
	if (weighed != 0)
		dump_consider(weighed);
	event_resume(was);
	errno = saved;
}

/* The sample is the caller's alone now. */
static NOINLINE void end_sample(struct cache *self, struct sample *sample) {
	struct prof_thread *thread = self == NULL ? NULL : self->prof;
	int saved = errno;
	void *was = event_suspend();
	uint32_t log = log_number();
	bool logged = log != 0 && sample->log == log;
	if (logged || recent_knows(sample)) {
		struct trace trace;
		stack_read(&trace, thread);
		recent_leave(sample, thread, &trace);
		if (logged)
			log_enter(sample, thread, &trace);
	}
	probe(free, sample->block, sample->usable, sample->weighed);
	prof_sample_freed *call = load_relaxed(&freed);
	if (call != NULL)
		call(sample->block, sample->usable);
	count_out(sample, thread);
	give_record(thread, sample);
	event_resume(was);
	errno = saved;
}

/* Its block goes with its arena. */
static void end_unnamed(struct sample *sample) {
	end_sample(thread_self(), sample);
}

static void reset_arena(const void *arena) {
	if (load_relaxed(&prof_live) != 0)
		record_take_all(arena, end_unnamed);
}

NOINLINE void prof_forget(struct cache *self, const void *block) {
	struct sample *sample = record_take(block);
	if (sample != NULL)
		end_sample(self, sample);
}

struct sample *prof_lift(const void *block) {
	return load_acquire(&prof_live) != 0 ? record_take(block) : NULL;
}

void prof_lower(struct sample *lifted, void *block, size_t asked, bool resized) {
	struct cache *self = thread_enter();
	if (lifted != NULL && resized)
		end_sample(self, lifted);
	else if (lifted != NULL && !record_enter(lifted))
		drop(lifted);
	if (resized && cache_samples(self, usable_of(block)))
		prof_note(self, block, asked);
}

/* -- start ----------------------------------------------------------------------------------------------------- */

STARTUP void prof_start(void) {
	event_hooks.distance = distance;
	event_hooks.reset = reset_arena;
	count_start();
	recent_start();
	log_define();
	lock_take(&switch_lock);
	set_rate((unsigned)opt.lg_prof_sample);
	store_relaxed(&thread_active, opt.prof_thread_active_init);
	dump_start();
	if (opt.prof) {
		make_known();
		store_relaxed(&active, opt.prof_active);
		announce();
	}
	lock_drop(&switch_lock);
}

STARTUP void prof_at_load(void) {
	dump_at_load();
	if (opt.prof)
		stack_prepare();
	if (opt.prof && opt.prof_log)
		(void)prof_log_start(NULL);
}
