/* fill: what the bytes of new blocks are, of blocks that have grown, and of freed ones. One line each: a name, and the
 * byte if all are alike, else `mixed`. fill.py judges. */
#define _GNU_SOURCE
#include <jemalloc/jemalloc.h>

#include "../../harness.h"

#include <dlfcn.h>

typedef void *take_flagged(size_t, int);
typedef void *resize_flagged(void *, size_t, int);
typedef size_t resize_there(void *, size_t, size_t, int);
typedef void give_flagged(void *, int);
typedef void *take(size_t);

static void *look(const char *name) {
	void *found = dlsym(RTLD_DEFAULT, name);
	CHECK(found != NULL);
	return found;
}

#define FUNCTION(type, name) \
	type *name##_; \
	*(void **)&name##_ = look(#name)

static void show(const char *name, const void *block, size_t from, size_t to) {
	const volatile unsigned char *bytes = block;
	CHECK(block != NULL && from < to);
	for (size_t i = from; i < to; i++) {
		if (bytes[i] != bytes[from]) {
			printf("%s mixed\n", name);
			return;
		}
	}
	printf("%s %02x\n", name, bytes[from]);
}

/* Makes sure that what comes next has been in use, shows a whole new block, and what is left of it when it is freed. */
#define NEW(name, expression, size) \
	do { \
		void *used_ = malloc(size); \
		memset(used_, 0xEE, size); \
		free(used_); \
		unsigned char *block_ = (expression); \
		show("new_" name, block_, 0, malloc_usable_size(block_)); \
		memset(block_, 0xEE, malloc_usable_size(block_)); \
		free(block_); \
	} while (0)

typedef int control(const char *, void *, size_t *, void *, size_t);

static void *take_batch(size_t size) {
	FUNCTION(control, mallctl);
	void *block = NULL;
	struct {
		void **slots;
		size_t count, size;
		int flags;
	} batch = {&block, 1, size, 0};
	size_t filled = 0, length = sizeof filled;
	CHECK(mallctl_("experimental.batch_alloc", &filled, &length, &batch, sizeof batch) == 0 &&
	      filled == 1);
	return block;
}

static void new_blocks(void) {
	void *out = NULL;
	FUNCTION(take_flagged, mallocx);
	FUNCTION(take, _Znwm);
	NEW("malloc", malloc(100), 100);
	NEW("malloc_cached_large", malloc(20000), 20000);
	NEW("malloc_large", malloc(100000), 100000);
	NEW("malloc_huge", malloc((size_t)5 << 20), (size_t)5 << 20);
	NEW("realloc_null", realloc(NULL, 100), 100);
	NEW("aligned_alloc", aligned_alloc(64, 200), 200);
	NEW("aligned_alloc_large", aligned_alloc(65536, 200), 20000);
	NEW("posix_memalign", posix_memalign(&out, 64, 200) == 0 ? out : NULL, 200);
	NEW("operator_new", _Znwm_(200), 200);
	NEW("mallocx", mallocx_(300, 0), 300);
	NEW("mallocx_aligned", mallocx_(300, MALLOCX_ALIGN(64)), 300);
	NEW("mallocx_uncached", mallocx_(300, MALLOCX_TCACHE_NONE), 300);
	NEW("mallocx_zero", mallocx_(300, MALLOCX_ZERO), 300);
	NEW("mallocx_zero_large", mallocx_(100000, MALLOCX_ZERO), 100000);
	NEW("mallocx_zero_huge", mallocx_(6000000, MALLOCX_ZERO), 6000000);
	NEW("batch", take_batch(300), 300);
	NEW("calloc", calloc(4, 80), 300);
	NEW("calloc_cached_large", calloc(2, 10240), 20000);
	NEW("calloc_large", calloc(10, 10000), 100000);
}

static void grown_blocks(void) {
	FUNCTION(resize_flagged, rallocx);
	FUNCTION(resize_there, xallocx);
	unsigned char *block = memset(malloc(100), 0xEE, 112);
	block = realloc(block, 5000);
	show("kept_realloc", block, 0, 112);
	show("grown_realloc", block, 112, malloc_usable_size(block));
	memset(block, 0xEE, malloc_usable_size(block));
	block = rallocx_(block, 100000, 0);
	show("grown_rallocx", block, 5120, malloc_usable_size(block));
	memset(block, 0xEE, malloc_usable_size(block));
	CHECK(xallocx_(block, 50000, 0, 0) == 53248 && xallocx_(block, 100000, 0, 0) == 102400);
	show("grown_xallocx", block, 53248, 102400);
	CHECK(xallocx_(block, 50000, 0, 0) == 53248 && xallocx_(block, 100000, 0, MALLOCX_ZERO) == 102400);
	show("grown_xallocx_zero", block, 53248, 102400);
	free(block);
}

static void freed_blocks(void) {
	FUNCTION(give_flagged, dallocx);
	static const size_t sizes[] = {100, 5000, 20000, 100000};
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		char name[64];
		unsigned char *before = malloc(sizes[i]),
			      *block = malloc(sizes[i]); /* the first keeps the pages in use */
		size_t usable = malloc_usable_size(block);
		memset(block, 0xEE, usable);
		if (i % 2 == 0)
			free(block);
		else
			dallocx_(block, 0);
		snprintf(name, sizeof name, "freed_%zu", sizes[i]);
		show(name, block, 0, usable);
		free(before);
	}
}

int main(void) {
	setvbuf(stdout, NULL, _IOLBF, 0);
	new_blocks();
	grown_blocks();
	freed_blocks();
	return 0;
}
