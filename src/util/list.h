/* list.h - intrusive doubly linked circular list with a head. Not synchronised.
 *
 *   head <-> node <-> node <-> head         an empty head points at itself
 */
#ifndef ASHLAR_UTIL_LIST_H
#define ASHLAR_UTIL_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *head) {
	head->next = head->prev = head;
}
static inline bool list_empty(const struct list *head) {
	return head->next == head;
}
static inline void list_insert_after(struct list *at, struct list *node) {
	node->next = at->next;
	node->prev = at;
	at->next->prev = node;
	at->next = node;
}
static inline void list_push(struct list *head, struct list *node) {
	list_insert_after(head, node);
}
static inline void list_append(struct list *head, struct list *node) {
	list_insert_after(head->prev, node);
}
static inline void list_remove(struct list *node) {
	node->prev->next = node->next;
	node->next->prev = node->prev;
	node->next = node->prev = node;
}
static inline struct list *list_first(const struct list *head) {
	return head->next == head ? NULL : head->next;
}

#define list_each(head, node) for (struct list *node = (head)->next; node != (head); node = node->next)
/* As list_each, but the body may remove `node`. */
#define list_each_safe(head, node) \
	for (struct list *node = (head)->next, *node##_next = node->next; node != (head); \
	     node = node##_next, node##_next = node->next)

#endif
