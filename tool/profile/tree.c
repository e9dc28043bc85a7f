/* tree.c - builds the calling tree and adds it up. */
#include "frames.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- samples to stacks ----------------------------------------------------------------------------------- */

struct builder {
	struct tree *tree;
	struct framer framer;
	struct index children;            /* (parent, frame) to node */
	uint32_t frames[MOST_FRAMES + 2]; /* of the sample, innermost first */
	size_t depth;
};

static const struct label *find_label(const struct profile *profile, const struct sample *sample,
                                      const char *key, size_t length) {
	for (uint32_t i = 0; i < sample->label_count; i++) {
		const struct label *label = &profile->labels[sample->labels + i];
		const char *text = text_of(profile, label->key);
		if (strncmp(text, key, length) == 0 && text[length] == 0)
			return label;
	}
	return NULL;
}

static void label_text(const struct profile *profile, const struct label *label, char text[FRAME_TEXT]) {
	if (label->text != 0)
		snprintf(text, FRAME_TEXT, "%s", text_of(profile, label->text));
	else
		snprintf(text, FRAME_TEXT, "%" PRId64, label->number);
}

/* Has the sample the label key=text that is asked for? */
static bool label_matches(const struct builder *builder, const struct sample *sample) {
	const char *wanted = builder->tree->choice.label;
	char text[FRAME_TEXT];
	if (wanted == NULL)
		return true;
	size_t length = strcspn(wanted, "=");
	const struct label *label = find_label(builder->tree->profile, sample, wanted, length);
	if (label == NULL)
		return false;
	label_text(builder->tree->profile, label, text);
	return wanted[length] == 0 || strcmp(text, wanted + length + 1) == 0;
}

static void add_by(struct builder *builder, const struct sample *sample) {
	struct profile *profile = builder->tree->profile;
	const char *key = builder->tree->choice.by;
	char value[FRAME_TEXT] = "none", text[FRAME_TEXT + 64];
	if (key == NULL)
		return;
	const struct label *label = find_label(profile, sample, key, strlen(key));
	if (label != NULL)
		label_text(profile, label, value);
	snprintf(text, sizeof text, "%.60s: %s", key, value);
	builder->frames[builder->depth++] = frame_named(&builder->framer, profile_word(profile, text));
}

/* The frames of a sample without those of the allocator, and without what is inside of it. */
static void collect_frames(struct builder *builder, const struct sample *sample) {
	struct profile *profile = builder->tree->profile;
	builder->depth = 0;
	for (uint32_t i = 0; i < sample->depth; i++) {
		uint32_t location = profile->stacks[sample->stack + i];
		uint32_t lines = profile->locations[location].line_count, inlined = 0;
		do {
			uint32_t frame = frame_of(&builder->framer, location, inlined);
			if (builder->tree->frames[frame].allocator)
				builder->depth = 0;
			else if (builder->depth < MOST_FRAMES)
				builder->frames[builder->depth++] = frame;
		} while (++inlined < lines);
	}
	if (builder->depth == 0)
		builder->frames[builder->depth++] =
			frame_named(&builder->framer, profile_word(profile, "[no stack]"));
}

/* False when the sample is not wanted; hidden frames are gone then. */
static bool filter_frames(struct builder *builder) {
	const struct frame *frames = builder->tree->frames;
	bool focused = builder->tree->choice.focus == NULL, ignored = false;
	size_t kept = 0;
	for (size_t i = 0; i < builder->depth; i++) {
		const struct frame *frame = &frames[builder->frames[i]];
		focused |= frame->focused;
		ignored |= frame->ignored;
		if (!frame->hidden)
			builder->frames[kept++] = builder->frames[i];
	}
	builder->depth = kept;
	return focused && !ignored;
}

/* -- stacks to nodes ------------------------------------------------------------------------------------- */

static uint32_t add_node(struct builder *builder, uint32_t parent, uint32_t frame) {
	struct tree *tree = builder->tree;
	struct index_key key = {{parent, frame}};
	uint32_t node = index_add(&builder->children, key, (uint32_t)tree->node_count);
	if (node < tree->node_count)
		return node;
	GROW(tree->nodes, tree->node_count, tree->node_room);
	tree->nodes[node] = (struct node){.frame = frame, .parent = parent};
	while (tree->self_room < (tree->node_count + 1) * tree->stride)
		tree->selfs = grow(tree->selfs, tree->self_room, &tree->self_room, sizeof *tree->selfs);
	memset(&tree->selfs[node * tree->stride], 0, tree->stride * sizeof *tree->selfs);
	tree->node_count++;
	return node;
}

static void add_sample(struct builder *builder, const struct sample *sample) {
	struct tree *tree = builder->tree;
	uint32_t node = 0;
	for (size_t i = 0; i < builder->depth; i++) {
		size_t at = tree->choice.inverted ? i : builder->depth - 1 - i;
		node = add_node(builder, node, builder->frames[at]);
	}
	uint32_t types = tree->profile->type_count;
	double *values = &tree->selfs[node * tree->stride + (sample->base ? types : 0)];
	for (uint32_t i = 0; i < types; i++)
		values[i] += sample->values[i];
}

/* -- order ----------------------------------------------------------------------------------------------- */

/* Parents were made before their children. */
static void add_up(struct tree *tree) {
	size_t size = tree->node_count * tree->stride;
	tree->totals = zeroed(size, sizeof *tree->totals);
	memcpy(tree->totals, tree->selfs, size * sizeof *tree->totals);
	for (size_t node = tree->node_count - 1; node > 0; node--) {
		for (size_t i = 0; i < tree->stride; i++)
			tree->totals[tree->nodes[node].parent * tree->stride + i] +=
				tree->totals[node * tree->stride + i];
	}
}

struct sibling {
	uint32_t parent, node;
	double value;
	const char *name;
};

static int by_size(const void *left, const void *right) {
	const struct sibling *a = left, *b = right;
	if (a->parent != b->parent)
		return a->parent < b->parent ? -1 : 1;
	if (a->value != b->value)
		return a->value > b->value ? -1 : 1;
	int names = strcmp(a->name, b->name);
	return names != 0 ? names : (a->node > b->node) - (a->node < b->node);
}

static struct sibling *sort_siblings(const struct tree *tree) {
	struct sibling *siblings = zeroed(tree->node_count, sizeof *siblings);
	for (uint32_t node = 1; node < tree->node_count; node++) {
		const struct node *at = &tree->nodes[node];
		siblings[node - 1] = (struct sibling){at->parent, node, tree_total(tree, node),
		                                      text_of(tree->profile, tree->frames[at->frame].name)};
	}
	qsort(siblings, tree->node_count - 1, sizeof *siblings, by_size);
	return siblings;
}

/* Where each node's children begin among the siblings; one more than there are nodes. */
static uint32_t *first_children(const struct tree *tree, const struct sibling *siblings) {
	uint32_t *first = zeroed(tree->node_count + 1, sizeof *first);
	uint32_t at = 0;
	for (uint32_t node = 0; node <= tree->node_count; node++) {
		while (at < tree->node_count - 1 && siblings[at].parent < node)
			at++;
		first[node] = at;
	}
	return first;
}

struct walk {
	struct node *nodes; /* in the new order */
	double *selfs, *totals;
	uint32_t *next; /* by old number: the sibling to visit next below it */
	uint32_t count;
};

static void visit(const struct tree *tree, struct walk *walk, uint32_t old, uint32_t parent) {
	size_t size = tree->stride * sizeof *walk->selfs;
	uint32_t depth = walk->count == 0 ? 0 : walk->nodes[parent].depth + 1;
	walk->nodes[walk->count] =
		(struct node){.frame = tree->nodes[old].frame, .parent = parent, .depth = depth};
	memcpy(&walk->selfs[walk->count * tree->stride], &tree->selfs[old * tree->stride], size);
	memcpy(&walk->totals[walk->count * tree->stride], &tree->totals[old * tree->stride], size);
	walk->count++;
}

/* Into preorder, without recursion: a stack may be thousands deep. */
static void put_in_order(struct tree *tree) {
	struct sibling *siblings = sort_siblings(tree);
	uint32_t *first = first_children(tree, siblings);
	struct walk walk = {
		.nodes = zeroed(tree->node_count, sizeof *walk.nodes),
		.selfs = zeroed(tree->node_count * tree->stride, sizeof *walk.selfs),
		.totals = zeroed(tree->node_count * tree->stride, sizeof *walk.totals),
		.next = zeroed(tree->node_count, sizeof *walk.next),
	};
	uint32_t old = 0, new = 0;
	memcpy(walk.next, first, tree->node_count * sizeof *first);
	visit(tree, &walk, 0, 0);
	for (;;) {
		if (walk.next[old] < first[old + 1]) {
			old = siblings[walk.next[old]++].node;
			visit(tree, &walk, old, new);
			new = walk.count - 1;
			continue;
		}
		walk.nodes[new].end = walk.count;
		if (old == 0)
			break;
		old = tree->nodes[old].parent;
		new = walk.nodes[new].parent;
	}
	free(siblings);
	free(first);
	free(walk.next);
	free(tree->nodes);
	free(tree->selfs);
	free(tree->totals);
	tree->nodes = walk.nodes;
	tree->selfs = walk.selfs;
	tree->totals = walk.totals;
}

/* -- the tree -------------------------------------------------------------------------------------------- */

void tree_build(struct tree *tree, struct profile *profile, const struct choice *choice) {
	struct builder *builder = zeroed(1, sizeof *builder);
	*tree = (struct tree){.profile = profile, .choice = *choice};
	tree->stride = (size_t)profile->type_count * (choice->diff ? SIDES : 1);
	builder->tree = tree;
	framer_start(&builder->framer, tree);
	frame_named(&builder->framer, profile_word(profile, "all"));
	add_node(builder, NO_NUMBER, 0);
	for (size_t i = 0; i < profile->sample_count; i++) {
		const struct sample *sample = &profile->samples[i];
		tree->samples++;
		if (!label_matches(builder, sample))
			continue;
		collect_frames(builder, sample);
		if (!filter_frames(builder))
			continue;
		add_by(builder, sample);
		add_sample(builder, sample);
		tree->matched++;
	}
	framer_end(&builder->framer);
	index_free(&builder->children);
	free(builder);
	add_up(tree);
	put_in_order(tree);
}

void tree_free(struct tree *tree) {
	free(tree->frames);
	free(tree->nodes);
	free(tree->selfs);
	free(tree->totals);
}

double tree_value(const struct tree *tree, const double *values, uint32_t node, enum side side,
                  uint32_t type) {
	if (side == SIDE_BASE && !tree->choice.diff)
		return 0;
	return values[node * tree->stride + (side == SIDE_BASE ? tree->profile->type_count : 0) + type];
}

double tree_self(const struct tree *tree, uint32_t node) {
	uint32_t type = tree->choice.type;
	return tree_value(tree, tree->selfs, node, SIDE_NEW, type) -
	       tree_value(tree, tree->selfs, node, SIDE_BASE, type);
}

double tree_total(const struct tree *tree, uint32_t node) {
	uint32_t type = tree->choice.type;
	return tree_value(tree, tree->totals, node, SIDE_NEW, type) -
	       tree_value(tree, tree->totals, node, SIDE_BASE, type);
}

double tree_whole(const struct tree *tree) {
	enum side side = tree->choice.diff ? SIDE_BASE : SIDE_NEW;
	return tree_value(tree, tree->totals, 0, side, tree->choice.type);
}

void tree_flat(const struct tree *tree, double **flat, double **cumulated) {
	*flat = zeroed(tree->frame_count, sizeof **flat);
	*cumulated = zeroed(tree->frame_count, sizeof **cumulated);
	uint32_t *until = zeroed(tree->frame_count, sizeof *until); /* inside of a frame up to this node */
	for (uint32_t node = 1; node < tree->node_count; node++) {
		uint32_t frame = tree->nodes[node].frame;
		/* Turned upside down, what a frame holds itself is at the top. */
		if (!tree->choice.inverted)
			(*flat)[frame] += tree_self(tree, node);
		else if (tree->nodes[node].depth == 1)
			(*flat)[frame] += tree_total(tree, node);
		if (node < until[frame])
			continue;
		until[frame] = tree->nodes[node].end;
		(*cumulated)[frame] += tree_total(tree, node);
	}
	free(until);
}
