/* map.c - home window and leaves. */
#include <string.h>
#include "os/os.h"
#include "thread/lock.h"
#include "meta/meta.h"

#define LEAF_SHIFT  32
#define LEAF_PAGES  ((size_t)1 << (LEAF_SHIFT - PAGE_SHIFT))
#define LEAF_CHUNKS ((size_t)1 << (LEAF_SHIFT - CHUNK_SHIFT))
#define ROOT_SIZE   ((size_t)1 << 16)

struct leaf {
	struct span
		*span[LEAF_PAGES]; /* first, so that the entries of a chunk are a page: map_forget_spans */
	_Atomic(struct chunk *) chunk[LEAF_CHUNKS]; /* [acquire/release] */
	_Atomic(uint8_t) own_classes[LEAF_PAGES];
	_Atomic(uint8_t) *classes; /* own_classes, or a slice of the home table  [const after publishing] */
};

struct map_home map_home = MAP_HOME_NONE;

static _Atomic(struct leaf *) root[ROOT_SIZE]; /* [acquire/release; written under map_lock] */
static struct lock map_lock = LOCK_INITIALIZER(RANK_MAP);

static struct leaf *leaf_of(uintptr_t addr) {
	uintptr_t index = addr >> LEAF_SHIFT;
	return index < ROOT_SIZE ? load_acquire(&root[index]) : NULL;
}

static size_t page_in_leaf(uintptr_t addr) {
	return (addr >> PAGE_SHIFT) & (LEAF_PAGES - 1);
}

STARTUP uintptr_t map_open_home(void) {
	const uintptr_t window = (uintptr_t)1 << HOME_SHIFT;
	void *table;
	if (os_map(NULL, HOME_PAGES, &table) != 0)
		return 0;
	(void)os_huge_pages(table, HOME_PAGES, false);
	uintptr_t home = round_down((uintptr_t)table, window);
	if (home > window)
		home -= window; /* the table's own window is where libraries and stacks are */
	map_home.classes = table;
	map_home.first_page = home >> PAGE_SHIFT;
	/* the table's address is random where the system randomises: keep some of that */
	return home + CHUNK + (((uintptr_t)table >> 16) & 511) * CHUNK;
}

static bool add_leaf(uintptr_t index) {
	void *memory;
	size_t size = round_up(sizeof(struct leaf), os.page_size);
	if (os_map(NULL, size, &memory) != 0)
		return false;
	(void)os_huge_pages(memory, size, false);
	struct leaf *leaf = memory;
	uintptr_t home_index = (index << (LEAF_SHIFT - PAGE_SHIFT)) - map_home.first_page;
	leaf->classes = home_index < HOME_PAGES ? map_home.classes + home_index : leaf->own_classes;
	store_release(&root[index], leaf);
	return true;
}

bool map_cover(uintptr_t addr, size_t size) {
	uintptr_t last = (addr + size - 1) >> LEAF_SHIFT;
	if (last >= ROOT_SIZE)
		return false;
	bool done = true;
	for (uintptr_t index = addr >> LEAF_SHIFT; index <= last && done; index++) {
		if (load_acquire(&root[index]) != NULL)
			continue;
		lock_take(&map_lock);
		done = load_acquire(&root[index]) != NULL || add_leaf(index);
		lock_drop(&map_lock);
	}
	return done;
}

unsigned map_class(const void *ptr) {
	const struct leaf *leaf = leaf_of((uintptr_t)ptr);
	if (leaf == NULL)
		return CLASS_NONE;
	size_t page = page_in_leaf((uintptr_t)ptr);
	unsigned class = load_relaxed(&leaf->classes[page]);
	const struct span *span = class == CLASS_NONE ? leaf->span[page] : NULL;
	return span == NULL ? class : span->class;
}

bool map_is_marked(const void *ptr) {
	const struct leaf *leaf = leaf_of((uintptr_t)ptr);
	return leaf == NULL || load_acquire(&leaf->classes[page_in_leaf((uintptr_t)ptr)]) == CLASS_NONE;
}

void map_mark(const void *block, bool marked) {
	struct leaf *leaf = leaf_of((uintptr_t)block);
	size_t page = page_in_leaf((uintptr_t)block);
	uint8_t class = marked ? CLASS_NONE : (uint8_t)leaf->span[page]->class;
	store_release(&leaf->classes[page], class);
}

struct span *map_span(const void *ptr) {
	const struct leaf *leaf = leaf_of((uintptr_t)ptr);
	return leaf == NULL ? NULL : leaf->span[page_in_leaf((uintptr_t)ptr)];
}

struct chunk *map_chunk(uintptr_t addr) {
	const struct leaf *leaf = leaf_of(addr);
	return leaf == NULL ? NULL : load_acquire(&leaf->chunk[(addr >> CHUNK_SHIFT) & (LEAF_CHUNKS - 1)]);
}

void map_set_chunk(uintptr_t addr, struct chunk *chunk) {
	store_release(&leaf_of(addr)->chunk[(addr >> CHUNK_SHIFT) & (LEAF_CHUNKS - 1)], chunk);
}

void map_enter(struct span *span) {
	struct leaf *leaf = leaf_of(span->base);
	size_t page = page_in_leaf(span->base);
	size_t count = span->kind == SPAN_SLAB ? span->pages : 1;
	for (size_t i = 0; i < count; i++)
		leaf->span[page + i] = span;
	memset(leaf->classes + page, (int)span->class, count);
}

void map_remove(const struct span *span) {
	struct leaf *leaf = leaf_of(span->base);
	size_t page = page_in_leaf(span->base);
	size_t count = span->kind == SPAN_SLAB ? span->pages : 1;
	memset(&leaf->span[page], 0, count * sizeof leaf->span[0]);
	memset(leaf->classes + page, 0, count);
}

void map_forget_spans(uintptr_t base, size_t count) {
	uintptr_t end = base + count * CHUNK;
	while (base < end) {
		struct leaf *leaf = leaf_of(base);
		uintptr_t leaf_end = round_up(base + 1, (size_t)1 << LEAF_SHIFT);
		uintptr_t stop = end < leaf_end ? end : leaf_end;
		uintptr_t first = round_up((uintptr_t)&leaf->span[page_in_leaf(base)], os.page_size);
		uintptr_t last = (uintptr_t)&leaf->span[page_in_leaf(stop - 1)] + sizeof leaf->span[0];
		last = round_down(last, os.page_size);
		if (first < last)
			(void)os_purge((void *)first, last - first);
		base = stop;
	}
}
