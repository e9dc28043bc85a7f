/* tree.h - the calling tree of a profile: samples with the same way of calls are one node.
 *
 * Nodes lie in preorder, so that a subtree is the nodes from one to its `end`, and every walk is a loop:
 *
 *      node     0 (all)  1 main  2 parse  3 add  4 serve          depth  0 1 2 3 2
 *      end           5        5       4       4        5
 *
 * total(node) = self(node) + the totals of its children; siblings are ordered by what is measured, the largest (in a
 * comparison: the one that grew most) first. A node has a value for each type, and in a comparison for each side. */
#ifndef PROFILE_TREE_H
#define PROFILE_TREE_H

#include "profile.h"

#include <regex.h>

enum granularity { BY_FUNCTION, BY_LINE, BY_FILE, BY_ADDRESS };

struct choice {
	enum granularity granularity;
	uint32_t type; /* what is measured */
	bool diff;     /* minus the base */
	bool inverted; /* callers below what they call */
	const regex_t *focus, *ignore, *hide;
	const char *label; /* key=text: only samples with it */
	const char *by;    /* key: its values become the outermost frames */
};

struct frame {
	uint32_t name, file; /* texts */
	int64_t line;        /* 0 when not known or not asked for */
	uint64_t address;    /* likewise */
	bool allocator, focused, ignored, hidden;
};

struct node {
	uint32_t frame, parent, depth, end;
};

enum side { SIDE_NEW, SIDE_BASE, SIDES };

struct tree {
	struct profile *profile;
	struct choice choice;
	struct frame *frames;
	struct node *nodes;
	double *selfs, *totals; /* [node][side][type] */
	size_t frame_count, frame_room, node_count, node_room, self_room, stride;
	uint32_t matched, samples; /* samples that are in the tree, and all */
};

/* The tree of the samples that are chosen. The profile gets new texts. */
void tree_build(struct tree *tree, struct profile *profile, const struct choice *choice);
void tree_free(struct tree *tree);

double tree_value(const struct tree *tree, const double *values, uint32_t node, enum side side,
                  uint32_t type);
/* What is measured: the chosen type, in a comparison what it grew by. */
double tree_self(const struct tree *tree, uint32_t node);
double tree_total(const struct tree *tree, uint32_t node);
/* What 100 % are: the sum, in a comparison that of the base. */
double tree_whole(const struct tree *tree);

/* Of each frame what it was measured to hold itself, and with all it calls (counted once when it calls itself).
 * Arrays of frame_count, to be freed. */
void tree_flat(const struct tree *tree, double **flat, double **cumulated);

/* Name, and line or address where the choice has them. */
#define FRAME_TEXT 1024
void frame_text(const struct tree *tree, uint32_t frame, char text[FRAME_TEXT]);

#endif
