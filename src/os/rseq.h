/* rseq.h - stacks of pointers that belong to a CPU, by restartable sequences (Linux 5.10, glibc 2.35).
 *
 *   the kernel's record of a thread       a CPU's stack of one kind, RSEQ_SPAN bytes after that of the CPU before
 *   cpu_start | cpu | sequence | flags     end | count | slot 0 | slot 1 | ... | slot end - 1
 *
 * A sequence is a few instructions that end with one store. While `sequence` points at the description of one and the
 * thread is inside, the kernel sends it to the abort address whenever it was preempted, moved to another CPU or given a
 * signal, and that starts it anew: so between reading `cpu` and the store nobody else works with that CPU's stack.
 *
 *   push   cpu -> stack,  count < end,  slot[count - 1] is another block,  slot[count] = block,  commit: count + 1
 *   pop    cpu -> stack,  end != 0,     count != 0,                        block = slot[count - 1],  commit: count - 1
 *
 * A thread without such a record has a `cpu` beyond all others, and finds nothing and no room. A stack of zeroes is closed:
 * neither push nor pop do anything. That is how others come to it, who write `end` and never what a sequence writes:
 *
 *   end = 0;  os_rseq_fence(cpu);  ... the stack is the caller's: no sequence is inside, none gets in ...  end = as before
 *
 * `end` is read before `count`, and written after it: who sees the stack open again sees how it was left. With count 0 the
 * word before the slots is `end`, less than any address: no block is equal to it. */
#ifndef ASHLAR_OS_RSEQ_H
#define ASHLAR_OS_RSEQ_H

#include "util/util.h"

#define RSEQ_SPAN_LG 19
#define RSEQ_SPAN    ((size_t)1 << RSEQ_SPAN_LG)

/* As the kernel has it; the C library has one in each thread. */
struct rseq_area {
	uint32_t cpu_start;
	_Atomic(uint32_t)
		cpu; /* where the thread runs; what is no number of a CPU: it has no record [owner thread] */
	uint64_t sequence; /* [owner thread] */
	uint32_t flags;
};

struct rseq_stack {
	_Atomic(uint32_t) end;   /* slots that may be used; 0: closed                 [atomic] */
	_Atomic(uint32_t) count; /* [the sequences; while it is closed, who closed it] */
	void *slots[];
};

/* Distance of the area from the thread pointer. [const after os_rseq_start] */
extern ptrdiff_t rseq_offset;

/* Looks for what all this needs: the C library's areas, and the fence. False: it is not there. */
bool os_rseq_start(void);
/* What a forked child has to do to go on. False: there is no fence from now on. */
bool os_rseq_after_fork(void);
/* Whatever sequence ran on that CPU when this was called has ended or starts anew, and sees what the caller wrote before.
 * False: refused, as by a filter of system calls. */
bool os_rseq_fence(unsigned cpu);
/* CPUs that the machine may have, by number; at least 1. */
unsigned os_cpus_possible(void);

/* The calling thread's. Only after os_rseq_start returned true. */
static inline struct rseq_area *rseq_own_area(void) {
	return (struct rseq_area *)(tls_pointer() + (uintptr_t)rseq_offset);
}

/* Where a sequence begins and ends, and where it goes on when it was disturbed: at its beginning. The number before that
 * address is the C library's: the kernel jumps nowhere else. RSEQ_ENTER(zero) begins one, clears the answer, and leaves the
 * stack's address in `at`; a sequence gives up by a jump to 25, commits right before 23, and ends with RSEQ_LEAVE. */
#define RSEQ_TABLE \
	".pushsection .data.rel.ro.rseq, \"aw\"\n\t" \
	".balign 32\n" \
	"26:\n\t" \
	".long 0, 0\n\t" \
	".quad 22f, 23f - 22f, 24f\n\t" \
	".popsection\n"
#define RSEQ_LEAVE_BY(signature, jump) \
	"25:\n\t" \
	".pushsection .text.rseq_abort, \"ax\"\n\t" signature "\n" \
	"24:\n\t" jump " 21b\n\t" \
	".popsection\n"

#if defined(__x86_64__)

#define RSEQ_KNOWN 1
#define RSEQ_LEAVE RSEQ_LEAVE_BY(".byte 0x0f, 0xb9, 0x3d\n\t.long 0x53053053", "jmp")
#define RSEQ_ENTER(zero) \
	RSEQ_TABLE \
	"21:\n\t" \
	"lea 26b(%%rip), %[at]\n\t" zero "\n\t" \
	"mov %[at], 8(%[area])\n" \
	"22:\n\t" \
	"mov 4(%[area]), %k[at]\n\t" \
	"cmp %[cpus], %k[at]\n\t" \
	"jae 25f\n\t" \
	"shl %[span], %[at]\n\t" \
	"add %[first], %[at]\n\t"

static inline void *rseq_pop_in(struct rseq_area *area, struct rseq_stack *first, unsigned cpus) {
	void *block;
	uintptr_t at, count;
	__asm__ volatile(RSEQ_ENTER("xor %k[block], %k[block]") "cmpl $0, (%[at])\n\t"
	                                                        "je 25f\n\t"
	                                                        "mov 4(%[at]), %k[count]\n\t"
	                                                        "test %k[count], %k[count]\n\t"
	                                                        "je 25f\n\t"
	                                                        "mov (%[at],%[count],8), %[block]\n\t"
	                                                        "dec %k[count]\n\t"
	                                                        "mov %k[count], 4(%[at])\n"
	                                                        "23:\n" RSEQ_LEAVE
	                 : [block] "=&r"(block), [at] "=&r"(at), [count] "=&r"(count)
	                 : [area] "r"(area), [first] "r"(first), [cpus] "r"(cpus), [span] "i"(RSEQ_SPAN_LG)
	                 : "memory", "cc");
	return block;
}

static inline bool rseq_push_in(struct rseq_area *area, struct rseq_stack *first, unsigned cpus,
                                void *block) {
	uint32_t done;
	uintptr_t at, count;
	__asm__ volatile(RSEQ_ENTER("xor %k[done], %k[done]") "mov (%[at]), %k[count]\n\t"
	                                                      "cmp %k[count], 4(%[at])\n\t"
	                                                      "jae 25f\n\t"
	                                                      "mov 4(%[at]), %k[count]\n\t"
	                                                      "cmp %[block], (%[at],%[count],8)\n\t"
	                                                      "je 25f\n\t"
	                                                      "mov %[block], 8(%[at],%[count],8)\n\t"
	                                                      "inc %k[count]\n\t"
	                                                      "mov %k[count], 4(%[at])\n"
	                                                      "23:\n\t"
	                                                      "mov $1, %k[done]\n" RSEQ_LEAVE
	                 : [done] "=&r"(done), [at] "=&r"(at), [count] "=&r"(count)
	                 : [area] "r"(area), [first] "r"(first), [cpus] "r"(cpus), [block] "r"(block),
	                   [span] "i"(RSEQ_SPAN_LG)
	                 : "memory", "cc");
	return done != 0;
}

#elif defined(__aarch64__)

#define RSEQ_KNOWN 1
#define RSEQ_LEAVE RSEQ_LEAVE_BY(".inst 0xd428bc00", "b")
#define RSEQ_ENTER(zero) \
	RSEQ_TABLE \
	"21:\n\t" \
	"adrp %[at], 26b\n\t" \
	"add %[at], %[at], :lo12:26b\n\t" zero "\n\t" \
	"str %[at], [%[area], #8]\n" \
	"22:\n\t" \
	"ldr %w[at], [%[area], #4]\n\t" \
	"cmp %w[at], %w[cpus]\n\t" \
	"b.hs 25f\n\t" \
	"add %[at], %[first], %[at], lsl %[span]\n\t"

static inline void *rseq_pop_in(struct rseq_area *area, struct rseq_stack *first, unsigned cpus) {
	void *block;
	uintptr_t at, count;
	__asm__ volatile(RSEQ_ENTER("mov %[block], #0") "ldar %w[count], [%[at]]\n\t"
	                                                "cbz %w[count], 25f\n\t"
	                                                "ldr %w[count], [%[at], #4]\n\t"
	                                                "cbz %w[count], 25f\n\t"
	                                                "ldr %[block], [%[at], %[count], lsl #3]\n\t"
	                                                "sub %w[count], %w[count], #1\n\t"
	                                                "str %w[count], [%[at], #4]\n"
	                                                "23:\n" RSEQ_LEAVE
	                 : [block] "=&r"(block), [at] "=&r"(at), [count] "=&r"(count)
	                 : [area] "r"(area), [first] "r"(first), [cpus] "r"(cpus), [span] "i"(RSEQ_SPAN_LG)
	                 : "memory", "cc");
	return block;
}

/* The commit is a release: who reads `count` from elsewhere finds the slots below it written. */
static inline bool rseq_push_in(struct rseq_area *area, struct rseq_stack *first, unsigned cpus,
                                void *block) {
	uint64_t done;
	uintptr_t at, count, slot, top;
	__asm__ volatile(RSEQ_ENTER("mov %[done], #0") "ldar %w[slot], [%[at]]\n\t"
	                                               "ldr %w[count], [%[at], #4]!\n\t"
	                                               "cmp %w[count], %w[slot]\n\t"
	                                               "b.hs 25f\n\t"
	                                               "add %[slot], %[at], %[count], lsl #3\n\t"
	                                               "ldur %[top], [%[slot], #-4]\n\t"
	                                               "cmp %[top], %[block]\n\t"
	                                               "b.eq 25f\n\t"
	                                               "stur %[block], [%[slot], #4]\n\t"
	                                               "add %w[count], %w[count], #1\n\t"
	                                               "stlr %w[count], [%[at]]\n"
	                                               "23:\n\t"
	                                               "mov %[done], #1\n" RSEQ_LEAVE
	                 : [done] "=&r"(done), [at] "=&r"(at), [count] "=&r"(count), [slot] "=&r"(slot),
	                   [top] "=&r"(top)
	                 : [area] "r"(area), [first] "r"(first), [cpus] "r"(cpus), [block] "r"(block),
	                   [span] "i"(RSEQ_SPAN_LG)
	                 : "memory", "cc");
	return done != 0;
}

#else

static inline void *rseq_pop_in(struct rseq_area *area, struct rseq_stack *first, unsigned cpus) {
	(void)area, (void)first, (void)cpus;
	return NULL;
}

static inline bool rseq_push_in(struct rseq_area *area, struct rseq_stack *first, unsigned cpus,
                                void *block) {
	(void)area, (void)first, (void)cpus, (void)block;
	return false;
}

#endif

/* ThreadSanitizer does not see what the sequences order. It is told by the address of slots: that of `end` is stored to, which
 * makes it forget. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RSEQ_TOLD 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define RSEQ_TOLD 1
#endif
#ifdef RSEQ_TOLD
void __tsan_acquire(void *address); /* NOLINT(bugprone-reserved-identifier) */
void __tsan_release(void *address); /* NOLINT(bugprone-reserved-identifier) */
#else
#define __tsan_acquire(address) ((void)0)
#define __tsan_release(address) ((void)0)
#endif

/* To be said after a fence, before looking at what the stack of any CPU, `first` being that of CPU 0, has got. */
static inline void rseq_fenced(struct rseq_stack *first) {
	(void)first;
	__tsan_acquire(first->slots);
}

/* The calling CPU's stack, where `first` is that of CPU 0 and there are `cpus` of them: its last block, or NULL. */
static inline void *rseq_pop(struct rseq_stack *first, unsigned cpus) {
	void *block = rseq_pop_in(rseq_own_area(), first, cpus);
	__tsan_acquire(first->slots);
	return block;
}

/* False, and nothing was done: it is full, closed or not there; or the block is its last one already. */
static inline bool rseq_push(struct rseq_stack *first, unsigned cpus, void *block) {
	__tsan_release(first->slots);
	return rseq_push_in(rseq_own_area(), first, cpus, block);
}

#endif
