/* view.c - a copy of the counts, so that a dump can take its time. */
#include <string.h>
#include "prof/inside.h"

static struct lock view_lock =
	LOCK_INITIALIZER(RANK_CTL); /* one copies at a time: the counts have places for it */

/* Room that the copy takes, and a little more. */
struct need {
	size_t sites, threads, stacks, frames;
};

static size_t bytes_of(const struct need *need) {
	return need->sites * sizeof(struct view_site) + need->threads * sizeof(struct view_thread) +
	       (need->frames + need->stacks) * sizeof(void *);
}

static size_t with_margin(size_t count) {
	return count + count / 8 + 64;
}

static bool map_view(struct view *view, const struct need *need) {
	view->bytes = bytes_of(need);
	view->site = pages_take(view->bytes);
	if (view->site == NULL)
		return false;
	view->thread = (struct view_thread *)(void *)(view->site + need->sites);
	view->first = (size_t *)(void *)(view->thread + need->threads);
	view->frames = (void **)(void *)(view->first + need->stacks);
	return true;
}

void view_end(struct view *view) {
	pages_give(view->site, view->bytes);
}

void counts_add(struct prof_counts *sum, const struct prof_counts *one) {
	sum->objects += one->objects;
	sum->bytes += one->bytes;
	sum->eighths += one->eighths;
	sum->weighed += one->weighed;
}

/* -- under the lock of the counts -------------------------------------------------------------------------------- */

static struct need measure(void) REQUIRES(stacks_lock) {
	struct need need = {.sites = count_sites.count + 1, .stacks = count_stacks.count + 1, .threads = 1};
	EACH_NODE(&count_stacks, node)
	need.frames += container_of(node, struct stack, node)->depth;
	list_each (&count_threads, node)
		need.threads++;
	return need;
}

static void copy_threads(struct view *view) REQUIRES(stacks_lock) {
	list_each (&count_threads, node) {
		struct prof_thread *thread = container_of(node, struct prof_thread, link);
		thread->place = view->threads;
		struct view_thread *copy = &view->thread[view->threads++];
		*copy = (struct view_thread){.uid = thread->uid};
		memcpy(copy->name, thread->name, sizeof copy->name);
	}
}

/* Each stack's sites lie together: from first[stack] on. */
static void copy_stacks(struct view *view) REQUIRES(stacks_lock) {
	size_t frames = 0, sites = 0;
	EACH_NODE(&count_stacks, node) {
		struct stack *stack = container_of(node, struct stack, node);
		memcpy(view->frames + frames, stack->frames, stack->depth * sizeof *stack->frames);
		stack->view_frames = view->frames + frames;
		stack->place = view->stacks;
		view->first[view->stacks++] = 0;
		frames += stack->depth;
	}
	EACH_NODE(&count_sites, node)
	view->first[container_of(node, struct site, node)->stack->place]++;
	for (size_t i = 0; i < view->stacks; i++) {
		size_t count = view->first[i];
		view->first[i] = sites;
		sites += count;
	}
}

static void copy_sites(struct view *view) REQUIRES(stacks_lock) {
	EACH_NODE(&count_sites, node) {
		struct site *site = container_of(node, struct site, node);
		struct view_thread *thread = &view->thread[site->thread->place];
		struct prof_counts live, all;
		count_read(site, &live, &all);
		view->site[view->first[site->stack->place]++] = (struct view_site){
			.frames = site->stack->view_frames,
			.depth = site->stack->depth,
			.arena = site->arena,
			.thread = thread,
			.live = live,
			.all = all,
			.pinned = site->pinned,
			.age = site->age,
		};
		counts_add(&thread->live, &live);
		counts_add(&thread->all, &all);
		counts_add(&view->live, &live);
		counts_add(&view->all, &all);
		view->sites++;
	}
}

static bool fits(const struct need *have, const struct need *need) {
	return have->sites >= need->sites && have->stacks >= need->stacks && have->threads >= need->threads &&
	       have->frames >= need->frames;
}

static bool try_copy(struct view *view, const struct need *have) {
	lock_take(&stacks_lock);
	struct need need = measure();
	bool done = fits(have, &need);
	if (done) {
		copy_threads(view);
		copy_stacks(view);
		copy_sites(view);
	}
	lock_drop(&stacks_lock);
	return done;
}

static struct need ask(void) {
	lock_take(&stacks_lock);
	struct need need = measure();
	lock_drop(&stacks_lock);
	return (struct need){with_margin(need.sites), with_margin(need.threads), with_margin(need.stacks),
	                     with_margin(need.frames)};
}

bool view_make(struct view *view, bool pinned) {
	bool done = false, room = true;
	lock_take(&view_lock);
	if (pinned)
		record_note_pinned();
	while (!done && room) {
		struct need need = ask();
		*view = (struct view){.bytes = 0};
		room = map_view(view, &need);
		done = room && try_copy(view, &need);
		if (room && !done)
			view_end(view);
	}
	lock_drop(&view_lock);
	return done;
}
