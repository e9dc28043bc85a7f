/* percpu.c - growing, draining and counting the caches of CPUs. */
#include <string.h>
#include "thread/lock.h"
#include "arena/arena.h"
#include "cache/percpu.h"

#define STACK_DEPTH 2047u /* slots of a stack at most, and... */
#define STACK_BYTES (512 * KIB)
#define CPUS_MOST   4096u
#define HAUL        256u /* blocks taken out under one fence */

/* One CPU's stack of a class, and what became of it. Notes of several threads may be lost: they are hints. */
struct stack {
	_Atomic(uint32_t) events;         /* misses and overflows so far                    [atomic] */
	uint32_t seen_events, seen_count; /* at the last look for unused ones               [lock] */
	_Atomic(uint16_t) batch;          /* blocks of the next refill                      [atomic] */
	_Atomic(uint8_t) last;            /* enum cache_event                               [atomic] */
	_Atomic(bool) turned;             /* from one kind of event to the other, once      [atomic] */
	struct rseq_stack slots;
};
_Static_assert(offsetof(struct stack, slots) % sizeof(void *) == 0, "slots are words");

struct percpu percpu;

static struct lock lock = LOCK_INITIALIZER(RANK_CPUS);
static unsigned
	depth[CLASS_COUNT];      /* slots there are                                    [const after start] */
static _Atomic(size_t) *open;    /* per CPU: bytes that its stacks may hold  [atomic; written under lock] */
static _Atomic(size_t) open_sum; /* of all CPUs                            [atomic; written under lock] */
static _Atomic(size_t) share, budget; /* what open[] and open_sum may come to  [atomic] */

static struct stack *stack_of(unsigned cpu, unsigned class) {
	char *first = (char *)percpu.first[class] - offsetof(struct stack, slots);
	return (struct stack *)(first + cpu * RSEQ_SPAN);
}

/* The caller's CPU, which may be another one at once; `cpus` or more: unknown. */
static unsigned cpu_here(void) {
	return load_relaxed(&rseq_own_area()->cpu);
}

/* -- start ------------------------------------------------------------------------------------------------------- */

/* Distance of each class's stack from the beginning of a CPU's span. */
static void lay_out(char *memory) {
	size_t at = 0;
	for (unsigned class = 1; class <= CLASS_LAST; class ++) {
		depth[class] = (unsigned)size_min(STACK_DEPTH, STACK_BYTES / class_info[class].bytes);
		percpu.first[class] = &((struct stack *)(memory + at))->slots;
		at += sizeof(struct stack) + depth[class] * sizeof(void *);
	}
	must(at <= RSEQ_SPAN, NULL);
}

bool percpu_start(void) {
	if (!os_rseq_start())
		return false;
	unsigned cpus = (unsigned)size_min(os_cpus_possible(), CPUS_MOST);
	void *memory;
	open = base_alloc(cpus * sizeof *open, CACHE_LINE);
	if (open == NULL || os_map(NULL, cpus * RSEQ_SPAN, &memory) != 0)
		return false;
	(void)os_huge_pages(memory, cpus * RSEQ_SPAN, false);
	lay_out(memory);
	percpu.cpus = cpus;
	return true;
}

STARTUP void percpu_set_share(size_t each, size_t together) {
	store_relaxed(&share, each);
	store_relaxed(&budget, together);
}

/* Without the fence nothing can be taken out any more, which drains notice. */
void percpu_after_fork(void) {
	if (percpu_on())
		(void)os_rseq_after_fork();
}

/* -- growing ----------------------------------------------------------------------------------------------------- */

static void note_open(unsigned cpu, size_t more) REQUIRES(lock) {
	store_relaxed(&open[cpu], load_relaxed(&open[cpu]) + more);
	store_relaxed(&open_sum, load_relaxed(&open_sum) + more);
}

/* Raises the stack's end if that can be paid for. Who cannot have the lock goes without. */
static void grow(unsigned cpu, unsigned class, unsigned wanted) {
	struct stack *stack = stack_of(cpu, class);
	if (!lock_try(&lock))
		return;
	unsigned end = load_relaxed(&stack->slots.end);
	size_t more = wanted <= end ? 0 : (size_t)(wanted - end) * class_info[class].bytes;
	if (more != 0 && load_relaxed(&open[cpu]) + more <= load_relaxed(&share) &&
	    load_relaxed(&open_sum) + more <= load_relaxed(&budget)) {
		note_open(cpu, more);
		store_release(&stack->slots.end, wanted);
	}
	lock_drop(&lock);
}

/* Notes a miss or an overflow, which may raise the end: to `easy`, and beyond it when the two come in turn. True: they do. */
static bool note(unsigned cpu, unsigned class, enum cache_event event, unsigned easy, unsigned most) {
	struct stack *stack = stack_of(cpu, class);
	uint8_t last = load_relaxed(&stack->last);
	bool turned = last != CACHE_NOTHING && last != event;
	bool in_turn = turned && load_relaxed(&stack->turned);
	store_relaxed(&stack->events, load_relaxed(&stack->events) + 1);
	store_relaxed(&stack->last, event);
	if (turned)
		store_relaxed(&stack->turned, true);
	unsigned end = load_relaxed(&stack->slots.end);
	size_t earned = size_max(easy, in_turn ? (size_t)end * 2 + 1 : 0);
	unsigned wanted = (unsigned)size_min(earned, size_min(most, depth[class]));
	if (wanted > end)
		grow(cpu, class, wanted);
	return in_turn;
}

unsigned percpu_note_miss(unsigned class, unsigned easy, unsigned most) {
	unsigned cpu = cpu_here();
	if (cpu >= percpu.cpus)
		return 1;
	bool in_turn = note(cpu, class, CACHE_MISS, easy, most);
	struct stack *stack = stack_of(cpu, class);
	unsigned end = load_relaxed(&stack->slots.end), batch = load_relaxed(&stack->batch);
	size_t bound = size_min(in_turn ? (end + 1) / 2 : end, PERCPU_BATCH);
	store_relaxed(&stack->batch, (uint16_t)size_max(size_min((size_t)batch * 2, bound), 1));
	return (unsigned)size_max(size_min(batch, bound), 1);
}

unsigned percpu_note_overflow(unsigned class, unsigned easy, unsigned most) {
	unsigned cpu = cpu_here();
	if (cpu >= percpu.cpus)
		return 0;
	(void)note(cpu, class, CACHE_OVERFLOW, easy, most);
	const struct stack *stack = stack_of(cpu, class);
	unsigned end = load_relaxed(&stack->slots.end), count = load_relaxed(&stack->slots.count);
	return count < end ? 0 : (unsigned)size_min((count + 1) / 2, PERCPU_BATCH);
}

/* What others on this CPU do meanwhile moves other blocks about: a live one never was below `count` since it was handed out. */
bool percpu_holds(unsigned class, const void *block, unsigned most) {
	unsigned cpu = cpu_here();
	if (cpu >= percpu.cpus)
		return false;
	const struct rseq_stack *slots = &stack_of(cpu, class)->slots;
	unsigned count = load_acquire(&slots->count);
	unsigned last = count - (unsigned)size_min(count, most);
	while (count > last)
		if (slots->slots[--count] == block)
			return true;
	return false;
}

/* -- draining ---------------------------------------------------------------------------------------------------- */

/* Blocks on their way from one CPU's stacks to the arenas. */
struct haul {
	bool again; /* not the first: of what was closed then there is more */
	unsigned count;
	uint16_t upto[CLASS_COUNT]; /* blocks of classes up to this one */
	uint32_t was[CLASS_COUNT];  /* ends of the stacks that are closed; 0: it is not */
	void *blocks[HAUL];
};

/* Was the stack left alone since the last look? */
static bool is_quiet(struct stack *stack) REQUIRES(lock) {
	uint32_t events = load_relaxed(&stack->events), count = load_relaxed(&stack->slots.count);
	bool quiet = events == stack->seen_events && count == stack->seen_count;
	stack->seen_events = events;
	stack->seen_count = count;
	return quiet;
}

/* False: there is none to close, or no way to know that nobody is inside. */
static bool close_stacks(unsigned cpu, bool all, struct haul *haul) REQUIRES(lock) {
	bool any = false, closed;
	for (unsigned class = 1; class <= CLASS_LAST; class ++) {
		struct stack *stack = stack_of(cpu, class);
		bool wanted = haul->again ? haul->was[class] != 0 : is_quiet(stack) || all;
		haul->was[class] = wanted ? load_relaxed(&stack->slots.end) : 0;
		if (haul->was[class] != 0)
			store_relaxed(&stack->slots.end, 0);
		any |= haul->was[class] != 0;
	}
	closed = any && os_rseq_fence(cpu);
	for (unsigned class = 1; any && !closed && class <= CLASS_LAST; class ++)
		if (haul->was[class] != 0)
			store_release(&stack_of(cpu, class)->slots.end, haul->was[class]);
	return closed;
}

/* Debug: blocks of the class, none twice among the last ones. */
__attribute__((unused)) static void audit_stack(const struct stack *stack, unsigned class) {
	unsigned count = load_relaxed(&stack->slots.count);
	must(count <= depth[class], stack);
	for (unsigned i = count - (unsigned)size_min(count, 64); i < count; i++) {
		must(map_class(stack->slots.slots[i]) == class, stack->slots.slots[i]);
		for (unsigned k = i + 1; k < count; k++)
			must(stack->slots.slots[i] != stack->slots.slots[k], stack->slots.slots[i]);
	}
}

/* Takes blocks out of a closed stack. One that is empty then stays closed. */
static void empty_stack(unsigned cpu, unsigned class, struct haul *haul) REQUIRES(lock) {
	struct stack *stack = stack_of(cpu, class);
	rseq_fenced(percpu.first[class]);
	audit(audit_stack(stack, class));
	unsigned count = load_relaxed(&stack->slots.count);
	unsigned part = (unsigned)size_min(count, HAUL - haul->count);
	count -= part;
	memcpy(haul->blocks + haul->count, stack->slots.slots + count, part * sizeof haul->blocks[0]);
	haul->count += part;
	store_relaxed(&stack->slots.count, count);
	stack->seen_count = count;
	if (count > 0)
		store_release(&stack->slots.end, haul->was[class]);
	else
		note_open(cpu, 0 - haul->was[class] * (size_t)class_info[class].bytes);
}

static void take_out(unsigned cpu, bool all, struct haul *haul) {
	haul->count = 0;
	lock_take(&lock);
	bool closed = close_stacks(cpu, all, haul);
	for (unsigned class = 1; closed && class <= CLASS_LAST; class ++) {
		if (haul->was[class] != 0)
			empty_stack(cpu, class, haul);
		haul->upto[class] = (uint16_t)haul->count;
	}
	lock_drop(&lock);
}

static void drain(unsigned cpu, bool all) {
	struct haul haul = {.again = false};
	if (load_relaxed(&open[cpu]) == 0)
		return;
	do {
		take_out(cpu, all, &haul);
		unsigned from = 0;
		for (unsigned class = 1; from < haul.count; class ++) {
			if (haul.upto[class] > from)
				arena_flush(class, haul.blocks + from, haul.upto[class] - from);
			from = haul.upto[class];
		}
		haul.again = true;
	} while (haul.count == HAUL);
}

void percpu_drain(bool all) {
	for (unsigned cpu = 0; cpu < percpu.cpus; cpu++)
		drain(cpu, all || load_relaxed(&open[cpu]) > load_relaxed(&share) ||
		                   load_relaxed(&open_sum) > load_relaxed(&budget));
}

void percpu_drain_here(void) {
	unsigned cpu = cpu_here();
	if (cpu < percpu.cpus)
		drain(cpu, true);
}

/* -- figures ----------------------------------------------------------------------------------------------------- */

struct percpu_stats percpu_read_stats(void) {
	struct percpu_stats stats = {0};
	for (unsigned cpu = 0; cpu < percpu.cpus; cpu++) {
		if (load_relaxed(&open[cpu]) == 0)
			continue;
		stats.cpus++;
		for (unsigned class = 1; class <= CLASS_LAST; class ++)
			stats.bytes += load_relaxed(&stack_of(cpu, class)->slots.count) *
			               (size_t)class_info[class].bytes;
	}
	return stats;
}
