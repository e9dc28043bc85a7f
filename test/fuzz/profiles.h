/* profiles.h - what a reader made of an input, put through everything that is done with a profile. */
#ifndef TEST_FUZZ_PROFILES_H
#define TEST_FUZZ_PROFILES_H

#include "check.h"
#include "show.h"

#include <string.h>

/* A failure is one line. */
static inline void check_failure(const struct failure *failure) {
	size_t length = strnlen(failure->text, sizeof failure->text);
	CHECK(length > 0 && length < sizeof failure->text && strchr(failure->text, '\n') == NULL);
}

static inline void check_tree(const struct tree *tree) {
	for (uint32_t node = 0; node < tree->node_count; node++) {
		const struct node *at = &tree->nodes[node];
		CHECK(at->end > node && at->end <= tree->node_count && at->frame < tree->frame_count);
		CHECK(node == 0 || (at->parent < node && at->end <= tree->nodes[at->parent].end));
		CHECK(node == 0 || at->depth == tree->nodes[at->parent].depth + 1);
	}
}

static inline void show_all(struct profile *profile, FILE *out) {
	struct style style = {.name = "fuzz", .exact = true};
	for (unsigned turn = 0; turn < 4; turn++) {
		struct choice choice = {
			.granularity = (enum granularity)turn,
			.type = turn % profile->type_count,
			.diff = (turn & 1) != 0,
			.inverted = (turn & 2) != 0,
			.by = turn == 3 ? "thread" : NULL,
		};
		struct tree tree;
		tree_build(&tree, profile, &choice);
		check_tree(&tree);
		show_top(&tree, &style, out);
		show_tree(&tree, &style, out);
		show_stacks(&tree, &style, "live", out);
		write_folded(&tree, out);
		write_flame(&tree, &style, out);
		write_heap(profile, out);
		tree_free(&tree);
	}
}

/* Written and read again, it is the same. */
static inline void check_written(const struct profile *profile) {
	struct bytes bytes = {0};
	struct failure failure = {""};
	struct profile again;
	write_proto(profile, 0, &bytes);
	profile_start(&again);
	CHECK(read_proto(&again, bytes.data, bytes.length, &failure));
	CHECK(again.sample_count == profile->sample_count && again.type_count == profile->type_count);
	CHECK(again.stack_count <= profile->stack_count && again.location_count == profile->location_count);
	profile_free(&again);
	free(bytes.data);
}

static inline void use_profile(struct profile *profile) {
	FILE *nowhere = fopen("/dev/null", "w");
	CHECK(nowhere != NULL);
	if (profile->type_count > 0) {
		show_all(profile, nowhere);
		check_written(profile);
	}
	fclose(nowhere);
}

#endif
