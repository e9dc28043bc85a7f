/* stack.c - who called? Three ways to tell, chosen while the program runs.
 *
 *   dwarf    by the tables of exceptions: right for whatever was compiled with them. Simple frames by walk.c; stacks with
 *            others by the C runtime's own unwinder, which is looked up when profiling is first switched on, not linked
 *            with, and takes no lock where both it and the C library can find tables without (glibc 2.35, gcc 12); it may
 *            take that of the loader elsewhere, which is why no lock of ours is held
 *   frame    the chain of frame pointers, for programs that were compiled with them. A link is followed only upwards, by
 *            STEP_MAX at most, and only into memory that can be read
 *   a function of the program's
 *
 * What they find begins inside this library; those callers are left out. */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <link.h>
#include <string.h>
#include <unwind.h>

#include "ctl/ctl.h"
#include "os/os.h"
#include "thread/event.h"
#include "prof/inside.h"

#define PATH "libgcc_s.so.1"

/* Not there in every program: static ones may do without both. */
#pragma weak _Unwind_Backtrace
#pragma weak _Unwind_GetIP
#pragma weak dlopen
#pragma weak dlsym

/* Around our functions where they are part of a program's own file; the linker makes these. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));
extern const char __start_ashlar_text[] __attribute__((weak, visibility("hidden")));
extern const char __stop_ashlar_text[] __attribute__((weak, visibility("hidden")));

typedef _Unwind_Reason_Code walk_function(_Unwind_Trace_Fn step, void *argument);
typedef _Unwind_Ptr ip_function(struct _Unwind_Context *context);

static ip_function *read_ip;             /* [const once walk is set] */
static _Atomic(uintptr_t) walk;          /* [acquire/release] walk_function *; 0: there is none */
static uintptr_t own_start, own_end;     /* of our functions    [const once there are samples] */
static _Atomic(bool) forked;             /* [atomic] in this process, or by one before it */
static _Atomic(prof_backtrace *) reader; /* [atomic] NULL: the one below */

/* -- what to leave out ----------------------------------------------------------------------------------------- */

/* No lock of the loader's is taken for it: see dump_proto.c. */
void stack_start(void) {
	uintptr_t base = (uintptr_t)&__ehdr_start;
	const ElfW(Phdr) *part = (const ElfW(Phdr) *)(base + __ehdr_start.e_phoff);
	own_start = (uintptr_t)__start_ashlar_text;
	own_end = (uintptr_t)__stop_ashlar_text;
	for (unsigned i = 0; own_start == 0 && i < __ehdr_start.e_phnum; i++) {
		uintptr_t start = base + part[i].p_vaddr;
		if (part[i].p_type != PT_LOAD || (uintptr_t)stack_read - start >= part[i].p_memsz)
			continue;
		own_start = start;
		own_end = start + part[i].p_memsz;
	}
}

/* Takes frames of ours off the front, unless there are no others: then there is no telling them apart. */
static unsigned strip(void **frames, unsigned depth) {
	unsigned own = 0;
	while (own < depth && (uintptr_t)frames[own] - own_start < own_end - own_start)
		own++;
	if (own == depth)
		return depth;
	memmove(frames, frames + own, (depth - own) * sizeof *frames);
	return depth - own;
}

/* -- memory ---------------------------------------------------------------------------------------------------- */

bool stack_is_readable(uintptr_t at, struct extent *known) {
	if (at < known->start)
		return false;
	while (at >= known->end && os_readable((const void *)known->end))
		known->end += PAGE;
	return at < known->end;
}

void stack_begin(uintptr_t at, struct extent *known) {
	if (at - known->start < known->end - known->start)
		return;
	known->start = round_down(at, PAGE);
	known->end = known->start + PAGE;
}

/* -- dwarf ----------------------------------------------------------------------------------------------------- */

struct walk {
	void **frames;
	unsigned used, most;
};

static _Unwind_Reason_Code note_frame(struct _Unwind_Context *context, void *argument) {
	struct walk *state = argument;
	uintptr_t ip = read_ip(context);
	if (ip == 0 || state->used == state->most)
		return _URC_END_OF_STACK;
	state->frames[state->used++] = (void *)ip;
	return _URC_NO_REASON;
}

static unsigned read_by_dwarf(walk_function *function, void **frames, unsigned most) {
	struct walk state = {frames, 0, most};
	(void)function(note_frame, &state);
	return state.used;
}

void stack_after_fork(void) {
	store_relaxed(&forked, true);
}

/* In a child a lock of the loader's may be taken for good, by a thread of the parent that was loading something: it does
 * without what is not there. */
static void find_runtime(void) {
	walk_function *function = _Unwind_Backtrace;
	ip_function *ip = _Unwind_GetIP;
	bool may_load = !load_relaxed(&forked) && dlopen != NULL && dlsym != NULL;
	if ((function == NULL || ip == NULL) && may_load) {
		static void *runtime; /* stays */
		runtime = dlopen(PATH, RTLD_LAZY | RTLD_LOCAL);
		if (runtime == NULL)
			return;
		*(void **)&function = dlsym(runtime, "_Unwind_Backtrace");
		*(void **)&ip = dlsym(runtime, "_Unwind_GetIP");
	}
	if (function == NULL || ip == NULL)
		return;
	read_ip = ip;
	store_release(&walk, (uintptr_t)function);
}

void stack_prepare(void) {
	if (load_acquire(&walk) != 0)
		return;
	void *was = event_suspend();
	find_runtime();
	event_resume(was);
}

/* -- frame pointers -------------------------------------------------------------------------------------------- */

struct frame {
	const struct frame *up;
	void *back;
};

/* Each page is asked for once a walk, not remembered for longer: what a chain leads to need not be a stack. */
static bool is_readable(const struct frame *frame, uintptr_t *page) {
	for (uintptr_t at = (uintptr_t)frame; at <= (uintptr_t)&frame->back; at += sizeof(void *)) {
		if (round_down(at, PAGE) == *page)
			continue;
		if (!os_readable((const void *)at))
			return false;
		*page = round_down(at, PAGE);
	}
	return true;
}

__attribute__((no_sanitize("address"))) static unsigned read_by_frames(void **frames, unsigned most) {
	const struct frame *frame = __builtin_frame_address(0);
	uintptr_t page = 0;
	unsigned used = 0;
	while (used < most && is_readable(frame, &page) && frame->back != NULL) {
		frames[used++] = frame->back;
		const struct frame *up = frame->up;
		uintptr_t step = (uintptr_t)up - (uintptr_t)frame; /* downwards: a very large one */
		if (step < sizeof *frame || step > STEP_MAX || step % sizeof(void *) != 0)
			break;
		frame = up;
	}
	return used;
}

/* -- all of them ----------------------------------------------------------------------------------------------- */

#if ASHLAR_DEBUG >= 2
#define AUDIT_STACK (12 * KIB) /* what the audit and the runtime's unwinder need */

/* Is there room on this stack, before its guard page? */
static bool has_room(void) {
	const char *here = __builtin_frame_address(0);
	for (size_t below = PAGE; below <= AUDIT_STACK; below += PAGE)
		if (!os_readable(here - below))
			return false;
	return true;
}

/* What was walked is what the runtime finds. */
static NOINLINE void compare(walk_function *function, void **walked, unsigned length, unsigned most) {
	void *frames[DEPTH_MAX + OWN_MAX] = {NULL}, *copy[DEPTH_MAX + OWN_MAX] = {NULL};
	memcpy(copy, walked, length * sizeof *copy);
	bool cut = length == most;
	unsigned found = read_by_dwarf(function, frames, most);
	unsigned other = strip(frames, found), own = strip(copy, length);
	unsigned common = cut || other > own ? (unsigned)size_min(own, other) : own;
	must(cut || own == other, walked);
	must(memcmp(copy, frames, common * sizeof *copy) == 0, walked);
}

static void audit_walk(walk_function *function, void **walked, unsigned length, unsigned most) {
	if (has_room())
		compare(function, walked, length, most);
}
#endif

static void read_own(struct trace *trace, unsigned *length, unsigned most, struct extent *known,
                     const struct prof_thread *finder) {
	walk_function *function = (walk_function *)load_acquire(&walk);
	bool by_tables = opt_now(prof_unwinder) == PROF_UNWINDER_DWARF;
	*length = by_tables ? walk_read(trace->frames, most, known, trace, finder) : 0;
	if (trace->site != NULL)
		return;
	if (*length != 0) {
		if (function != NULL && !trace->cut)
			audit(audit_walk(function, trace->frames, *length, most));
		return;
	}
	trace->path.words = 0;
	if (by_tables && function != NULL)
		*length = read_by_dwarf(function, trace->frames, most);
	else
		*length = read_by_frames(trace->frames, most);
}

/* What experimental.hooks.prof_backtrace reads at first. */
static void read_default(void **frames, unsigned *length, unsigned most) {
	struct extent known = {0, 0};
	struct trace trace = {.site = NULL};
	read_own(&trace, length, (unsigned)size_min(most, DEPTH_MAX + OWN_MAX), &known, NULL);
	memcpy(frames, trace.frames, *length * sizeof *frames);
}

prof_backtrace *prof_reader(void) {
	prof_backtrace *function = load_relaxed(&reader);
	return function == NULL ? read_default : function;
}

void prof_set_reader(prof_backtrace *function) {
	store_relaxed(&reader, function);
}

/* finder: NULL, or the thread, where its paths are to be looked at. */
ALWAYS_INLINE void read_stack(struct trace *trace, struct prof_thread *thread,
                              const struct prof_thread *finder) {
	unsigned length = 0, most = opt.prof_bt_max;
	prof_backtrace *function = prof_reader();
	trace->site = NULL;
	trace->path.words = 0;
	if (function == read_default && thread != NULL)
		read_own(trace, &length, most + OWN_MAX, &thread->known, finder);
	else
		function(trace->frames, &length, most + OWN_MAX);
	if (trace->site != NULL)
		return;
	length = strip(trace->frames, (unsigned)size_min(length, most + OWN_MAX));
	if (length == 0)
		trace->frames[length++] = (void *)(uintptr_t)stack_read; /* it is not known */
	trace->depth = (unsigned)size_min(length, most);
}

NOINLINE void stack_read(struct trace *trace, struct prof_thread *thread) {
	read_stack(trace, thread, NULL);
}

#if ASHLAR_DEBUG >= 2
/* What was found again is what is there; whatever prof_unwinder says by now. */
static void audit_site(const struct site *site, const struct prof_thread *thread) {
	struct trace trace;
	struct extent known = thread->known;
	unsigned most = opt.prof_bt_max,
		 length = walk_read(trace.frames, most + OWN_MAX, &known, &trace, NULL);
	if (length == 0)
		return;
	trace.depth = (unsigned)size_min(strip(trace.frames, length), most);
	must(trace.depth == site->stack->depth, site);
	must(memcmp(trace.frames, site->stack->frames, trace.depth * sizeof *trace.frames) == 0, site);
}
#endif

NOINLINE void stack_find(struct trace *trace, struct prof_thread *thread) {
	read_stack(trace, thread, thread);
	if (trace->site != NULL)
		audit(audit_site(trace->site, thread));
}
