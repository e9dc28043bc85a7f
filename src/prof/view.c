/* view.c - a copy of the counts, so that a dump can take its time. */
#include <string.h>
#include "prof/inside.h"

static struct lock view_lock = LOCK_INITIALIZER(RANK_CTL); /* one copies at a time */
static uint32_t last_view;                                 /* [view_lock] its number */

/* Room that the copy takes, and more: it may come while it is made. */
struct need {
	size_t sites, threads, stacks, frames;
};

static size_t bytes_of(const struct need *need) {
	return need->sites * sizeof(struct view_site) + need->threads * sizeof(struct view_thread) +
	       need->stacks * sizeof(struct view_stack) + need->frames * sizeof(void *);
}

/* What is not used is not touched. */
static size_t with_margin(size_t count) {
	return count + count / 2 + 64;
}

static bool map_view(struct view *view, const struct need *need) {
	view->bytes = bytes_of(need);
	view->site = pages_take(view->bytes);
	if (view->site == NULL)
		return false;
	view->thread = (struct view_thread *)(void *)(view->site + need->sites);
	view->stack = (struct view_stack *)(void *)(view->thread + need->threads);
	view->frames = (void **)(void *)(view->stack + need->stacks);
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

struct copying {
	struct view *view;
	struct need room;
};

static bool copy_thread(const struct copying *copying, struct prof_thread *thread) REQUIRES(stacks_lock) {
	struct view *view = copying->view;
	if (thread->view == last_view)
		return true;
	if (view->threads == copying->room.threads)
		return false;
	thread->view = last_view;
	thread->place = view->threads++;
	struct view_thread *copy = &view->thread[thread->place];
	*copy = (struct view_thread){.uid = thread->uid};
	memcpy(copy->name, thread->name, sizeof copy->name);
	return true;
}

static bool copy_stack(const struct copying *copying, struct stack *stack) REQUIRES(stacks_lock) {
	struct view *view = copying->view;
	if (stack->view == last_view)
		return true;
	if (view->stacks == copying->room.stacks || copying->room.frames - view->used < stack->depth)
		return false;
	stack->view = last_view;
	stack->place = view->stacks++;
	stack->view_frames = view->frames + view->used;
	view->used += stack->depth;
	memcpy(stack->view_frames, stack->frames, stack->depth * sizeof *stack->frames);
	return true;
}

/* False: there is no room. */
static bool copy_site(struct node *node, void *opaque) NO_LOCK_ANALYSIS {
	const struct copying *copying = opaque;
	const struct site *site = container_of(node, struct site, node);
	struct view *view = copying->view;
	struct prof_counts live, all;
	if (view->sites == copying->room.sites || !copy_stack(copying, site->stack) ||
	    !copy_thread(copying, site->thread))
		return false;
	struct view_thread *thread = &view->thread[site->thread->place];
	count_read(site, &live, &all);
	view->site[view->sites++] = (struct view_site){
		.frames = site->stack->view_frames,
		.stack = site->stack->place,
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
	return true;
}

static struct need ask(void) {
	lock_take(&stacks_lock);
	struct need need = {with_margin(count_sites.count), with_margin(count_threads),
	                    with_margin(count_stacks.count), with_margin(count_frames)};
	lock_drop(&stacks_lock);
	return need;
}

/* -- without it -------------------------------------------------------------------------------------------------- */

/* So that the sites of each stack lie together: each goes to the next place of its stack's. */
static void sort_sites(struct view *view) {
	size_t at = 0;
	for (const struct view_site *site = view->site; site < view->site + view->sites; site++)
		view->stack[site->stack].end++;
	for (struct view_stack *stack = view->stack; stack < view->stack + view->stacks; stack++) {
		stack->next = at;
		stack->end = at += stack->end;
	}
	for (size_t i = 0; i < view->stacks; i++) {
		while (view->stack[i].next < view->stack[i].end) {
			struct view_site *site = &view->site[view->stack[i].next],
					 *goal = &view->site[view->stack[site->stack].next++], moved = *site;
			*site = *goal;
			*goal = moved;
		}
	}
}

bool view_make(struct view *view, bool pinned) {
	bool done = false, room = true;
	lock_take(&view_lock);
	if (pinned)
		record_note_pinned();
	while (!done && room) {
		struct copying copying = {view, ask()};
		*view = (struct view){.bytes = 0};
		last_view += last_view == UINT32_MAX ? 2 : 1; /* 0: in none */
		room = map_view(view, &copying.room);
		done = room && hash_visit(&count_sites, &stacks_lock, copy_site, &copying);
		if (room && !done)
			view_end(view);
	}
	lock_drop(&view_lock);
	if (done)
		sort_sites(view);
	return done;
}
