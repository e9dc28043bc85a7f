/* dump.c - when a profile is written, and where to. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena/arena.h"
#include "ctl/ctl.h"
#include "guard/guard.h"
#include "os/os.h"
#include "thread/event.h"
#include "thread/thread.h"
#include "prof/inside.h"

static struct lock name_lock = LOCK_INITIALIZER(RANK_CTL);
static char prefix[PATH_MAX];                    /* [name_lock] */
static bool prefix_set;                          /* [name_lock] else the option's */
static _Atomic(uint64_t) next_dump;              /* [atomic] over all names */
static _Atomic(uint64_t) next_of[DUMP_TRIGGERS]; /* [atomic] */
static _Atomic(uint64_t) allocated, interval;    /* [atomic] bytes; 0: no such dumps */
static _Atomic(bool) high_water;                 /* [atomic] dump each new height? */
static _Atomic(size_t) highest;                  /* [atomic] bytes of active pages */
static _Atomic(bool) requested;                  /* [atomic] by a signal */
static _Atomic(prof_dumped *) dumped;            /* [atomic] */
static _Atomic(bool) ending;                     /* [atomic] */

/* -- names ----------------------------------------------------------------------------------------------------- */

void prof_set_prefix(const char *wanted) {
	lock_take(&name_lock);
	size_t length = strnlen(wanted, sizeof prefix - 1);
	memcpy(prefix, wanted, length);
	prefix[length] = 0;
	prefix_set = true;
	lock_drop(&name_lock);
}

enum named { NAME_NONE, NAME_TOO_LONG, NAME_MADE };

/* False: the program wants no names made up for it. */
static bool begin_name(struct text *text) {
	char space[64];
	lock_take(&name_lock);
	const char *start = prefix_set ? prefix : opt.prof_prefix.text;
	text_add(text, "%s", start);
	bool any = *start != 0;
	lock_drop(&name_lock);
	if (opt.prof_pid_namespace && os_read_link("/proc/self/ns/pid", space, sizeof space)) {
		const char *number = strchr(space, '[');
		if (number != NULL)
			text_add(text, ".%.*s", (int)strspn(number + 1, "0123456789"), number + 1);
	}
	text_add(text, ".%u", os_process_id());
	return any;
}

bool dump_name_log(char name[PATH_MAX]) {
	static _Atomic(uint64_t) next_log;
	struct text text = text_over(name, PATH_MAX);
	if (!begin_name(&text))
		return false;
	text_add(&text, ".%lu.json", add_relaxed(&next_log, 1));
	return !text.cut;
}

static enum named make_name(char name[PATH_MAX], enum dump_trigger trigger) {
	struct text text = text_over(name, PATH_MAX);
	if (!begin_name(&text))
		return NAME_NONE;
	text_add(&text, ".%lu.%c", add_relaxed(&next_dump, 1), "fimu"[trigger]);
	if (trigger != DUMP_FINAL)
		text_add(&text, "%lu", add_relaxed(&next_of[trigger], 1));
	text_add(&text, opt_now(prof_format) == PROF_FORMAT_PROTO ? ".pb" : ".heap");
	return text.cut ? NAME_TOO_LONG : NAME_MADE;
}

/* -- writing --------------------------------------------------------------------------------------------------- */

/* In memory of its own: who dumps may have a small stack. */
struct room {
	struct output out;
	char name[PATH_MAX];
};

static int dump_to(struct output *out) {
	struct view view;
	bool proto = opt_now(prof_format) == PROF_FORMAT_PROTO;
	if (!view_make(&view, proto))
		return ENOMEM;
	int error = 0;
	if (proto)
		error = dump_proto(out, &view);
	else
		dump_text(out, &view);
	view_end(&view);
	return error != 0 ? error : output_end(out);
}

enum dump_result { DUMP_DONE, DUMP_NOT_OPENED, DUMP_NOT_WRITTEN };

static enum dump_result dump_to_file(struct room *room, const char *name) {
	int file = os_create(name);
	if (file < 0)
		return DUMP_NOT_OPENED;
	room->out.file = file;
	int error = dump_to(&room->out);
	os_close(file);
	if (error != 0)
		return DUMP_NOT_WRITTEN;
	prof_dumped *call = load_relaxed(&dumped);
	if (call != NULL)
		call(name);
	return DUMP_DONE;
}

/* Whoever comes here again, from a function of the program's that a dump calls, is suspended already. */
static int dump_as(enum dump_trigger trigger, const char *name) {
	int saved = errno;
	void *was = event_suspend();
	struct room *room = pages_take(sizeof *room);
	enum named named = room == NULL || name != NULL ? NAME_MADE : make_name(room->name, trigger);
	enum dump_result result = DUMP_NOT_OPENED;
	if (room == NULL)
		result = DUMP_NOT_WRITTEN;
	else if (named == NAME_MADE)
		result = dump_to_file(room, name != NULL ? name : room->name);
	event_resume(was);
	errno = saved;
	if (named != NAME_NONE && trigger != DUMP_ASKED && result == DUMP_NOT_OPENED)
		guard_warn("<ashlar>: failed to open \"%s\"\n", room->name);
	if (named != NAME_NONE && trigger != DUMP_ASKED && result == DUMP_NOT_WRITTEN)
		guard_warn("<ashlar>: failed to write during heap profile flush\n");
	if (room != NULL)
		pages_give(room, sizeof *room);
	return result == DUMP_DONE ? 0 : EFAULT;
}

int prof_dump(const char *name) {
	return dump_as(DUMP_ASKED, name);
}

static int dump_through(int file, prof_writer *write, void *opaque) {
	void *was = event_suspend();
	struct room *room = pages_take(sizeof *room);
	int error = ENOMEM;
	if (room != NULL) {
		room->out.file = file;
		room->out.call = write;
		room->out.opaque = opaque;
		error = dump_to(&room->out);
		pages_give(room, sizeof *room);
	}
	event_resume(was);
	return error;
}

int prof_dump_to_file(int file) {
	return dump_through(file, NULL, NULL);
}

int prof_dump_to_call(prof_writer *write, void *opaque) {
	return dump_through(-1, write, opaque);
}

prof_dumped *prof_dump_hook(void) {
	return load_relaxed(&dumped);
}

void prof_set_dump_hook(prof_dumped *call) {
	store_relaxed(&dumped, call);
}

/* -- triggers: looked at whenever a sample was taken --------------------------------------------------------------- */

uint64_t prof_interval(void) {
	return load_relaxed(&interval);
}

bool prof_gdump(void) {
	return load_relaxed(&high_water);
}

void prof_set_gdump(bool wanted) {
	store_relaxed(&high_water, wanted);
}

/* Each sample stands for some bytes of those allocated: their sum is what was allocated, roughly. */
static bool comes_by_interval(uint64_t bytes) {
	uint64_t every = load_relaxed(&interval);
	if (every == 0)
		return false;
	uint64_t before = add_relaxed(&allocated, bytes);
	return before / every != (before + bytes) / every;
}

/* A new height counts when it is a little higher than the last: else a program that grows would do nothing but dump. */
static bool comes_by_height(void) {
	if (!load_relaxed(&high_water))
		return false;
	size_t active = arena_read_stats().active, most = load_relaxed(&highest);
	while (active > most && (most == 0 || active - most >= opt.prof_gdump_growth))
		if (cas_acq_rel(&highest, &most, active))
			return true;
	return false;
}

/* In a signal handler: the thread that was interrupted looks when it next comes to the full lane, the others when they
 * next take a sample. */
static void request(int number) {
	struct cache *cache = thread_self();
	(void)number;
	store_relaxed(&requested, true);
	if (cache != NULL)
		store_relaxed(&cache->attend, true);
}

void dump_consider(uint64_t bytes) {
	if (load_relaxed(&ending))
		return;
	if (comes_by_interval(bytes))
		(void)dump_as(DUMP_INTERVAL, NULL);
	if (comes_by_height())
		(void)dump_as(DUMP_HEIGHT, NULL);
	prof_attend();
}

void prof_attend(void) {
	if (unlikely(load_relaxed(&requested)) && prof_known() && swap_acq_rel(&requested, false))
		(void)dump_as(DUMP_ASKED, NULL);
}

STARTUP void dump_start(void) {
	store_relaxed(&interval, opt.lg_prof_interval < 0 ? 0 : (uint64_t)1 << opt.lg_prof_interval);
	store_relaxed(&high_water, opt.prof_gdump);
}

/* -- the end --------------------------------------------------------------------------------------------------- */

static const char *plural(uint64_t count) {
	return count == 1 ? "" : "s";
}

/* Live samples, as what they stand for. */
static void report_leaks(void) {
	struct view view;
	if (!view_make(&view, false))
		return;
	uint64_t contexts = 0, bytes = view.live.weighed, objects = (view.live.eighths + 4) / 8;
	void **counted = NULL; /* sites of a stack lie together */
	for (const struct view_site *site = view.site; site < view.site + view.sites; site++) {
		if (site->live.objects == 0 || site->frames == counted)
			continue;
		counted = site->frames;
		contexts++;
	}
	view_end(&view);
	if (contexts == 0)
		return;
	guard_message("<ashlar>: Leak approximation summary: ~%lu byte%s, ~%lu object%s, >= %lu context%s\n",
	              bytes, plural(bytes), objects, plural(objects), contexts, plural(contexts));
	guard_message("<ashlar>: Run jeprof on dump output for leak detail\n");
	if (opt.prof_leak_error) {
		guard_message("<ashlar>: Exiting with error code because memory leaks were detected\n");
		_exit(1);
	}
}

STARTUP static void at_exit(void *unused) {
	(void)unused;
	log_end();
	if (!opt.prof_final || !prof_known())
		return;
	store_relaxed(&ending, true);
	(void)dump_as(DUMP_FINAL, NULL);
	if (opt.prof_leak) {
		void *was = event_suspend();
		report_leaks();
		event_resume(was);
	}
}

STARTUP void dump_at_load(void) {
	if (opt.prof_dump_signal != 0 && os_on_signal((int)opt.prof_dump_signal, request) != 0)
		guard_warn("<ashlar>: prof_dump_signal: signal %u is not free\n", opt.prof_dump_signal);
	if (!os_at_exit(at_exit)) /* whatever the options say: a log may be begun at any time */
		guard_warn("<ashlar>: Error in atexit()\n");
}
