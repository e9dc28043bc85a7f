/* hash.c - a hash that grows by one bucket at a time, so that nobody waits for it; without memory it only gets slower.
 *
 *   n buckets, 2^l <= n < 2^(l+1); the bucket of h:   h mod 2^(l+1), or where there is none such, h mod 2^l
 *   one more: bucket n takes its part of bucket n - 2^l
 *
 *   segment 0: 8 buckets;  each after it: as many as all before it together */
#include "prof/inside.h"

#define FIRST_LG 3u

uint64_t hash_mix(uint64_t key) {
	key *= 0x9e3779b97f4a7c15u;
	return key ^ key >> 32;
}

static struct node **bucket_at(const struct hash *table, size_t bucket) {
	unsigned segment = bit_highest(bucket >> FIRST_LG | 1) + (bucket >> FIRST_LG != 0);
	size_t first = segment == 0 ? 0 : (size_t)1 << (segment + FIRST_LG - 1);
	return &table->segment[segment][bucket - first];
}

static uint64_t spread(uint64_t key) {
	return hash_mix(key) >> 8;
}

struct node **hash_chain(const struct hash *table, uint64_t key) {
	if (table->buckets == 0)
		return NULL;
	size_t power = (size_t)1 << bit_highest(table->buckets), bucket = spread(key) & (2 * power - 1);
	return bucket_at(table, bucket < table->buckets ? bucket : bucket - power);
}

/* They are never given back. */
static bool add_segment(struct hash *table, unsigned segment) {
	size_t count = (size_t)1 << (segment == 0 ? FIRST_LG : segment + FIRST_LG - 1);
	if (segment == HASH_SEGMENTS)
		return false;
	if (table->segment[segment] == NULL)
		table->segment[segment] = base_alloc(count * sizeof(struct node *), CACHE_LINE);
	return table->segment[segment] != NULL;
}

static bool grow(struct hash *table) {
	size_t number = table->buckets;
	if (number == 0) {
		table->buckets = add_segment(table, 0) ? (size_t)1 << FIRST_LG : 0;
		return table->buckets != 0;
	}
	unsigned lg = bit_highest(number);
	if (!add_segment(table, lg - FIRST_LG + 1))
		return false;
	struct node **from = bucket_at(table, number - ((size_t)1 << lg)), **to = bucket_at(table, number);
	while (*from != NULL) {
		struct node *node = *from;
		if ((spread(node->key) >> lg & 1) == 0) {
			from = &node->next;
			continue;
		}
		*from = node->next;
		node->next = *to;
		*to = node;
	}
	table->buckets++;
	return true;
}

/* Two buckets for one node, so that what was not done while it was visited is made up for. */
bool hash_enter(struct hash *table, struct node *node) {
	for (int i = 0; i < 2 && !table->visited && table->count >= table->buckets && grow(table); i++)
		continue;
	struct node **chain = hash_chain(table, node->key);
	if (chain == NULL)
		return false;
	node->next = *chain;
	*chain = node;
	table->count++;
	return true;
}

void hash_remove(struct hash *table, struct node *node) {
	struct node **at = hash_chain(table, node->key);
	while (*at != node)
		at = &(*at)->next;
	*at = node->next;
	table->count--;
}

void hash_sift(struct hash *table, bool (*wanted)(struct node *, void *), void (*take)(struct node *, void *),
               void *opaque) {
	for (size_t i = 0; i < table->buckets; i++) {
		struct node **at = bucket_at(table, i);
		while (*at != NULL) {
			struct node *node = *at;
			if (!wanted(node, opaque)) {
				at = &node->next;
				continue;
			}
			*at = node->next;
			table->count--;
			take(node, opaque);
		}
	}
}

#define SLICE 256u /* nodes and buckets: some 100 us */

bool hash_visit(struct hash *table, struct lock *lock, bool (*visit)(struct node *, void *),
                void *opaque) NO_LOCK_ANALYSIS {
	bool more = true;
	lock_take(lock);
	table->visited = true;
	for (size_t i = 0, seen = 0; more && i < table->buckets; i++, seen++) {
		if (seen >= SLICE) {
			lock_pass(lock);
			seen = 0;
		}
		for (struct node *node = *bucket_at(table, i); more && node != NULL; node = node->next) {
			more = visit(node, opaque);
			seen++;
		}
	}
	table->visited = false;
	lock_drop(lock);
	return more;
}
