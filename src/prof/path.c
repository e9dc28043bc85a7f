/* path.c - stacks that a thread was sampled with before.
 *
 * The walk up a stack is the dearest part of a sample, and loops take theirs with few stacks. A walk that begins with the same
 * registers reads the same words as long as those before had the same values: each word's place follows from them. So to
 * compare the words that an earlier walk read is to walk again, without looking for rules; and the site it led to is that
 * of this stack, without looking for that. (A library that was loaded in place of another, with other frames, has another
 * path; it would have to come to stand in the same words.)
 *
 *   paths of a thread:    sets by where the walk began  x  ways
 *
 * A site that a path leads to stays, though nothing lives there: a loop that frees what it takes finds its site again. */
#include <string.h>
#include "prof/inside.h"

#define SELDOM 16u /* a thread that was sampled so often begins to keep paths, */
#define TRIES  8u  /* and gives one up for each so many strange stacks */

#define BYTES ((size_t)PATH_SETS * PATH_WAYS * sizeof(struct path))

static enum base_kind kind_of_all(void) {
	return BASE_SLOTS + (enum base_kind)log2_ceil(BYTES / sizeof(void *));
}

static struct path *set_of(const struct prof_thread *thread, uintptr_t sp) {
	return &thread->paths[(hash_mix(sp) >> 32) % PATH_SETS * PATH_WAYS];
}

__attribute__((no_sanitize("address"))) static bool is_same(const struct path *kept) {
	const char *sp = (const char *)kept->sp;
	uintptr_t other = 0;
	for (uint32_t i = 0; i < kept->words && other == 0; i++) {
		uintptr_t word;
		memcpy(&word, sp + kept->at[i], sizeof word);
		other = word ^ kept->word[i];
	}
	return other == 0;
}

struct site *path_find(const struct prof_thread *thread, const struct path *path,
                       const struct extent *known) {
	if (thread->paths == NULL)
		return NULL;
	for (const struct path *kept = set_of(thread, path->sp), *end = kept + PATH_WAYS; kept < end; kept++)
		if (kept->sp == path->sp && (!kept->by_fp || kept->fp == path->fp) && kept->site != NULL &&
		    kept->sp + kept->at[kept->words - 1] < known->end && is_same(kept))
			return kept->site;
	return NULL;
}

static bool make_room(struct prof_thread *thread) {
	if (thread->paths == NULL && thread->strange >= SELDOM) {
		thread->paths = base_take(kind_of_all(), NULL);
		if (thread->paths != NULL)
			memset(thread->paths, 0, BYTES);
	}
	return thread->paths != NULL;
}

void path_keep(struct prof_thread *thread, const struct path *path, struct site *site) {
	thread->strange++;
	if (path->words == 0 || path->words > PATH_WORDS || !make_room(thread))
		return;
	struct path *set = set_of(thread, path->sp), *place = NULL;
	for (unsigned i = 0; i < PATH_WAYS && place == NULL; i++)
		place = set[i].site == NULL ? &set[i] : NULL;
	if (place == NULL) {
		if (thread->strange % TRIES != 0)
			return;
		place = &set[thread->strange / TRIES % PATH_WAYS];
		count_release(place->site);
	}
	*place = *path;
	place->site = site;
	count_keep(site);
}

void path_end(struct prof_thread *thread) {
	struct path *paths = thread->paths;
	if (paths == NULL)
		return;
	thread->paths = NULL;
	for (unsigned i = 0; i < PATH_SETS * PATH_WAYS; i++)
		if (paths[i].site != NULL)
			count_release(paths[i].site);
	base_give(kind_of_all(), paths);
}
