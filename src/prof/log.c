/* log.c - sampled blocks that were allocated and freed while a log is kept.
 *
 *   off --start--> on --stop--> being written --> off
 *
 * An entry is made when the block is freed. Entries, and threads that appear in them, are lists under STACKS; the one who
 * stops the log takes the lists away and writes them with no lock held: stacks of entries stay.
 *
 * A forked child keeps no log: two processes would write one file. Its copy of the entries is untouched, and so shared with
 * the parent, until it begins a log of its own; what another thread of the parent was writing is lost to it. */
#include <errno.h>
#include <string.h>
#include "ctl/ctl.h"
#include "guard/guard.h"
#include "os/os.h"
#include "thread/event.h"
#include "prof/inside.h"
#include "version.h"

struct log_thread {
	struct log_thread *next;
	uint64_t uid;
	char name[PROF_NAME_MAX];
};

struct entry {
	struct entry *next;
	uint32_t taker, giver; /* indices of threads */
	struct stack *taken, *given;
	uint64_t born, died; /* nanoseconds */
	size_t usable;
};

enum { LOG_OFF, LOG_ON, LOG_WRITING };
static _Atomic(uint32_t) state;            /* [atomic; written under stacks_lock] */
static _Atomic(uint32_t) number;           /* of the log, never 0      [atomic; written under stacks_lock] */
static struct entry *entries;              /* newest first                                  [stacks_lock] */
static struct log_thread *threads, **last; /* oldest first                                  [stacks_lock] */
static uint32_t thread_count;              /*                                               [stacks_lock] */
static uint64_t started;                   /*                                               [stacks_lock] */
static char file_name[PATH_MAX];           /*                                               [stacks_lock] */

STARTUP void log_define(void) {
	base_define(BASE_LOG_ENTRY, sizeof(struct entry));
	base_define(BASE_LOG_THREAD, sizeof(struct log_thread));
}

uint32_t log_number(void) {
	return load_relaxed(&state) == LOG_ON ? load_relaxed(&number) : 0;
}

/* The index of a thread in this log. False: no memory. */
static bool index_of(struct prof_thread *thread, uint32_t *index) REQUIRES(stacks_lock) {
	if (thread->log != load_relaxed(&number)) {
		struct log_thread *one = base_take(BASE_LOG_THREAD, NULL);
		if (one == NULL)
			return false;
		*one = (struct log_thread){.uid = thread->uid};
		memcpy(one->name, thread->name, sizeof one->name);
		*last = one;
		last = &one->next;
		thread->log = load_relaxed(&number);
		thread->log_index = thread_count++;
	}
	*index = thread->log_index;
	return true;
}

static void fill(struct entry *entry, const struct sample *sample, struct prof_thread *giver,
                 const struct trace *trace) REQUIRES(stacks_lock) {
	struct prof_thread *taker = sample->site->thread;
	struct stack *given = count_stack(trace);
	*entry = (struct entry){.next = entries,
	                        .taken = sample->site->stack,
	                        .given = given,
	                        .born = sample->born,
	                        .died = sample_now(),
	                        .usable = sample->usable};
	if (given == NULL || !index_of(taker, &entry->taker) ||
	    !index_of(giver == NULL ? taker : giver, &entry->giver)) {
		if (given != NULL)
			count_drop_stack(given);
		base_give(BASE_LOG_ENTRY, entry);
		return;
	}
	entry->taken->users++;
	given->users++;
	entries = entry;
}

void log_enter(const struct sample *sample, struct prof_thread *giver, const struct trace *trace) {
	struct entry *entry = base_take(BASE_LOG_ENTRY, NULL);
	if (entry == NULL)
		return;
	lock_take(&stacks_lock);
	if (load_relaxed(&state) == LOG_ON && sample->log == load_relaxed(&number))
		fill(entry, sample, giver, trace);
	else
		base_give(BASE_LOG_ENTRY, entry);
	lock_drop(&stacks_lock);
}

/* -- writing: the lists are nobody else's now ------------------------------------------------------------------------ */

struct finished {
	struct entry *entries;
	struct log_thread *threads;
	uint64_t duration;
};

static struct finished take_lists(void) REQUIRES(stacks_lock) {
	struct finished log = {entries, threads, sample_now() - started};
	entries = NULL;
	threads = NULL;
	last = &threads;
	thread_count = 0;
	return log;
}

static void put_info(struct output *out, const struct finished *log) {
	output_text(out, "{\"info\":{\"duration\":%lu,\"version\":\"%s\",\"lg_sample_rate\":%u,",
	            log->duration, ASHLAR_BUILD_VERSION, prof_lg_sample());
	output_text(out, "\"prof_time_resolution\":\"%s\",\"pid\":%u},",
	            opt.prof_time_resolution == PROF_TIME_RESOLUTION_HIGH ? "high" : "default",
	            os_process_id());
}

static void put_threads(struct output *out, const struct finished *log) {
	output_text(out, "\"threads\":[");
	for (const struct log_thread *one = log->threads; one != NULL; one = one->next) {
		output_text(out, "%s{\"thr_uid\":%lu,\"thr_name\":", one == log->threads ? "" : ",",
		            one->uid);
		output_json_string(out, one->name);
		output_text(out, "}");
	}
	output_text(out, "],");
}

/* Each stack once: the first entry that mentions it gives it its number, from 1 on. */
static void put_stack(struct output *out, struct stack *stack, uint32_t *stacks) {
	if (stack->log_place != 0)
		return;
	output_text(out, *stacks == 0 ? "" : ",");
	json_trace(out, stack);
	stack->log_place = ++*stacks;
}

static void put_stacks(struct output *out, const struct finished *log) {
	uint32_t stacks = 0;
	for (const struct entry *entry = log->entries; entry != NULL; entry = entry->next)
		entry->taken->log_place = entry->given->log_place = 0;
	output_text(out, "\"stack_traces\":[");
	for (const struct entry *entry = log->entries; entry != NULL; entry = entry->next) {
		put_stack(out, entry->taken, &stacks);
		put_stack(out, entry->given, &stacks);
	}
	output_text(out, "],");
}

static void put_entries(struct output *out, const struct finished *log) {
	output_text(out, "\"allocations\":[");
	for (const struct entry *entry = log->entries; entry != NULL; entry = entry->next) {
		output_text(out,
		            "%s{\"alloc_thread\":%u,\"free_thread\":%u,\"alloc_trace\":%u,\"free_trace\":%u,",
		            entry == log->entries ? "" : ",", entry->taker, entry->giver,
		            entry->taken->log_place - 1, entry->given->log_place - 1);
		output_text(out, "\"alloc_timestamp\":%lu,\"free_timestamp\":%lu,\"usize\":%zu}", entry->born,
		            entry->died, entry->usable);
	}
	output_text(out, "]}");
}

static void release(const struct finished *log) {
	struct entry *next;
	for (struct entry *entry = log->entries; entry != NULL; entry = next) {
		next = entry->next;
		lock_take(&stacks_lock);
		entry->taken->users--;
		count_drop_stack(entry->taken);
		entry->given->users--;
		count_drop_stack(entry->given);
		lock_drop(&stacks_lock);
		base_give(BASE_LOG_ENTRY, entry);
	}
	struct log_thread *after;
	for (struct log_thread *one = log->threads; one != NULL; one = after) {
		after = one->next;
		base_give(BASE_LOG_THREAD, one);
	}
}

static bool write_log(const struct finished *log) {
	int file = os_create(file_name);
	if (file < 0) {
		guard_warn("<ashlar>: creat() for log file \"%s\"  failed with %d\n", file_name, -file);
		return false;
	}
	struct output out = output_to_file(file);
	put_info(&out, log);
	put_threads(&out, log);
	put_stacks(&out, log);
	put_entries(&out, log);
	int error = output_end(&out);
	os_close(file);
	return error == 0;
}

/* -- start and stop -------------------------------------------------------------------------------------------------- */

static void begin(const char *name) REQUIRES(stacks_lock) {
	size_t length = strnlen(name, sizeof file_name - 1);
	memcpy(file_name, name, length);
	file_name[length] = 0;
	started = sample_now();
	add_relaxed(&number, 1);
	store_relaxed(&state, LOG_ON);
}

int prof_log_start(const char *name) {
	char made[PATH_MAX];
	struct finished forgotten = {.entries = NULL};
	if (name == NULL) {
		if (!dump_name_log(made))
			return EFAULT;
		name = made;
	}
	lock_take(&stacks_lock);
	bool off = load_relaxed(&state) == LOG_OFF;
	if (off) {
		forgotten = take_lists(); /* of a parent's log: else there are none */
		begin(name);
	}
	lock_drop(&stacks_lock);
	release(&forgotten);
	return off ? 0 : EFAULT;
}

int prof_log_stop(void) {
	struct finished log = {.entries = NULL};
	lock_take(&stacks_lock);
	bool on = load_relaxed(&state) == LOG_ON;
	if (on) {
		log = take_lists();
		store_relaxed(&state, LOG_WRITING);
	}
	lock_drop(&stacks_lock);
	if (!on)
		return EFAULT;
	void *was = event_suspend();
	bool done = write_log(&log);
	event_resume(was);
	release(&log);
	store_release(&state, LOG_OFF);
	return done ? 0 : EFAULT;
}

STARTUP void log_end(void) {
	if (load_relaxed(&state) == LOG_ON)
		(void)prof_log_stop();
}

void prof_after_fork(void) {
	store_relaxed(&state, LOG_OFF);
	stack_after_fork();
}
