/* dump_text.c - heap profiles as text, in the format "heap_v2" that jeprof and pprof read; and in that of gperftools, whose
 * own pprof knows no other.
 *
 *   heap_v2/<mean bytes between samples>
 *     t*: objects: bytes [objects: bytes]              all threads; in brackets with those freed since, or 0
 *     t<uid>: ... name                                 each thread
 *   @ 0x<caller> 0x<its caller> ...                    each stack, with the same two kinds of lines
 *   MAPPED_LIBRARIES: and what the system says is mapped
 *
 * Readers multiply a line of n objects and s bytes by 1 / (1 - e^(-(s / n) / R)), which is right only where all objects
 * of the line have one size. So lines contain, unless the option prof_unbias is false, the numbers that become right
 * by it: with C objects and S bytes estimated, x = S / C, they are s = S * (1 - e^(-x / R)) and n = s / x. */
#include "ctl/ctl.h"
#include "os/os.h"
#include "prof/inside.h"

struct pair {
	uint64_t objects, bytes;
};

static struct pair pair_of(const struct prof_counts *counts, double mean) {
	if (!opt.prof_unbias)
		return (struct pair){counts->objects, counts->bytes};
	if (counts->eighths == 0 || counts->weighed == 0)
		return (struct pair){0, 0};
	double size = (double)counts->weighed * 8 / (double)counts->eighths;
	double bytes = (double)counts->weighed * arith_part(size / mean);
	return (struct pair){(uint64_t)(bytes / size + 0.5), (uint64_t)(bytes + 0.5)};
}

static bool is_shown(const struct prof_counts *live, const struct prof_counts *all) {
	return live->objects != 0 || (opt.prof_accum && all->objects != 0);
}

static void put_counts(struct output *out, const struct prof_counts *live, const struct prof_counts *all,
                       double mean) {
	struct pair now = pair_of(live, mean), ever = {0, 0};
	if (opt.prof_accum)
		ever = pair_of(all, mean);
	output_text(out, ": %lu: %lu [%lu: %lu]", now.objects, now.bytes, ever.objects, ever.bytes);
}

static void put_head(struct output *out, const struct view *view, double mean) {
	output_text(out, "heap_v2/%lu\n  t*", (uint64_t)mean);
	put_counts(out, &view->live, &view->all, mean);
	output_text(out, "\n");
	for (size_t i = 0; i < view->threads; i++) {
		const struct view_thread *thread = &view->thread[i];
		if (!is_shown(&thread->live, &thread->all))
			continue;
		output_text(out, "  t%lu", thread->uid);
		put_counts(out, &thread->live, &thread->all, mean);
		output_text(out, thread->name[0] != 0 ? " %s\n" : "\n", thread->name);
	}
}

static void add_sites(const struct view_site *from, const struct view_site *to, struct prof_counts *live,
                      struct prof_counts *all) {
	for (const struct view_site *site = from; site < to; site++) {
		counts_add(live, &site->live);
		counts_add(all, &site->all);
	}
}

static void put_frames(struct output *out, const struct view_site *site) {
	for (unsigned i = 0; i < site->depth; i++)
		output_text(out, " 0x%lx", (uintptr_t)site->frames[i]);
	output_text(out, "\n");
}

/* Those of one thread in several arenas become one: its first. */
static void join_arenas(struct view_site *from, const struct view_site *to) {
	for (struct view_site *site = from; site < to; site++) {
		struct view_thread *thread = site->thread;
		if (thread->first < from) {
			thread->first = site;
			continue;
		}
		counts_add(&thread->first->live, &site->live);
		counts_add(&thread->first->all, &site->all);
		site->live = site->all = (struct prof_counts){0};
	}
}

/* The sites [from, to) of one stack, behind those of the stacks before. */
static void put_stack(struct output *out, struct view_site *from, const struct view_site *to, double mean) {
	struct prof_counts live = {0}, all = {0};
	add_sites(from, to, &live, &all);
	if (!is_shown(&live, &all))
		return;
	output_text(out, "@");
	put_frames(out, from);
	output_text(out, "  t*");
	put_counts(out, &live, &all, mean);
	output_text(out, "\n");
	join_arenas(from, to);
	for (const struct view_site *site = from; site < to; site++) {
		if (!is_shown(&site->live, &site->all))
			continue;
		output_text(out, "  t%lu", site->thread->uid);
		put_counts(out, &site->live, &site->all, mean);
		output_text(out, "\n");
	}
}

/* -- as gperftools writes it: one line a stack, no threads ----------------------------------------------------------- */

static void put_short_counts(struct output *out, const struct prof_counts *live,
                             const struct prof_counts *all, double mean) {
	struct pair now = pair_of(live, mean), ever = now;
	if (opt.prof_accum)
		ever = pair_of(all, mean);
	output_text(out, "%lu: %lu [%lu: %lu] @", now.objects, now.bytes, ever.objects, ever.bytes);
}

static void put_short_stack(struct output *out, const struct view_site *from, const struct view_site *to,
                            double mean) {
	struct prof_counts live = {0}, all = {0};
	add_sites(from, to, &live, &all);
	if (!is_shown(&live, &all))
		return;
	put_short_counts(out, &live, &all, mean);
	put_frames(out, from);
}

static void put_short_head(struct output *out, const struct view *view, double mean) {
	output_text(out, "heap profile: ");
	put_short_counts(out, &view->live, &view->all, mean);
	output_text(out, " heap_v2/%lu\n", (uint64_t)mean);
}

/* -- both ------------------------------------------------------------------------------------------------------------ */

static void put_maps(struct output *out) {
	char path[64];
	size_t got;
	struct text text = text_over(path, sizeof path);
	text_add(&text, "/proc/%u/task/%u/maps", os_process_id(), os_process_id());
	int file = os_open(path);
	if (file < 0)
		file = os_open("/proc/self/maps");
	if (file < 0)
		return;
	output_text(out, "\nMAPPED_LIBRARIES:\n");
	(void)output_end(out); /* its room is free now */
	while ((got = os_read(file, out->data, sizeof out->data - 1)) != 0) {
		out->used = got;
		(void)output_end(out);
	}
	os_close(file);
}

void dump_text(struct output *out, struct view *view) {
	double mean = (double)((uint64_t)1 << prof_lg_sample());
	bool brief = opt_now(prof_format) == PROF_FORMAT_GPERFTOOLS;
	size_t end;
	(brief ? put_short_head : put_head)(out, view, mean);
	for (size_t at = 0; at < view->sites; at = end) {
		for (end = at + 1; end < view->sites && view->site[end].frames == view->site[at].frames;)
			end++;
		if (brief)
			put_short_stack(out, view->site + at, view->site + end, mean);
		else
			put_stack(out, view->site + at, view->site + end, mean);
	}
	put_maps(out);
}
