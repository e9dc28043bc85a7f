/* show.c - tables of functions, trees and stacks. */
#include "show.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_INDENT 60

/* -- values ---------------------------------------------------------------------------------------------- */

static bool in_bytes(const struct tree *tree) {
	return strcmp(text_of(tree->profile, tree->profile->types[tree->choice.type].unit), "bytes") == 0;
}

void value_text(const struct tree *tree, const struct style *style, double value, char text[VALUE_TEXT]) {
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	const char *sign = tree->choice.diff && value > 0 ? "+" : "";
	unsigned unit = 0;
	if (style->exact || !in_bytes(tree)) {
		snprintf(text, VALUE_TEXT, "%s%.0f", sign, value + 0.0);
		return;
	}
	while (fabs(value) >= 1024 && unit + 1 < sizeof units / sizeof *units) {
		value /= 1024;
		unit++;
	}
	snprintf(text, VALUE_TEXT, "%s%.*f %s", sign, unit == 0 ? 0 : 2, value + 0.0, units[unit]);
}

void share_text(const struct tree *tree, double value, char text[VALUE_TEXT]) {
	double whole = tree_whole(tree);
	if (whole == 0)
		snprintf(text, VALUE_TEXT, "-");
	else
		snprintf(text, VALUE_TEXT, "%.1f%%", 100 * value / whole + 0.0);
}

/* Less than what is asked to be shown? */
static bool too_little(const struct tree *tree, const struct style *style, double value) {
	return value == 0 || fabs(value) * 100 < style->least * fabs(tree_whole(tree));
}

static const char *type_name(const struct tree *tree) {
	return text_of(tree->profile, tree->profile->types[tree->choice.type].name);
}

static void show_head(const struct tree *tree, const struct style *style, FILE *out) {
	char total[VALUE_TEXT];
	value_text(tree, style, tree_total(tree, 0), total);
	fprintf(out, "%s: %s, total %s", style->name, type_name(tree), total);
	if (tree->matched < tree->samples)
		fprintf(out, ", of %" PRIu32 " in %" PRIu32 " samples", tree->matched, tree->samples);
	fputc('\n', out);
}

/* -- functions ------------------------------------------------------------------------------------------- */

struct row {
	double flat, cumulated, key;
	const char *name;
	uint32_t frame;
};

static int by_key(const void *left, const void *right) {
	const struct row *a = left, *b = right;
	if (a->key != b->key)
		return a->key > b->key ? -1 : 1;
	if (a->cumulated != b->cumulated)
		return a->cumulated > b->cumulated ? -1 : 1;
	int names = strcmp(a->name, b->name);
	return names != 0 ? names : (a->frame > b->frame) - (a->frame < b->frame);
}

static struct row *collect_rows(const struct tree *tree, const struct style *style) {
	struct row *rows = zeroed(tree->frame_count, sizeof *rows);
	double *flat, *cumulated;
	tree_flat(tree, &flat, &cumulated);
	for (uint32_t i = 0; i < tree->frame_count; i++)
		rows[i] = (struct row){flat[i], cumulated[i], style->cumulated ? cumulated[i] : flat[i],
		                       text_of(tree->profile, tree->frames[i].name), i};
	free(flat);
	free(cumulated);
	qsort(rows, tree->frame_count, sizeof *rows, by_key);
	return rows;
}

static void show_row(const struct tree *tree, const struct style *style, const struct row *row, double sum,
                     FILE *out) {
	char flat[VALUE_TEXT], cumulated[VALUE_TEXT], flat_share[VALUE_TEXT], cumulated_share[VALUE_TEXT],
		sum_share[VALUE_TEXT], text[FRAME_TEXT];
	value_text(tree, style, row->flat, flat);
	value_text(tree, style, row->cumulated, cumulated);
	share_text(tree, row->flat, flat_share);
	share_text(tree, sum, sum_share);
	share_text(tree, row->cumulated, cumulated_share);
	frame_text(tree, row->frame, text);
	fprintf(out, "%12s %7s %7s  %12s %7s  %s\n", flat, flat_share, sum_share, cumulated, cumulated_share,
	        text);
}

void show_top(const struct tree *tree, const struct style *style, FILE *out) {
	struct row *rows = collect_rows(tree, style);
	double sum = 0;
	uint32_t shown = 0, left = 0;
	show_head(tree, style, out);
	fprintf(out, "%12s %7s %7s  %12s %7s  %s\n", "flat", "flat%", "sum%", "cum", "cum%", "function");
	for (size_t i = 0; i < tree->frame_count; i++) {
		const struct row *row = &rows[i];
		if (row->flat == 0 && row->cumulated == 0)
			continue;
		sum += row->flat;
		if ((style->rows != 0 && shown == style->rows) ||
		    (too_little(tree, style, row->flat) && too_little(tree, style, row->cumulated))) {
			left++;
			continue;
		}
		show_row(tree, style, row, sum, out);
		shown++;
	}
	if (left > 0)
		fprintf(out, "(%" PRIu32 " more with less)\n", left);
	free(rows);
}

/* -- the tree -------------------------------------------------------------------------------------------- */

/* What the nodes hold or, in a comparison, what changed in them either way: nothing cancels out. */
static double *weigh_nodes(const struct tree *tree) {
	double *weights = zeroed(tree->node_count, sizeof *weights);
	for (size_t node = tree->node_count; node-- > 0;) {
		weights[node] += fabs(tree_self(tree, (uint32_t)node));
		if (node > 0)
			weights[tree->nodes[node].parent] += weights[node];
	}
	return weights;
}

/* Is this node all there is to be shown of its parent, so that the line below it needs no indentation? */
static bool goes_on(const struct tree *tree, const double *weights, uint32_t node) {
	uint32_t parent = tree->nodes[node].parent;
	return parent != 0 && parent + 1 == node && weights[node] == weights[parent];
}

static void show_node(const struct tree *tree, const struct style *style, uint32_t node, const char *indent,
                      FILE *out) {
	char total[VALUE_TEXT], share[VALUE_TEXT], text[FRAME_TEXT];
	value_text(tree, style, tree_total(tree, node), total);
	share_text(tree, tree_total(tree, node), share);
	frame_text(tree, tree->nodes[node].frame, text);
	fprintf(out, "%12s %7s  %s %s\n", total, share, indent, text);
}

void show_tree(const struct tree *tree, const struct style *style, FILE *out) {
	uint32_t *indents = zeroed(tree->node_count, sizeof *indents);
	double *weights = weigh_nodes(tree);
	uint32_t shown = 0;
	show_head(tree, style, out);
	for (uint32_t node = 1; node < tree->node_count && (style->rows == 0 || shown < style->rows);) {
		const struct node *at = &tree->nodes[node];
		if (too_little(tree, style, weights[node])) {
			node = at->end;
			continue;
		}
		bool fork = !goes_on(tree, weights, node);
		char indent[2 * MOST_INDENT + 2];
		indents[node] = at->parent == 0 ? 0 : indents[at->parent] + fork;
		int blanks = 2 * (int)(indents[node] < MOST_INDENT ? indents[node] : MOST_INDENT);
		snprintf(indent, sizeof indent, "%*s%c", blanks, "", fork ? '+' : ' ');
		show_node(tree, style, node, indent, out);
		shown++;
		node++;
	}
	free(indents);
	free(weights);
}

/* -- stacks ---------------------------------------------------------------------------------------------- */

struct stack {
	double value;
	uint32_t node;
};

static int by_value(const void *left, const void *right) {
	const struct stack *a = left, *b = right;
	if (a->value != b->value)
		return a->value > b->value ? -1 : 1;
	return (a->node > b->node) - (a->node < b->node);
}

/* Of the type that counts what the measured type weighs: inuse_objects for inuse_space. */
static uint32_t objects_of(const struct tree *tree) {
	const char *name = type_name(tree), *end = strchr(name, '_');
	char text[FRAME_TEXT];
	if (end == NULL)
		return NO_NUMBER;
	snprintf(text, sizeof text, "%.*s_objects", (int)(end - name), name);
	uint32_t found = profile_find_type(tree->profile, text);
	return found != tree->choice.type ? found : NO_NUMBER;
}

static void show_value(const struct tree *tree, const struct style *style, const double *values,
                       uint32_t node, FILE *out) {
	uint32_t type = tree->choice.type, objects = objects_of(tree);
	char text[VALUE_TEXT];
	value_text(tree, style,
	           tree_value(tree, values, node, SIDE_NEW, type) -
	                   tree_value(tree, values, node, SIDE_BASE, type),
	           text);
	fputs(text, out);
	if (objects == NO_NUMBER)
		return;
	double count = tree_value(tree, values, node, SIDE_NEW, objects) -
	               tree_value(tree, values, node, SIDE_BASE, objects);
	fprintf(out, " in %.0f object%s", count + 0.0, count == 1 ? "" : "s");
}

static void show_stack(const struct tree *tree, const struct style *style, uint32_t node, FILE *out) {
	char share[VALUE_TEXT], text[FRAME_TEXT];
	share_text(tree, tree_self(tree, node), share);
	fputc('\n', out);
	show_value(tree, style, tree->selfs, node, out);
	fprintf(out, " (%s)\n", share);
	for (; node != 0; node = tree->nodes[node].parent) {
		frame_text(tree, tree->nodes[node].frame, text);
		fprintf(out, "    %s\n", text);
	}
}

void show_stacks(const struct tree *tree, const struct style *style, const char *verb, FILE *out) {
	struct stack *stacks = zeroed(tree->node_count, sizeof *stacks);
	uint32_t count = 0, shown = 0;
	for (uint32_t node = 0; node < tree->node_count; node++) {
		if (tree_self(tree, node) != 0)
			stacks[count++] = (struct stack){tree_self(tree, node), node};
	}
	qsort(stacks, count, sizeof *stacks, by_value);
	fprintf(out, "%s: about ", style->name);
	show_value(tree, style, tree->totals, 0, out);
	fprintf(out, " %s, from %" PRIu32 " stack%s\n", verb, count, count == 1 ? "" : "s");
	for (; shown < count && (style->rows == 0 || shown < style->rows); shown++) {
		if (too_little(tree, style, stacks[shown].value) && !tree->choice.diff)
			break;
		show_stack(tree, style, stacks[shown].node, out);
	}
	if (shown < count)
		fprintf(out, "\n(%" PRIu32 " more with less)\n", count - shown);
	free(stacks);
}
