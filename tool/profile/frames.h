/* frames.h - from locations of stacks to the frames of a tree. */
#ifndef PROFILE_FRAMES_H
#define PROFILE_FRAMES_H

#include "tree.h"

/* What was found out already while a tree is built. */
struct framer {
	struct tree *tree;
	struct index frames;
	uint32_t *of_location, *of_line; /* NO_NUMBER: not asked for yet */
};

void framer_start(struct framer *framer, struct tree *tree);
void framer_end(struct framer *framer);

/* The tree's number of the frame: of the function that is `inlined` deep at a location (0 is the innermost), or of
 * none when nothing is known there. */
uint32_t frame_of(struct framer *framer, uint32_t location, uint32_t inlined);
/* A frame that is only a text. */
uint32_t frame_named(struct framer *framer, uint32_t name);

#endif
