/* flame.c - the tree for other programs: folded stacks, and a page with a flame graph.
 *
 * The page is flame/page.html with its style and script, made one text when the command is built. At its mark the
 * tree is put in, as JSON: texts are escaped so that no name can end the element it stands in.
 *
 *      {"title": "...", "diff": false, "type": 1, "types": [["inuse_space", "bytes"], ...],
 *       "frames": [["main", "server.c", 12], ...],
 *       "nodes": [depth, frame, value of each type..., of the base's..., depth, frame, ...],    in preorder
 *       "leftOut": 0} */
#include "show.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const char flame_page[]; /* made from flame/ */
static const char mark[] = "@PROFILE@";

#define MANY_NODES  100000
#define LEAST_SHARE 0.00002

/* -- folded stacks --------------------------------------------------------------------------------------- */

/* What separates frames and lines stands for something else inside of a name. */
static void write_folded_name(const struct tree *tree, uint32_t frame, FILE *out) {
	char text[FRAME_TEXT];
	frame_text(tree, frame, text);
	for (const char *at = text; *at != 0; at++)
		fputc(*at == ';' ? ':' : *at, out);
}

void write_folded(const struct tree *tree, FILE *out) {
	uint32_t *path = zeroed(tree->node_count, sizeof *path); /* by depth */
	uint32_t type = tree->choice.type;
	for (uint32_t node = 1; node < tree->node_count; node++) {
		uint32_t depth = tree->nodes[node].depth;
		double new = tree_value(tree, tree->selfs, node, SIDE_NEW, type);
		double base = tree_value(tree, tree->selfs, node, SIDE_BASE, type);
		path[depth] = node;
		if (new == 0 && base == 0)
			continue;
		for (uint32_t i = 1; i <= depth; i++) {
			if (i > 1)
				fputc(';', out);
			write_folded_name(tree, tree->nodes[path[i]].frame, out);
		}
		if (tree->choice.diff)
			fprintf(out, " %.0f", base);
		fprintf(out, " %.0f\n", new);
	}
	free(path);
}

/* -- the page -------------------------------------------------------------------------------------------- */

/* Texts of a profile are UTF-8 without control characters. */
static void write_text(const char *text, FILE *out) {
	fputc('"', out);
	for (; *text != 0; text++) {
		if (strchr("\"\\<>&", *text) != NULL)
			fprintf(out, "\\u%04x", (unsigned char)*text);
		else
			fputc(*text, out);
	}
	fputc('"', out);
}

static void write_frames(const struct tree *tree, FILE *out) {
	for (uint32_t i = 0; i < tree->frame_count; i++) {
		const struct frame *frame = &tree->frames[i];
		fputs(i == 0 ? "[" : ",\n[", out);
		write_text(text_of(tree->profile, frame->name), out);
		fputc(',', out);
		write_text(text_of(tree->profile, frame->file), out);
		fprintf(out, ",%" PRId64 "]", frame->line);
	}
}

/* The largest part that a node is of anything. */
static double largest_share(const struct tree *tree, uint32_t node) {
	double largest = 0;
	for (size_t i = 0; i < tree->stride; i++) {
		double whole = fabs(tree->totals[i]), part = fabs(tree->totals[node * tree->stride + i]);
		if (whole > 0 && part / whole > largest)
			largest = part / whole;
	}
	return largest;
}

/* Of a very large tree what nobody would see is left out; returns how much that was. */
static size_t write_nodes(const struct tree *tree, FILE *out) {
	double least = tree->node_count > MANY_NODES ? LEAST_SHARE : 0;
	size_t left_out = 0;
	for (uint32_t node = 0; node < tree->node_count; node++) {
		if (node > 0 && largest_share(tree, node) < least) {
			left_out += tree->nodes[node].end - node;
			node = tree->nodes[node].end - 1;
			continue;
		}
		fprintf(out, "%s%" PRIu32 ",%" PRIu32, node == 0 ? "" : ",\n", tree->nodes[node].depth,
		        tree->nodes[node].frame);
		for (size_t i = 0; i < tree->stride; i++)
			fprintf(out, ",%.0f", tree->totals[node * tree->stride + i] + 0.0);
	}
	return left_out;
}

void write_flame(const struct tree *tree, const struct style *style, FILE *out) {
	const struct profile *profile = tree->profile;
	const char *after = strstr(flame_page, mark);
	fwrite(flame_page, 1, (size_t)(after - flame_page), out);
	fputs("{\"title\":", out);
	write_text(style->name, out);
	fprintf(out, ",\"diff\":%s,\"inverted\":%s,\"type\":%" PRIu32 ",\"types\":[",
	        tree->choice.diff ? "true" : "false", tree->choice.inverted ? "true" : "false",
	        tree->choice.type);
	for (uint32_t i = 0; i < profile->type_count; i++) {
		fputs(i == 0 ? "[" : ",[", out);
		write_text(text_of(profile, profile->types[i].name), out);
		fputc(',', out);
		write_text(text_of(profile, profile->types[i].unit), out);
		fputc(']', out);
	}
	fputs("],\n\"frames\":[", out);
	write_frames(tree, out);
	fputs("],\n\"nodes\":[", out);
	size_t left_out = write_nodes(tree, out);
	fprintf(out, "],\"leftOut\":%zu}\n", left_out);
	fputs(after + sizeof mark - 1, out);
}
