/* print_tables.c - the tables of the text report.
 *
 * A table is a list of cells: a title, a width, and how its value is found. Classes in which nothing ever was are left out;
 * a line with --- stands for them. */
#include "ctl/print.h"
#include "ctl/snapshot.h"

#include <string.h>

#define CELLS_MAX  40
#define NAME_WIDTH 21

enum cell_kind {
	CELL_FIGURE, /* by its name, in the table's prefix */
	CELL_FIXED,  /* by its name, of the class itself: arenas.bin.<i>.* */
	CELL_RATE,   /* of the figure before, per second */
	CELL_SIZE,   /* of the class */
	CELL_INDEX,
	CELL_BYTES,     /* a figure, times the size */
	CELL_SLAB_SIZE, /* in pages */
	CELL_UTILIZED,
	CELL_ALL_COUNTS, /* sum of every other figure from the third cell on... */
	CELL_ALL_BYTES,  /* ...and from the fourth */
	CELL_REQUESTS,   /* of profiling, where there are such */
	CELL_BLANK
};

struct cell {
	const char *title;
	uint8_t width;
	enum cell_kind kind;
	const char *name;
};

struct table {
	const char *prefix;  /* of figures */
	const char *fixed;   /* of what classes are */
	const char *present; /* the figure that is 0 where nothing ever was */
	const struct cell *cells;
	unsigned count, rows;
	size_t (*size)(size_t row);
};

size_t print_bin_size(size_t row) {
	return class_info[row + 1].bytes;
}

size_t print_large_size(size_t row) {
	return size_of_large_class((unsigned)row);
}

static size_t extent_size(size_t row) {
	return page_class_pages((unsigned)row) * PAGE;
}

#define LOCK_CELLS(in) \
	{"n_lock_ops", 16, CELL_FIGURE, in "num_ops"}, {"(#/sec)", 8, CELL_RATE, NULL}, \
		{"n_waiting", 16, CELL_FIGURE, in "num_wait"}, {"(#/sec)", 8, CELL_RATE, NULL}, \
		{"n_spin_acq", 16, CELL_FIGURE, in "num_spin_acq"}, {"(#/sec)", 8, CELL_RATE, NULL}, \
		{"n_owner_switch", 16, CELL_FIGURE, in "num_owner_switch"}, {"(#/sec)", 8, CELL_RATE, NULL}, \
		{"total_wait_ns", 16, CELL_FIGURE, in "total_wait_time"}, {"(#/sec)", 8, CELL_RATE, NULL}, \
		{"max_wait_ns", 16, CELL_FIGURE, in "max_wait_time"}, { \
		"max_n_thds", 12, CELL_FIGURE, in "max_num_thds" \
	}
#define LOCK_CELL_COUNT 12

static const struct cell lock_cells[] = {LOCK_CELLS("")};
_Static_assert(COUNT_OF(lock_cells) == LOCK_CELL_COUNT, "count them");

static const struct cell bin_cells[] = {
	{"bins:", 20, CELL_SIZE, NULL},
	{"ind", 4, CELL_INDEX, NULL},
	{"allocated", 14, CELL_BYTES, "curregs"},
	{"nmalloc", 14, CELL_FIGURE, "nmalloc"},
	{"(#/sec)", 8, CELL_RATE, NULL},
	{"ndalloc", 14, CELL_FIGURE, "ndalloc"},
	{"(#/sec)", 8, CELL_RATE, NULL},
	{"nrequests", 15, CELL_FIGURE, "nrequests"},
	{"(#/sec)", 10, CELL_RATE, NULL},
	{"prof_live_requested", 21, CELL_REQUESTS, NULL},
	{"prof_live_count", 17, CELL_REQUESTS, NULL},
	{"prof_accum_requested", 21, CELL_REQUESTS, NULL},
	{"prof_accum_count", 17, CELL_REQUESTS, NULL},
	{"nshards", 9, CELL_FIXED, "nshards"},
	{"curregs", 13, CELL_FIGURE, "curregs"},
	{"curslabs", 13, CELL_FIGURE, "curslabs"},
	{"nonfull_slabs", 15, CELL_FIGURE, "nonfull_slabs"},
	{"regs", 5, CELL_FIXED, "nregs"},
	{"pgs", 4, CELL_SLAB_SIZE, "slab_size"},
	{"", 1, CELL_BLANK, NULL},
	{"util", 6, CELL_UTILIZED, NULL},
	{"nfills", 13, CELL_FIGURE, "nfills"},
	{"(#/sec)", 8, CELL_RATE, NULL},
	{"nflushes", 13, CELL_FIGURE, "nflushes"},
	{"(#/sec)", 8, CELL_RATE, NULL},
	{"nslabs", 13, CELL_FIGURE, "nslabs"},
	{"nreslabs", 13, CELL_FIGURE, "nreslabs"},
	{"(#/sec)", 8, CELL_RATE, NULL},
	LOCK_CELLS("mutex."),
};
static const struct cell large_cells[] = {
	{"large:", 20, CELL_SIZE, NULL},
	{"ind", 4, CELL_INDEX, NULL},
	{"allocated", 14, CELL_BYTES, "curlextents"},
	{"nmalloc", 14, CELL_FIGURE, "nmalloc"},
	{"(#/sec)", 8, CELL_RATE, NULL},
	{"ndalloc", 14, CELL_FIGURE, "ndalloc"},
	{"(#/sec)", 8, CELL_RATE, NULL},
	{"nrequests", 15, CELL_FIGURE, "nrequests"},
	{"(#/sec)", 8, CELL_RATE, NULL},
	{"prof_live_requested", 21, CELL_REQUESTS, NULL},
	{"prof_live_count", 17, CELL_REQUESTS, NULL},
	{"prof_accum_requested", 21, CELL_REQUESTS, NULL},
	{"prof_accum_count", 17, CELL_REQUESTS, NULL},
	{"curlextents", 13, CELL_FIGURE, "curlextents"},
};
static const struct cell extent_cells[] = {
	{"extents:", 20, CELL_SIZE, NULL},           {"ind", 4, CELL_INDEX, NULL},
	{"ndirty", 13, CELL_FIGURE, "ndirty"},       {"dirty", 13, CELL_FIGURE, "dirty_bytes"},
	{"nmuzzy", 13, CELL_FIGURE, "nmuzzy"},       {"muzzy", 13, CELL_FIGURE, "muzzy_bytes"},
	{"nretained", 13, CELL_FIGURE, "nretained"}, {"retained", 13, CELL_FIGURE, "retained_bytes"},
	{"npinned", 13, CELL_FIGURE, "npinned"},     {"pinned", 13, CELL_FIGURE, "pinned_bytes"},
	{"ntotal", 13, CELL_ALL_COUNTS, NULL},       {"total", 13, CELL_ALL_BYTES, NULL},
};

/* -- cells ----------------------------------------------------------------------------------------------- */

static void put_right(struct print *print, unsigned width, const char *text) {
	for (size_t length = strlen(text); length < width; length++)
		print_add(print, " ");
	print_add(print, "%s", text);
}

static void put_number(struct print *print, unsigned width, uint64_t number) {
	char digits[24];
	struct text text = text_over(digits, sizeof digits);
	text_add(&text, "%lu", (unsigned long)number);
	put_right(print, width, digits);
}

static void put_header(struct print *print, const struct cell *cells, unsigned count, bool requests) {
	for (unsigned i = 0; i < count; i++)
		if (requests || cells[i].kind != CELL_REQUESTS)
			put_right(print, cells[i].width, cells[i].title);
	print_add(print, "\n");
}

/* Three decimals, cut off. */
static void put_utilized(struct print *print, unsigned width, const size_t at[2]) {
	struct column regs = column_open("stats.arenas.0.bins.0.", "curregs"),
		      slabs = column_open("stats.arenas.0.bins.0.", "curslabs");
	uint64_t used = column_number(&regs, at),
		 room = column_number(&slabs, at) * class_info[at[1] + 1].regions;
	char digits[16];
	struct text text = text_over(digits, sizeof digits);
	if (used > room)
		text_add(&text, " race");
	else if (used == room)
		text_add(&text, "1");
	else
		text_add(&text, "0.%03u", (unsigned)(used * 1000 / room));
	put_right(print, width, digits);
}

static uint64_t sum_every_other(const uint64_t *values, unsigned first, unsigned end) {
	uint64_t sum = 0;
	for (unsigned i = first; i < end; i += 2)
		sum += values[i];
	return sum;
}

/* A table with its names resolved. */
struct open_table {
	const struct table *table;
	struct column column[CELLS_MAX];
	uint64_t value[CELLS_MAX];
	uint64_t uptime;
};

static void open_table(struct open_table *open, const struct table *table, uint64_t uptime) {
	open->table = table;
	open->uptime = uptime;
	for (unsigned i = 0; i < table->count; i++) {
		const struct cell *cell = &table->cells[i];
		bool fixed = cell->kind == CELL_FIXED || cell->kind == CELL_SLAB_SIZE;
		open->column[i].length = 0;
		if (cell->name != NULL)
			open->column[i] = column_open(fixed ? table->fixed : table->prefix, cell->name);
	}
}

static uint64_t value_of(struct open_table *open, unsigned i, const size_t at[2]) {
	size_t size = open->table->size == NULL ? 0 : open->table->size(at[1]);
	switch (open->table->cells[i].kind) {
	case CELL_RATE:
		return print_rate(open->value[i - 1], open->uptime);
	case CELL_SIZE:
		return size;
	case CELL_INDEX:
		return at[1];
	case CELL_BYTES:
		return column_number(&open->column[i], at) * size;
	case CELL_SLAB_SIZE:
		return column_number(&open->column[i], at) / PAGE;
	case CELL_ALL_COUNTS:
	case CELL_ALL_BYTES:
		return sum_every_other(open->value, 2 + i % 2, i);
	default:
		return column_number(&open->column[i], at);
	}
}

/* Its four cells stand together. */
static void put_requests(struct print *print, struct open_table *open, unsigned first, const size_t at[2]) {
	uint64_t figures[REQUEST_FIGURES];
	print_read_requests(open->table->cells == bin_cells, at[1], figures);
	for (unsigned i = 0; i < REQUEST_FIGURES; i++)
		put_number(print, open->table->cells[first + i].width, figures[i]);
}

static void put_row(struct print *print, struct open_table *open, const size_t at[2]) {
	for (unsigned i = 0; i < open->table->count; i++) {
		const struct cell *cell = &open->table->cells[i];
		if (cell->kind == CELL_UTILIZED) {
			put_utilized(print, cell->width, at);
		} else if (cell->kind == CELL_REQUESTS) {
			if (print_has_requests(at[0]))
				put_requests(print, open, i, at);
			i += REQUEST_FIGURES - 1;
		} else if (cell->kind == CELL_BLANK) {
			put_right(print, cell->width, "");
		} else {
			open->value[i] = value_of(open, i, at);
			put_number(print, cell->width, open->value[i]);
		}
	}
	print_add(print, "\n");
}

static bool is_present(struct open_table *open, const struct column *present, const size_t at[2]) {
	if (open->table->present != NULL)
		return column_number(present, at) != 0;
	for (unsigned i = 0; i < open->table->count; i++)
		if (open->table->cells[i].kind == CELL_FIGURE && column_number(&open->column[i], at) != 0)
			return true;
	return false;
}

static void put_table(struct print *print, const struct table *table, size_t arena, uint64_t uptime) {
	struct open_table open;
	struct column present = {0};
	bool gap = false;
	open_table(&open, table, uptime);
	if (table->present != NULL)
		present = column_open(table->prefix, table->present);
	put_header(print, table->cells, table->count, print_has_requests(arena));
	for (size_t i = 0; i < table->rows; i++) {
		const size_t at[2] = {arena, i};
		bool shown = is_present(&open, &present, at);
		if (gap && shown) {
			put_right(print, table->cells[0].width, "---");
			print_add(print, "\n");
		}
		gap = !shown;
		if (shown)
			put_row(print, &open, at);
	}
	if (gap) {
		put_right(print, table->cells[0].width, "---");
		print_add(print, "\n");
	}
}

/* -- locks ----------------------------------------------------------------------------------------------- */

static void put_locks(struct print *print, const char *base, const char *names, const size_t at[2]) {
	struct word word;
	struct column uptime = column_open("stats.arenas.0.", "uptime");
	uint64_t since = column_number(&uptime, (const size_t[2]){at[0], 0});
	print_add(print, "%-21s", "");
	put_header(print, lock_cells, LOCK_CELL_COUNT, false);
	while (next_word(&names, &word)) {
		char prefix[PRINT_NAME];
		struct text text = text_over(prefix, sizeof prefix);
		struct open_table open;
		struct table table = {.prefix = prefix, .cells = lock_cells, .count = LOCK_CELL_COUNT};
		text_add(&text, "%s%s.", base, word.name);
		open_table(&open, &table, since);
		print_add(print, "%-21s", word.key);
		put_row(print, &open, at);
	}
}

void print_global_locks(struct print *print) {
	if (print->parts.mutexes)
		put_locks(print, "stats.mutexes.", GLOBAL_LOCKS, (const size_t[2]){0, 0});
}

/* -- huge page slabs ------------------------------------------------------------------------------------- */

static uint64_t shard_number(size_t arena, const char *name) {
	struct column column = column_open("stats.arenas.0.", name);
	return column_number(&column, (const size_t[2]){arena, 0});
}

static void put_cache_of_extents(struct print *print, size_t arena) {
	static const struct {
		const char *title, *name;
	} lines[] = {
		{"Bytes in small extent cache", "hpa_sec_bytes"},
		{"Total hits in small extent cache", "hpa_sec_hits"},
		{"Total misses in small extent cache", "hpa_sec_misses"},
		{"Dalloc calls without flush in small extent cache", "hpa_sec_dalloc_noflush"},
		{"Dalloc calls with flush in small extent cache", "hpa_sec_dalloc_flush"},
		{"sec_fill calls that went over max_bytes", "hpa_sec_overfills"},
	};
	for (unsigned i = 0; i < COUNT_OF(lines); i++)
		print_add(print, "%s: %lu\n", lines[i].title,
		          (unsigned long)shard_number(arena, lines[i].name));
}

/* A figure of all, huge and small-page slabs. */
static void put_split(struct print *print, size_t arena, const char *title, const char *what) {
	char name[PRINT_NAME];
	unsigned long number[3];
	static const char *const form[] = {"hpa_shard.%s", "hpa_shard.slabs.%s_huge",
	                                   "hpa_shard.slabs.%s_nonhuge"};
	for (unsigned i = 0; i < COUNT_OF(form); i++) {
		struct text text = text_over(name, sizeof name);
		const char *at = strchr(form[i], '%');
		text_add(&text, "%.*s%s%s", (int)(at - form[i]), form[i], what, at + 2);
		number[i] = (unsigned long)shard_number(arena, name);
	}
	print_add(print, "  %s: %lu (%lu huge, %lu nonhuge)\n", title, number[0], number[1], number[2]);
}

static void put_hpa_slabs(struct print *print, size_t arena, const char *group) {
	static const char *const kinds[] = {"huge", "nonhuge"}, *const what[] = {"npageslabs", "nactive",
	                                                                         "ndirty"};
	print_add(print, "  In %.*s slabs:\n", (int)(strchr(group, '_') - group), group);
	for (unsigned kind = 0; kind < COUNT_OF(kinds); kind++) {
		uint64_t number[COUNT_OF(what)];
		print_add(print, "     ");
		for (unsigned i = 0; i < COUNT_OF(what); i++) {
			char name[PRINT_NAME];
			struct text text = text_over(name, sizeof name);
			text_add(&text, "hpa_shard.%s.%s_%s", group, what[i], kinds[kind]);
			number[i] = shard_number(arena, name);
			print_add(print, " %s: %lu,", what[i], (unsigned long)number[i]);
		}
		print_add(print, " nretained: %lu (%s)\n",
		          kind == 0 ? 0 : (unsigned long)(number[0] * CHUNK_PAGES - number[1] - number[2]),
		          kinds[kind]);
	}
}

static void put_shard_events(struct print *print, size_t arena, uint64_t uptime) {
	static const struct {
		const char *title, *name;
	} lines[] = {
		{"Purge passes", "hpa_shard.npurge_passes"},
		{"Purges", "hpa_shard.npurges"},
		{"Hugeifies", "hpa_shard.nhugifies"},
		{"Hugify failures", "hpa_shard.nhugify_failures"},
		{"Dehugifies", "hpa_shard.ndehugifies"},
	};
	for (unsigned i = 0; i < COUNT_OF(lines); i++) {
		uint64_t count = shard_number(arena, lines[i].name);
		print_add(print, "  %s: %lu (%lu / sec)\n", lines[i].title, (unsigned long)count,
		          (unsigned long)print_rate(count, uptime));
	}
}

static const struct cell alloc_cells[] = {
	{"min_extents", 20, CELL_FIGURE, "min_extents"},
	{"max_extents", 13, CELL_FIGURE, "max_extents"},
	{"extents", 13, CELL_FIGURE, "extents"},
	{"ps", 13, CELL_FIGURE, "ps"},
	{"pages_per_ps", 14, CELL_FIGURE, "pages_per_ps"},
	{"extents_per_ps", 16, CELL_FIGURE, "extents_per_ps"},
	{"total_elapsed_ns_per_ps", 25, CELL_FIGURE, "total_elapsed_ns_per_ps"},
};
static const struct cell nonfull_cells[] = {
	{"ind", 20, CELL_INDEX, NULL},
	{"npageslabs_huge", 17, CELL_FIGURE, "npageslabs_huge"},
	{"nactive_huge", 14, CELL_FIGURE, "nactive_huge"},
	{"ndirty_huge", 13, CELL_FIGURE, "ndirty_huge"},
	{"npageslabs_nonhuge", 20, CELL_FIGURE, "npageslabs_nonhuge"},
	{"nactive_nonhuge", 17, CELL_FIGURE, "nactive_nonhuge"},
	{"ndirty_nonhuge", 16, CELL_FIGURE, "ndirty_nonhuge"},
};

static void put_hpa(struct print *print, size_t arena, uint64_t uptime) {
	uint64_t slabs = shard_number(arena, "hpa_shard.slabs.npageslabs_nonhuge"),
		 active = shard_number(arena, "hpa_shard.slabs.nactive_nonhuge"),
		 dirty = shard_number(arena, "hpa_shard.slabs.ndirty_nonhuge");
	put_cache_of_extents(print, arena);
	print_add(print, "HPA shard stats:\n");
	put_split(print, arena, "Pageslabs", "npageslabs");
	put_split(print, arena, "Active pages", "nactive");
	put_split(print, arena, "Dirty pages", "ndirty");
	print_add(print, "  Retained pages: %lu\n", (unsigned long)(slabs * CHUNK_PAGES - active - dirty));
	put_shard_events(print, arena, uptime);
	print_add(print, "  extent allocation distribution:\n");
	put_table(print,
	          &(struct table){.prefix = "stats.arenas.0.hpa_shard.alloc.0.",
	                          .cells = alloc_cells,
	                          .count = COUNT_OF(alloc_cells),
	                          .rows = CTL_HPA_POWERS},
	          arena, uptime);
	put_hpa_slabs(print, arena, "full_slabs");
	put_hpa_slabs(print, arena, "empty_slabs");
	print_add(print, "  In nonfull slabs:\n");
	put_table(print,
	          &(struct table){.prefix = "stats.arenas.0.hpa_shard.nonfull_slabs.0.",
	                          .cells = nonfull_cells,
	                          .count = COUNT_OF(nonfull_cells),
	                          .rows = CTL_HPA_SLABS},
	          arena, uptime);
}

/* -- one arena ------------------------------------------------------------------------------------------- */

void print_arena_tables(struct print *print, size_t arena, uint64_t uptime) {
	const struct table bins = {.prefix = "stats.arenas.0.bins.0.",
	                           .fixed = "arenas.bin.0.",
	                           .present = "nslabs",
	                           .cells = bin_cells,
	                           .count =
	                                   COUNT_OF(bin_cells) - (print->parts.mutexes ? 0 : LOCK_CELL_COUNT),
	                           .rows = CLASS_SMALL_LAST,
	                           .size = print_bin_size},
			   large = {.prefix = "stats.arenas.0.lextents.0.",
	                            .present = "nmalloc",
	                            .cells = large_cells,
	                            .count = COUNT_OF(large_cells),
	                            .rows = LARGE_CLASSES,
	                            .size = print_large_size},
			   extents = {.prefix = "stats.arenas.0.extents.0.",
	                              .cells = extent_cells,
	                              .count = COUNT_OF(extent_cells),
	                              .rows = EXTENT_CLASSES,
	                              .size = extent_size};
	if (print->parts.mutexes)
		put_locks(print, "stats.arenas.0.mutexes.", ARENA_LOCKS, (const size_t[2]){arena, 0});
	if (print->parts.bins)
		put_table(print, &bins, arena, uptime);
	if (print->parts.large)
		put_table(print, &large, arena, uptime);
	if (print->parts.extents)
		put_table(print, &extents, arena, uptime);
	if (print->parts.hpa)
		put_hpa(print, arena, uptime);
}
