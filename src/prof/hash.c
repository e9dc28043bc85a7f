/* hash.c - grows by doubling while memory allows, and then only gets slower. */
#include <string.h>
#include "prof/inside.h"

#define FIRST_LG 3u

uint64_t hash_mix(uint64_t key) {
	key *= 0x9e3779b97f4a7c15u;
	return key ^ key >> 32;
}

struct node **hash_chain(const struct hash *table, uint64_t key) {
	if (table->buckets == NULL)
		return NULL;
	return &table->buckets[hash_mix(key) >> 8 & (((uint64_t)1 << table->lg) - 1)];
}

static void put(struct hash *table, struct node *node) {
	struct node **chain = hash_chain(table, node->key);
	node->next = *chain;
	*chain = node;
}

static struct node **make_buckets(unsigned lg) {
	struct node **buckets = base_take(BASE_SLOTS + (enum base_kind)lg, NULL);
	if (buckets != NULL)
		memset(buckets, 0, sizeof *buckets << lg);
	return buckets;
}

static void grow(struct hash *table) {
	struct hash old = *table;
	unsigned lg = old.buckets == NULL ? FIRST_LG : old.lg + 1;
	struct node **buckets = lg > (unsigned)BASE_SLOTS_MAX_LG ? NULL : make_buckets(lg);
	if (buckets == NULL)
		return;
	table->buckets = buckets;
	table->lg = lg;
	if (old.buckets == NULL)
		return;
	for (size_t i = 0; i < (size_t)1 << old.lg; i++) {
		struct node *next;
		for (struct node *node = old.buckets[i]; node != NULL; node = next) {
			next = node->next;
			put(table, node);
		}
	}
	base_give(BASE_SLOTS + (enum base_kind)old.lg, old.buckets);
}

bool hash_enter(struct hash *table, struct node *node) {
	if (table->buckets == NULL || table->count > (size_t)1 << table->lg)
		grow(table);
	if (table->buckets == NULL)
		return false;
	put(table, node);
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
	for (size_t i = 0; table->buckets != NULL && i < (size_t)1 << table->lg; i++) {
		struct node **at = &table->buckets[i];
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
