/* inside.h - what the files of prof/ share; nobody else includes it. */
#ifndef ASHLAR_PROF_INSIDE_H
#define ASHLAR_PROF_INSIDE_H

#include <limits.h>

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
#define HASH_SEGMENTS 24u
struct hash {
	struct node **segment[HASH_SEGMENTS];
	size_t buckets; /* in use */
	size_t count;   /* of nodes */
	bool visited;   /* and does not grow meanwhile */
};
/* The chain a key belongs to; NULL: the table is empty. Its nodes may have other keys. */
struct node **hash_chain(const struct hash *table, uint64_t key);
/* False: no memory. */
bool hash_enter(struct hash *table, struct node *node);
void hash_remove(struct hash *table, struct node *node);
/* Takes out the nodes that are wanted, and hands each over when it is out, before it looks at the next. */
void hash_sift(struct hash *table, bool (*wanted)(struct node *, void *), void (*take)(struct node *, void *),
               void *opaque);
/* Visits each node, in slices: the lock is dropped in between. Others come and go meanwhile; one that stays is visited once.
 * By one visitor at a time. False: `visit` was, and no more were visited. */
bool hash_visit(struct hash *table, struct lock *lock, bool (*visit)(struct node *, void *), void *opaque);
uint64_t hash_mix(uint64_t key);

/* -- count.c --------------------------------------------------------------------------------------------------------- */

#define DEPTH_MAX 256u
#define STEP_MAX  ((uintptr_t)(8 * MIB)) /* from one frame to the next */

/* The callers of one allocation, innermost first. */
struct stack {
	struct node node;
	uint32_t users; /* sites, and others who remember it                [STACKS] */
	uint16_t depth;
	uint16_t lg_words;  /* of its memory */
	uint32_t view;      /* the last one that it is in, [STACKS] */
	uint32_t log_place; /* in a log that is being written      [who writes it] */
	size_t place;       /* its place there             [STACKS] */
	void **view_frames; /* and frames                  [STACKS] */
	void *frames[];
};

/* Pages that can be read, without a gap: [start, end). */
struct extent {
	uintptr_t start, end;
};

/* The words that one walk up a stack followed: callers, and of the frame pointers that were put aside those that a frame was
 * found by. Whoever begins in the same place with the same registers and finds the same words has the same callers (path.c). */
#define PATH_WORDS 40u
struct path {
	uintptr_t sp, fp;  /* where it began */
	struct site *site; /* where it led to; NULL: nothing is kept here */
	bool by_fp;        /* a frame was found by that very fp */
	uint32_t words;    /* 0: it was not followed, or is too long */
	uint32_t at[PATH_WORDS];
	uintptr_t word[PATH_WORDS];
};
#define PATH_SETS 4u
#define PATH_WAYS 4u /* of each set */

struct prof_thread {
	uint64_t uid;
	uint32_t sites;       /*                                         [STACKS] */
	bool ended;           /*                                         [STACKS] */
	_Atomic(bool) active; /* [atomic] */
	struct extent known;  /* of its stack                    [owner thread] */
	struct path *paths;   /* PATH_SETS x PATH_WAYS; NULL: none yet [owner thread, written under STACKS] */
	uint32_t strange;     /* stacks that were in no path           [owner thread] */
	uint32_t spares;      /*                                       [owner thread] */
	struct node *spare;   /* records of samples for the next ones  [owner thread] */
	char name[PROF_NAME_MAX]; /*                                         [STACKS] */
	uint32_t view;            /* the last one that it is in, [STACKS] */
	size_t place;             /* and its place there         [STACKS] */
	uint32_t log, log_index;  /* its place in the log of that number     [STACKS] */
};

/* Counts that one thread adds to, without a lock, and others read. */
struct tally {
	_Atomic(uint64_t) objects, bytes, eighths, weighed;
};

/* live = all - given - freed */
struct site {
	struct node node;
	struct stack *stack;
	struct prof_thread *thread;
	uint32_t arena;
	_Atomic(uint32_t)
		era;        /* of the forgetting that `all` has heard of  [owner of thread, under STACKS] */
	uint32_t kept;      /* by so many paths of its thread              [owner of thread, under STACKS] */
	struct tally all;   /* taken since                                 [owner of thread] */
	struct tally given; /* of those, freed by its thread               [owner of thread] */
	struct prof_counts freed; /* and by others                            [STACKS] */
	uint64_t
		pinned; /* bytes of pages that the live ones keep, by the last look      [who makes a view] */
	double age;     /* nanoseconds, of the live ones together, by the last look      [who makes a view] */
};

/* One sampled block. */
struct sample {
	struct node node; /* by page                                       [SAMPLES] */
	void *block;
	size_t usable, asked;
	uint64_t born; /* sample_now() */
	uint64_t eighths, weighed;
	struct site *site;     /* stays as long as the sample is counted in it */
	struct recent *recent; /* NULL: not remembered                       [STACKS] */
	uint32_t log;          /* the log that was kept when it was taken; 0: none */
};

#define OWN_MAX 16u /* frames of ours above the caller, at most */
struct trace {
	struct site
		*site; /* of the calling thread, and perhaps of another arena; NULL: it is not known, then: */
	struct path path;
	bool cut;                          /* a table was wrong: there are callers beyond the last */
	unsigned depth;                    /* at most DEPTH_MAX, but while it is being read */
	void *frames[DEPTH_MAX + OWN_MAX]; /* in one place: stacks of threads may be small */
};

extern HIDDEN struct lock stacks_lock;
/* Sizes of records: before anything is asked of the profiler, which names of threads may be long before it is switched on. */
void count_start(void);
/* The record of the calling thread, made if need be. NULL: no memory. */
struct prof_thread *count_thread(struct cache *self);
/* The stack, made if need be: NULL: no memory. / It goes if nobody uses it. */
struct stack *count_stack(const struct trace *trace) REQUIRES(stacks_lock);
void count_drop_stack(struct stack *stack) REQUIRES(stacks_lock);
/* Gives it the system's name of the calling thread, with ? for characters that no name may have. */
void count_name_thread(struct prof_thread *thread);
/* Finds or makes the site, and counts the sample in. False: no memory. The thread is the calling one. */
bool count_in(struct sample *sample, const struct trace *trace, struct prof_thread *thread);
/* Counts it out; the site may go. The thread is the calling one, or NULL. */
void count_out(const struct sample *sample, const struct prof_thread *thread);
/* What is live / what was ever taken, since the last forgetting. */
void count_read(const struct site *site, struct prof_counts *live, struct prof_counts *all)
	REQUIRES(stacks_lock);
/* The site is kept for a path, though nothing lives there / is not any more, and may go. */
void count_keep(struct site *site) REQUIRES(stacks_lock);
void count_release(struct site *site) REQUIRES(stacks_lock);
/* Forgets what was freed. */
void count_forget(void);

extern HIDDEN struct hash count_stacks, count_sites; /* [STACKS] */
extern HIDDEN size_t count_frames, count_threads;    /* of all stacks; of all threads [STACKS] */

/* -- record.c -------------------------------------------------------------------------------------------------------- */

/* Before the first sample. */
void record_start(void);
/* Enters a sample of a block that the caller holds, and marks its page. False: no memory. */
bool record_enter(struct sample *sample);
/* Takes the record of a block out; NULL: it is not sampled. */
struct sample *record_take(const void *block);
/* Takes out the samples of one arena, or with NULL all, and hands them over one by one. */
void record_take_all(const struct arena *arena, void (*take)(struct sample *sample));

/* Sets the sites' `pinned`: of each slab, its bytes shared by its live blocks; and their `age`. */
void record_note_pinned(void);

/* -- sample.c -------------------------------------------------------------------------------------------------------- */

/* Weighs a block of `usable` bytes at the present rate. */
void sample_weigh(struct sample *sample);
/* Nanoseconds, by the clock the option says. */
uint64_t sample_now(void);
/* The thread has ended. */
void sample_drop_spares(struct prof_thread *thread);

/* -- path.c: stacks that a thread was sampled with before --------------------------------------------------------------- */

/* The site of the same callers, or NULL. Begins where *path does, on the part of the stack that is known. */
struct site *path_find(const struct prof_thread *thread, const struct path *path, const struct extent *known);
/* Adds a word that was read at `at`. */
static inline void path_add(struct path *path, uintptr_t at, uintptr_t word) {
	uintptr_t up = at - path->sp;
	if (path->words < PATH_WORDS) {
		path->at[path->words] = (uint32_t)up;
		path->word[path->words] = word;
	}
	path->words += up > UINT32_MAX ? PATH_WORDS + 1 : 1; /* too far: too long */
}
/* Keeps the path, which led to the site, perhaps: threads that sample seldom keep none. */
void path_keep(struct prof_thread *thread, const struct path *path, struct site *site) REQUIRES(stacks_lock);
/* The thread has ended. */
void path_end(struct prof_thread *thread) REQUIRES(stacks_lock);

/* -- stack.c --------------------------------------------------------------------------------------------------------- */

/* Reads the calling thread's stack, from the caller of the public function on. No lock is held, the thread suspended.
 * thread may be NULL. */
void stack_read(struct trace *trace, struct prof_thread *thread);
/* The same, unless its site is known: then there are no frames. */
void stack_find(struct trace *trace, struct prof_thread *thread);

/* Before the first sample. / What may allocate. */
void stack_start(void);
void stack_prepare(void);
/* In the child: nothing is loaded here any more. */
void stack_after_fork(void);

/* Can the word at `at` be read, and whatever is between it and what is known already? *known grows, and is not asked for
 * again: stacks in use stay. */
bool stack_is_readable(uintptr_t at, struct extent *known);
/* The stack in use has a frame at `at`, but may be another one than the last time. */
void stack_begin(uintptr_t at, struct extent *known);

/* -- walk.c ---------------------------------------------------------------------------------------------------------- */

/* Callers of the caller, innermost first, at most `most`; 0: cannot be told this way, and *known is as it was. With a thread,
 * whose the stack is: 0 as well if trace->site is known; else trace->path is what was followed. Sets trace->cut; trace->frames is
 * not used. */
unsigned walk_read(void **frames, unsigned most, struct extent *known, struct trace *trace,
                   const struct prof_thread *thread);

/* -- view.c ---------------------------------------------------------------------------------------------------------- */

struct view_thread {
	uint64_t uid;
	char name[PROF_NAME_MAX];
	struct prof_counts live, all;
	struct view_site *first; /* dump_text.c: its first one of the last stack that it had */
};
struct view_site {
	void **frames; /* the same for all sites of a stack, which lie together */
	size_t stack;
	unsigned depth, arena;
	struct view_thread *thread;
	struct prof_counts live, all;
	uint64_t pinned;
	double age;
};
struct view {
	size_t bytes; /* of all it has */
	struct view_site *site;
	struct view_thread *thread;
	struct view_stack {
		size_t next, end; /* of its sites, while they are sorted */
	} * stack;
	void **frames; /* of all stacks */
	size_t sites, threads, stacks, used;
	struct prof_counts live, all;
};
/* A copy of what is known now, but for what comes and goes while it is made; `pinned`: with the sites' pages and ages. False: no
 * memory. */
bool view_make(struct view *view, bool pinned);
void view_end(struct view *view);
void counts_add(struct prof_counts *sum, const struct prof_counts *one);

/* -- output.c -------------------------------------------------------------------------------------------------------- */

/* Zeroed memory of its own, for who may have a small stack. NULL: there is none. */
void *pages_take(size_t bytes);
void pages_give(void *pages, size_t bytes);

struct output {
	int file;          /* or -1, and: */
	prof_writer *call; /* or: */
	prof_text_writer *text_call;
	void *opaque;
	int error; /* of the first write that failed */
	size_t used;
	char data[2048]; /* terminated for text_call */
};
struct output output_to_file(int file);
struct output output_to_text_call(prof_text_writer *call, void *opaque);
void output_bytes(struct output *out, const void *data, size_t size);
/* At most 511 bytes. */
void output_text(struct output *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* In quotes. */
void output_json_string(struct output *out, const char *string);
/* Sends what is left. 0 or an errno. */
int output_end(struct output *out);

/* -- dump.c, dump_text.c, dump_proto.c --------------------------------------------------------------------------------- */

enum dump_trigger { DUMP_FINAL, DUMP_INTERVAL, DUMP_ASKED, DUMP_HEIGHT, DUMP_TRIGGERS };
void dump_start(void);
void dump_at_load(void);
/* After a sample that stands for so many bytes. */
void dump_consider(uint64_t bytes);
/* False: names are not to be made up, or it is too long. */
bool dump_name_log(char name[PATH_MAX]);
/* What the view holds is used up. */
void dump_text(struct output *out, struct view *view);
int dump_proto(struct output *out, struct view *view); /* 0 or an errno */

/* -- log.c ------------------------------------------------------------------------------------------------------------- */

void log_define(void);
/* At exit: writes it, if there is one. */
void log_end(void);
/* Of the log that is kept now; 0: none is. */
uint32_t log_number(void);
/* A sample taken under this log is freed. giver may be NULL. */
void log_enter(const struct sample *sample, struct prof_thread *giver, const struct trace *trace);

/* -- recent.c ---------------------------------------------------------------------------------------------------------- */

void recent_start(void);
void recent_enter(struct sample *sample, const struct prof_thread *thread);
bool recent_knows(const struct sample *sample);
/* It is freed, or with trace NULL forgotten. thread may be NULL. */
void recent_leave(struct sample *sample, const struct prof_thread *thread, const struct trace *trace);
void json_trace(struct output *out, const struct stack *stack);

#endif
