/* inside.h - what the files of prof/ share; nobody else includes it. */
#ifndef ASHLAR_PROF_INSIDE_H
#define ASHLAR_PROF_INSIDE_H

#include "prof/prof.h"
#include "thread/lock.h"

/* -- arith.c: no mathematical library ----------------------------------------------------------------------------- */

/* Natural logarithm of a positive number / e^-x, and 1 - e^-x, for x >= 0. Good for nine digits. */
double arith_ln(double x);
double arith_exp_minus(double x);
double arith_part(double x);

/* -- hash.c: a chained hash of records that bring their links ----------------------------------------------------- */

struct node {
	struct node *next;
	uint64_t key;
};
struct hash {
	struct node **buckets; /* 2^lg; NULL: none yet */
	unsigned lg;
	size_t count;
};
/* The chain a key belongs to; NULL: the table is empty. Its nodes may have other keys. */
struct node **hash_chain(const struct hash *table, uint64_t key);
/* False: no memory. */
bool hash_enter(struct hash *table, struct node *node);
void hash_remove(struct hash *table, struct node *node);
/* Takes out all nodes that are wanted, and returns them as a chain. */
struct node *hash_sift(struct hash *table, bool (*wanted)(struct node *, const void *), const void *opaque);
uint64_t hash_mix(uint64_t key);

#define EACH_NODE(table, node) \
	for (size_t b_ = 0; (table)->buckets != NULL && b_ < (size_t)1 << (table)->lg; b_++) \
		for (struct node *node = (table)->buckets[b_]; node != NULL; node = node->next)

/* -- count.c --------------------------------------------------------------------------------------------------------- */

#define DEPTH_MAX 256u

/* The callers of one allocation, innermost first. */
struct stack {
	struct node node;
	uint32_t users; /* sites, and others who remember it                [STACKS] */
	uint16_t depth;
	uint16_t lg_words; /* of its memory */
	void *frames[];
};

struct prof_thread {
	struct list link; /* all, oldest first                              [STACKS] */
	uint64_t uid;
	uint32_t sites;            /*                                         [STACKS] */
	bool ended;                /*                                         [STACKS] */
	_Atomic(bool) active;      /* [atomic] */
	char name[PROF_NAME_MAX];  /*                                         [STACKS] */
	struct prof_counts live, all; /* of a dump that is being made     [STACKS] */
};

struct site {
	struct node node;
	struct stack *stack;
	struct prof_thread *thread;
	uint32_t arena;
	struct prof_counts live, all; /* all: with those freed since         [STACKS] */
};

/* One sampled block. */
struct sample {
	struct node node; /* by page                                       [SAMPLES] */
	void *block;
	size_t usable, asked;
	uint64_t born; /* os_now_coarse() */
	uint64_t eighths, weighed;
	struct site *site; /* stays as long as the sample is counted in it */
};

struct trace {
	unsigned depth;
	void *frames[DEPTH_MAX];
};

extern struct lock stacks_lock;
void count_start(void);
/* The record of the calling thread, made if need be. NULL: no memory. */
struct prof_thread *count_thread(struct cache *self);
/* The stack, made if need be: NULL: no memory. / It goes if nobody uses it. */
struct stack *count_stack(const struct trace *trace) REQUIRES(stacks_lock);
void count_drop_stack(struct stack *stack) REQUIRES(stacks_lock);
/* Finds or makes the site, and counts the sample in. False: no memory. */
bool count_in(struct sample *sample, const struct trace *trace, struct prof_thread *thread);
/* Counts it out; the site may go. */
void count_out(const struct sample *sample);
/* Forgets what was freed. */
void count_forget(void);

/* -- record.c -------------------------------------------------------------------------------------------------------- */

void record_start(void);
/* Enters a sample of a block that the caller holds, and marks its page. False: no memory. */
bool record_enter(struct sample *sample);
/* Takes the record of a block out; NULL: it is not sampled. */
struct sample *record_take(const void *block);
/* Takes out the samples of one arena, or with NULL all, and hands them over one by one. */
void record_take_all(const struct arena *arena, void (*take)(struct sample *sample));

/* -- sample.c -------------------------------------------------------------------------------------------------------- */

/* Weighs a block of `usable` bytes at the present rate. */
void sample_weigh(struct sample *sample);

/* -- stack.c --------------------------------------------------------------------------------------------------------- */

/* Reads the calling thread's stack, from the caller of the public function on. No lock is held, the thread suspended. */
void stack_read(struct trace *trace);

#endif
