/* show.h - what a person reads of a calling tree, and the files other programs read. All write to a stream; whether
 * that went well is asked by whoever opened it. */
#ifndef PROFILE_SHOW_H
#define PROFILE_SHOW_H

#include "tree.h"

#include <stdio.h>

struct style {
	uint32_t rows;    /* at most; 0: all */
	double least;     /* percent; nodes with less are left out */
	bool exact;       /* bytes as a number instead of MiB */
	bool cumulated;   /* rows ordered by what a function holds with all it calls */
	const char *name; /* of the file, or the files */
};

#define VALUE_TEXT 48
/* A value in the unit of its type; differences have a sign. */
void value_text(const struct tree *tree, const struct style *style, double value, char text[VALUE_TEXT]);
/* Its share of the whole, "12.3%"; "-" when there is no whole. */
void share_text(const struct tree *tree, double value, char text[VALUE_TEXT]);

/* Functions, those that hold most first. */
void show_top(const struct tree *tree, const struct style *style, FILE *out);
/* The tree; a + is where it forks, and what goes on without a fork is not indented further. */
void show_tree(const struct tree *tree, const struct style *style, FILE *out);
/* Every stack that holds something, with its callers below. `verb`: what is done with the bytes, "live" say. */
void show_stacks(const struct tree *tree, const struct style *style, const char *verb, FILE *out);

/* Lines `main;parse;add 4096`; in a comparison `main;parse;add base new`. */
void write_folded(const struct tree *tree, FILE *out);
/* A page that shows the tree as a flame graph, with everything it needs in it. */
void write_flame(const struct tree *tree, const struct style *style, FILE *out);

#endif
