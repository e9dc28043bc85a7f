/* compat.c - the GNU C library's calls about its heap, answered with figures of this one. */
#include "ctl/ctl.h"
#include "thread/thread.h"
#include "api/api.h"

#include <errno.h>

/* -- giving back, tuning --------------------------------------------------------------------------------- */

EXPORT int malloc_trim(size_t pad) {
	int saved = errno;
	(void)pad;
	bool given = thread_start() && thread_trim() > 0;
	errno = saved;
	return given;
}

/* glibc's numbers; other C libraries do not name them. */
enum parameter {
	PARAMETER_MXFAST = 1,
	PARAMETER_ARENA_MAX = -8,
	PARAMETER_TRIM_THRESHOLD = -1,
};

EXPORT int mallopt(int parameter, int value) {
	(void)value;
	return parameter == PARAMETER_MXFAST ||
	       (parameter >= PARAMETER_ARENA_MAX && parameter <= PARAMETER_TRIM_THRESHOLD);
}

/* -- figures --------------------------------------------------------------------------------------------- */

/* Free blocks of a class in slabs. */
static size_t free_blocks(unsigned class, const struct ctl_class *figures) {
	size_t all = figures->slabs * class_info[class].regions;
	return all - size_min(all, figures->blocks);
}

static size_t all_free_blocks(void) {
	size_t sum = 0;
	for (unsigned class = 1; class <= CLASS_SMALL_LAST; class ++) {
		struct ctl_class figures = ctl_read_class(class);
		sum += free_blocks(class, &figures);
	}
	return sum;
}

EXPORT struct mallinfo2 mallinfo2(void) {
	if (!thread_start())
		return (struct mallinfo2){0};
	struct ctl_class huge = ctl_read_huge();
	struct ctl_figures heap = ctl_read_figures();
	size_t arena = heap.active + heap.unused, live = heap.live;
	arena -= size_min(arena, huge.bytes);
	live -= size_min(live, huge.bytes);
	return (struct mallinfo2){
		.arena = arena,
		.ordblks = all_free_blocks(),
		.hblks = huge.blocks,
		.hblkhd = huge.bytes,
		.fsmblks = heap.cached,
		.uordblks = live,
		.fordblks = arena - size_min(arena, live),
		.keepcost = heap.unused,
	};
}

static int as_int(size_t value) {
	return (int)size_min(value, INT_MAX);
}

EXPORT struct mallinfo mallinfo(void) {
	struct mallinfo2 wide = mallinfo2();
	return (struct mallinfo){
		.arena = as_int(wide.arena),
		.ordblks = as_int(wide.ordblks),
		.hblks = as_int(wide.hblks),
		.hblkhd = as_int(wide.hblkhd),
		.fsmblks = as_int(wide.fsmblks),
		.uordblks = as_int(wide.uordblks),
		.fordblks = as_int(wide.fordblks),
		.keepcost = as_int(wide.keepcost),
	};
}

/* -- reports --------------------------------------------------------------------------------------------- */

/* glibc's elements, and for each class in use one of our own. The stream may allocate while we write. */
static void put_sizes(FILE *file) {
	fputs("<sizes>\n", file);
	for (unsigned class = 1; class <= CLASS_SMALL_LAST; class ++) {
		struct ctl_class figures = ctl_read_class(class);
		size_t count = free_blocks(class, &figures),
		       from = class == 1 ? 0 : class_info[class - 1].bytes + 1;
		if (count > 0)
			fprintf(file, "  <size from=\"%zu\" to=\"%zu\" total=\"%zu\" count=\"%zu\"/>\n", from,
			        figures.size, count * figures.size, count);
	}
	fputs("</sizes>\n<classes>\n", file);
	for (unsigned class = 1; class <= CLASS_LAST; class ++) {
		struct ctl_class figures = ctl_read_class(class);
		if (figures.blocks > 0)
			fprintf(file, "  <class size=\"%zu\" blocks=\"%zu\" bytes=\"%zu\" pages=\"%zu\"/>\n",
			        figures.size, figures.blocks, figures.bytes, figures.room);
	}
	fputs("</classes>\n", file);
}

EXPORT int malloc_info(int options, FILE *file) {
	if (options != 0)
		return EINVAL;
	struct mallinfo2 info = mallinfo2();
	struct ctl_figures heap = ctl_read_figures();
	fputs("<malloc version=\"1\">\n<heap nr=\"0\">\n", file);
	put_sizes(file);
	fprintf(file, "<total type=\"fast\" count=\"0\" size=\"%zu\"/>\n", info.fsmblks);
	fprintf(file, "<total type=\"rest\" count=\"%zu\" size=\"%zu\"/>\n", info.ordblks, heap.slab_free);
	fprintf(file, "<system type=\"current\" size=\"%zu\"/>\n</heap>\n", heap.resident);
	fprintf(file, "<total type=\"mmap\" count=\"%zu\" size=\"%zu\"/>\n", info.hblks, info.hblkhd);
	fprintf(file, "<system type=\"current\" size=\"%zu\"/>\n", heap.resident);
	fprintf(file, "<aspace type=\"total\" size=\"%zu\"/>\n", heap.mapped + heap.retained);
	fprintf(file, "<live size=\"%zu\"/>\n<unused size=\"%zu\"/>\n</malloc>\n", heap.live, heap.unused);
	return ferror(file) ? EIO : 0;
}

EXPORT void malloc_stats(void) {
	if (thread_start())
		ctl_print_summary(NULL, NULL);
}
