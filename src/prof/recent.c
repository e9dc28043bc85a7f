/* recent.c - the last samples one by one, with who allocated and who freed them.
 *
 *   oldest .. newest        each remembers its stacks, which stay for it, and is remembered by its sample while that lives
 *
 * All of it under STACKS. */
#include <errno.h>
#include <string.h>
#include "ctl/ctl.h"
#include "thread/event.h"
#include "prof/inside.h"

struct moment {
	uint64_t thread, time;
	char name[PROF_NAME_MAX];
	struct stack *stack; /* NULL: it has not come yet */
};

struct recent {
	struct list link;
	struct sample *sample; /* NULL: freed, or forgotten */
	size_t asked, usable;
	struct moment taken, given;
};

static struct list recents = {&recents, &recents}; /* [stacks_lock] */
static size_t count;                               /* [stacks_lock] */
static _Atomic(ssize_t) most;                      /* [atomic; written under stacks_lock] -1: any number */
static _Atomic(bool) used;                         /* [atomic] something is, or was, remembered */

static void drop_moment(const struct moment *moment) REQUIRES(stacks_lock) {
	if (moment->stack == NULL)
		return;
	moment->stack->users--;
	count_drop_stack(moment->stack);
}

static void shrink(size_t limit) REQUIRES(stacks_lock) {
	while (count > limit) {
		struct recent *oldest = container_of(list_first(&recents), struct recent, link);
		list_remove(&oldest->link);
		if (oldest->sample != NULL)
			oldest->sample->recent = NULL;
		drop_moment(&oldest->taken);
		drop_moment(&oldest->given);
		base_give(BASE_RECENT, oldest);
		count--;
	}
}

/* Before the first sample that is remembered: its taker sees it. */
static void set_most(ssize_t number) {
	if (number != 0)
		store_relaxed(&used, true);
	store_relaxed(&most, number);
}

STARTUP void recent_start(void) {
	base_define(BASE_RECENT, sizeof(struct recent));
	set_most(opt.prof_recent_alloc_max);
}

static size_t limit_of(ssize_t number) {
	return number < 0 ? SIZE_MAX : (size_t)number;
}

ssize_t prof_recent_max(void) {
	return load_relaxed(&most);
}

void prof_set_recent_max(ssize_t number) {
	lock_take(&stacks_lock);
	set_most(number);
	shrink(limit_of(number));
	lock_drop(&stacks_lock);
}

static void note_moment(struct moment *moment, const struct prof_thread *thread, struct stack *stack)
	REQUIRES(stacks_lock) {
	moment->time = sample_now();
	moment->stack = stack;
	stack->users++;
	if (thread == NULL)
		return;
	moment->thread = thread->uid;
	memcpy(moment->name, thread->name, sizeof moment->name);
}

void recent_enter(struct sample *sample, const struct prof_thread *thread) {
	struct recent *recent = load_relaxed(&most) == 0 ? NULL : base_take(BASE_RECENT, NULL);
	if (recent == NULL)
		return;
	memset(recent, 0, sizeof *recent);
	recent->sample = sample;
	recent->asked = sample->asked;
	recent->usable = sample->usable;
	lock_take(&stacks_lock);
	note_moment(&recent->taken, thread, sample->site->stack);
	sample->recent = recent;
	list_append(&recents, &recent->link);
	count++;
	shrink(limit_of(load_relaxed(&most)));
	lock_drop(&stacks_lock);
}

bool recent_knows(const struct sample *sample) {
	if (!load_relaxed(&used))
		return false;
	lock_take(&stacks_lock);
	bool known = sample->recent != NULL;
	lock_drop(&stacks_lock);
	return known;
}

void recent_leave(struct sample *sample, const struct prof_thread *thread, const struct trace *trace) {
	lock_take(&stacks_lock);
	struct recent *recent = sample->recent;
	struct stack *stack = recent == NULL || trace == NULL ? NULL : count_stack(trace);
	if (recent != NULL)
		recent->sample = NULL;
	if (stack != NULL)
		note_moment(&recent->given, thread, stack);
	lock_drop(&stacks_lock);
}

/* -- as JSON --------------------------------------------------------------------------------------------------- */

void json_trace(struct output *out, const struct stack *stack) {
	output_text(out, "[");
	for (unsigned i = 0; i < stack->depth; i++)
		output_text(out, "%s\"0x%lx\"", i == 0 ? "" : ",", (uintptr_t)stack->frames[i]);
	output_text(out, "]");
}

static void put_moment(struct output *out, const char *what, const struct moment *moment) {
	output_text(out, ",\"%s_thread_uid\":%lu", what, moment->thread);
	if (moment->name[0] != 0) {
		output_text(out, ",\"%s_thread_name\":", what);
		output_json_string(out, moment->name);
	}
	output_text(out, ",\"%s_time\":%lu,\"%s_trace\":", what, moment->time, what);
	json_trace(out, moment->stack);
}

static void put_recent(struct output *out, const struct recent *recent) {
	bool released = recent->given.stack != NULL;
	output_text(out, "{\"size\":%zu,\"usize\":%zu,\"released\":%s", recent->asked, recent->usable,
	            released ? "true" : "false");
	put_moment(out, "alloc", &recent->taken);
	if (released)
		put_moment(out, "dalloc", &recent->given);
	output_text(out, "}");
}

/* Copies the newest of them, at most `room`, whose stacks stay until release. Returns how many. */
static size_t copy(struct recent *copies, size_t room) {
	size_t copied = 0, left_out;
	lock_take(&stacks_lock);
	left_out = count - size_min(count, room);
	list_each (&recents, node) {
		if (left_out > 0) {
			left_out--;
			continue;
		}
		struct recent *one = &copies[copied++];
		*one = *container_of(node, struct recent, link);
		one->taken.stack->users++;
		if (one->given.stack != NULL)
			one->given.stack->users++;
	}
	lock_drop(&stacks_lock);
	return copied;
}

static void release(const struct recent *copies, size_t number) {
	lock_take(&stacks_lock);
	for (size_t i = 0; i < number; i++) {
		drop_moment(&copies[i].taken);
		drop_moment(&copies[i].given);
	}
	lock_drop(&stacks_lock);
}

int prof_dump_recent(prof_text_writer *write, void *opaque) {
	lock_take(&stacks_lock);
	size_t room = count + 64;
	lock_drop(&stacks_lock);
	struct recent *copies = pages_take(room * sizeof *copies);
	if (copies == NULL)
		return ENOMEM;
	void *was = event_suspend();
	size_t number = copy(copies, room);
	struct output out = output_to_text_call(write, opaque);
	output_text(&out, "{\"sample_interval\":%lu,\"recent_alloc_max\":%zd,\"recent_alloc\":[",
	            (uint64_t)1 << prof_lg_sample(), prof_recent_max());
	for (size_t i = 0; i < number; i++) {
		output_text(&out, i == 0 ? "" : ",");
		put_recent(&out, &copies[i]);
	}
	output_text(&out, "]}");
	(void)output_end(&out);
	release(copies, number);
	event_resume(was);
	pages_give(copies, room * sizeof *copies);
	return 0;
}
