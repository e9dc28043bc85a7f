/* sample.c - switches, chance, and the way of a sampled block from its allocation to its free. */
#include <errno.h>
#include "ctl/ctl.h"
#include "os/os.h"
#include "thread/thread.h"
#include "prof/inside.h"

#define DISTANCE_MAX ((double)((uint64_t)1 << 62))

static struct lock switch_lock = LOCK_INITIALIZER(RANK_CTL); /* one switches at a time */
static _Atomic(bool) known, active, thread_active;   /* [atomic; written under switch_lock] */
static _Atomic(uint32_t) switches;                   /* [switch_lock] */
static _Atomic(unsigned) lg;                         /* [atomic; written under switch_lock] */
static _Atomic(double) scale; /* of the logarithm that draws distances  [atomic; written under switch_lock] */

/* -- chance ---------------------------------------------------------------------------------------------------- */

/* A byte is sampled with probability p = 1 / 2^lg: u being uniform in (0, 1], ln u / ln(1 - p) bytes pass before. */
static double scale_of(unsigned power) {
	double mean = (double)((uint64_t)1 << power);
	if (power == 0)
		return 0;
	return power > 24 ? 0.5 - mean : 1 / arith_ln(1 - 1 / mean);
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
	count_start();
	record_start();
	store_release(&known, true);
}

int prof_set_active(bool wanted) {
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
	return 0;
}

static void drop(struct sample *sample) {
	count_out(sample);
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

static void reset_arena(const void *arena) {
	if (load_relaxed(&prof_live) != 0)
		record_take_all(arena, drop);
}

void prof_start(void) {
	event_hooks.distance = distance;
	event_hooks.reset = reset_arena;
	lock_take(&switch_lock);
	set_rate((unsigned)opt.lg_prof_sample);
	store_relaxed(&thread_active, opt.prof_thread_active_init);
	if (opt.prof) {
		make_known();
		store_relaxed(&active, opt.prof_active);
		announce();
	}
	lock_drop(&switch_lock);
}

void prof_at_load(void) {
}

/* -- samples --------------------------------------------------------------------------------------------------- */

/* Usable size of a live block. */
static size_t usable_of(const void *block) {
	const struct span *span = map_span(block);
	return span->kind == SPAN_SLAB ? class_info[span->class].bytes : span->pages * PAGE;
}

/* NULL: no memory, and no sample. */
static struct sample *make_sample(struct prof_thread *thread, void *block, size_t asked) {
	struct trace trace;
	struct sample *sample = base_take(BASE_SAMPLE, NULL);
	if (sample == NULL)
		return NULL;
	*sample = (struct sample){
		.block = block, .usable = usable_of(block), .asked = asked, .born = os_now_coarse()};
	sample_weigh(sample);
	stack_read(&trace);
	if (!count_in(sample, &trace, thread)) {
		base_give(BASE_SAMPLE, sample);
		return NULL;
	}
	if (record_enter(sample))
		return sample;
	drop(sample);
	return NULL;
}

NOINLINE void prof_note(struct cache *self, void *block, size_t asked) {
	int saved = errno;
	void *was = event_suspend();
	struct prof_thread *thread = self == NULL ? NULL : count_thread(self);
	if (thread != NULL && load_relaxed(&thread->active))
		(void)make_sample(thread, block, asked);
	event_resume(was);
	errno = saved;
}

NOINLINE void prof_forget(struct cache *self, const void *block) {
	(void)self;
	struct sample *sample = record_take(block);
	if (sample != NULL)
		drop(sample);
}

void prof_note_resize(void *block, size_t asked) {
	struct cache *self = thread_enter();
	if (load_relaxed(&prof_live) != 0)
		prof_forget(self, block);
	if (cache_samples(self, usable_of(block)))
		prof_note(self, block, asked);
}
