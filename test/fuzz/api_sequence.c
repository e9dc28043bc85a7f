/* Sequences of calls of malloc's and mallocx's family against a model: contents, zeros, alignment, usable size, and that no
 * two blocks overlap. Now and then a thread of its own frees or resizes blocks. */
#include <jemalloc/jemalloc.h>

#include "fuzz.h"

#include <pthread.h>

#include "../api/model.h"

#define SLOTS        48
#define MOST_STEPS   400
#define MOST_THREADS 3  /* per input; they are slow */
#define MOST_ALIGN   21 /* 2 MiB */
#define MOST_LIVE    ((size_t)24 << 20)
#define LONG         ((size_t)64 << 10) /* longer elements come alone */

struct block {
	unsigned char *start; /* NULL: none */
	size_t size;          /* usable */
	uint64_t tag;         /* of its contents */
};

/* All of it belongs to one thread at a time. */
static struct block blocks[SLOTS];
static size_t live;
static uint64_t last_tag;

/* Sizes of all kinds: small ones, near the classes, some pages, some chunks. */
static size_t next_size(struct input *input) {
	uint8_t kind = input_byte(input);
	switch (kind & 7) {
	case 0:
	case 1:
	case 2:
		return input_byte(input);
	case 3:
	case 4:
		return input_number(input, 2) >> (kind >> 3 & 3);
	case 5:
		return ((size_t)128 << (kind >> 3 & 15)) + input_byte(input) - 128;
	case 6:
		return input_number(input, 3) >> (kind >> 3 & 3);
	default:
		return (input_number(input, 1) + 1) << (12 + (kind >> 3 & 3));
	}
}

static struct block *next_slot(struct input *input) {
	return &blocks[input_byte(input) % SLOTS];
}

static bool too_much(size_t size) {
	return size > MOST_LIVE || live > MOST_LIVE - size;
}

/* -- the model ------------------------------------------------------------------------------------------- */

static void check_alone(const unsigned char *start, size_t usable) {
	for (int i = 0; i < SLOTS; i++) {
		const struct block *other = &blocks[i];
		if (other->start != NULL)
			CHECK(start + usable <= other->start || other->start + other->size <= start);
	}
}

/* A new block that the model knows nothing of yet; written full to its usable size. */
static void enter(struct block *block, void *start, size_t usable) {
	CHECK(start != NULL);
	CHECK(malloc_usable_size(start) == usable);
	CHECK(test_aligned(start, model_alignment(usable)));
	check_alone(start, usable);
	*block = (struct block){start, usable, ++last_tag};
	test_fill(start, usable, block->tag);
	live += usable;
}

static void check_contents(const struct block *block, size_t bytes) {
	CHECK(test_holds(block->start, block->size, bytes, block->tag));
}

static void leave(struct block *block) {
	live -= block->size;
	*block = (struct block){0};
}

/* -- the calls ------------------------------------------------------------------------------------------- */

static void drop(struct block *block) {
	void *start = block->start;
	if (start == NULL)
		return;
	check_contents(block, block->size);
	leave(block);
	errno = 4711;
	free(start);
	CHECK(errno == 4711);
}

static void step_malloc(struct input *input, struct block *block) {
	size_t size = next_size(input);
	drop(block);
	if (!too_much(size))
		enter(block, malloc(size), model_usable(size));
}

static void step_calloc(struct input *input, struct block *block) {
	size_t count = input_byte(input) % 32 + 1, size = next_size(input);
	count = size > LONG ? 1 : count;
	drop(block);
	if (too_much(count * size))
		return;
	unsigned char *start = calloc(count, size);
	CHECK(start != NULL);
	CHECK(size == 0 || (start[0] == 0 && memcmp(start, start + 1, count * size - 1) == 0));
	enter(block, start, model_usable(count * size));
}

/* The way to align that `how` says. */
static void *take_aligned(unsigned how, size_t alignment, size_t size) {
	void *start = NULL;
	switch (how % 3) {
	case 0:
		return aligned_alloc(alignment, size);
	case 1:
		return memalign(alignment, size);
	default:
		if (alignment < sizeof(void *)) {
			CHECK(posix_memalign(&start, alignment, size) == EINVAL);
			CHECK(start == NULL);
			return aligned_alloc(alignment, size);
		}
		CHECK(posix_memalign(&start, alignment, size) == 0);
		return start;
	}
}

static void step_aligned(struct input *input, struct block *block) {
	unsigned how = input_byte(input);
	size_t alignment = (size_t)1 << input_byte(input) % (MOST_ALIGN + 1), size = next_size(input);
	drop(block);
	if (too_much(size + alignment))
		return;
	void *start = take_aligned(how, alignment, size);
	CHECK(test_aligned(start, alignment));
	enter(block, start, model_aligned(alignment, size));
}

/* realloc and reallocarray: what was there stays up to the smaller size. */
static void step_realloc(struct input *input, struct block *block) {
	size_t count = input_byte(input) % 8, size = next_size(input);
	struct block old = *block;
	size_t bytes = count < 4 ? size : (count - 2) * size;
	if (size > MOST_LIVE || too_much(bytes))
		return;
	if (old.start != NULL)
		leave(block);
	unsigned char *start =
		count < 4 ? realloc(old.start, size) : reallocarray(old.start, count - 2, size);
	if (bytes == 0 && old.start != NULL) {
		CHECK(start == NULL);
		return;
	}
	CHECK(start != NULL);
	if (old.start != NULL)
		CHECK(test_holds(start, old.size, bytes, old.tag));
	enter(block, start, model_usable(bytes));
}

/* -- with flags */

/* An explicit cache for all; made once. */
static int own_cache(void) {
	static int flag;
	unsigned id = 0;
	size_t size = sizeof id;
	if (flag == 0) {
		CHECK(SUT(mallctl)("tcache.create", &id, &size, NULL, 0) == 0);
		flag = MALLOCX_TCACHE((int)id);
	}
	return flag;
}

static int cache_flag(unsigned which) {
	return which == 0 ? MALLOCX_TCACHE_NONE : which == 1 ? own_cache() : 0;
}

static int next_flags(struct input *input) {
	unsigned word = (unsigned)input_number(input, 2);
	int flags = cache_flag(word & 3);
	flags |= (word & 4) != 0 ? MALLOCX_ZERO : 0;
	flags |= (word & 8) != 0 ? MALLOCX_ARENA(0) : 0;
	return flags | ((word & 16) != 0 ? MALLOCX_LG_ALIGN((word >> 5) % (MOST_ALIGN + 1)) : 0);
}

static size_t align_of(int flags) {
	return (size_t)1 << (flags & 63);
}

static size_t model_flagged(size_t size, int flags) {
	return align_of(flags) == 1 ? model_usable(size) : model_aligned(align_of(flags), size);
}

static void check_zero(const unsigned char *start, size_t from, size_t to, int flags) {
	if ((flags & MALLOCX_ZERO) != 0 && from < to)
		CHECK(start[from] == 0 && memcmp(start + from, start + from + 1, to - from - 1) == 0);
}

static void step_mallocx(struct input *input, struct block *block) {
	int flags = next_flags(input);
	size_t size = next_size(input), usable = model_flagged(size, flags);
	drop(block);
	if (too_much(size + align_of(flags)))
		return;
	CHECK(SUT(nallocx)(size, flags) == usable);
	unsigned char *start = SUT(mallocx)(size, flags);
	CHECK(test_aligned(start, align_of(flags)));
	check_zero(start, 0, usable, flags);
	enter(block, start, usable);
}

static void step_rallocx(struct input *input, struct block *block) {
	int flags = next_flags(input);
	size_t size = next_size(input), usable = model_flagged(size, flags);
	struct block old = *block;
	if (old.start == NULL || too_much(size + align_of(flags)))
		return;
	leave(block);
	unsigned char *start = SUT(rallocx)(old.start, size, flags);
	CHECK(test_aligned(start, align_of(flags)));
	CHECK(test_holds(start, old.size, size < old.size ? size : old.size, old.tag));
	check_zero(start, old.size, usable, flags);
	enter(block, start, usable);
}

static void step_xallocx(struct input *input, struct block *block) {
	int flags = next_flags(input);
	size_t size = next_size(input), extra = next_size(input);
	struct block old = *block;
	if (old.start == NULL || too_much(size + extra))
		return;
	leave(block);
	size_t usable = SUT(xallocx)(old.start, size, extra, flags);
	if (old.size < MODEL_LARGE_MIN || !test_aligned(old.start, align_of(flags)))
		CHECK(usable == old.size);
	else if (usable > old.size)
		CHECK(usable == model_usable(size + extra) || usable == model_usable(size));
	else if (usable < old.size)
		CHECK(usable == model_usable(size + extra));
	CHECK(test_holds(old.start, old.size, usable, old.tag));
	check_zero(old.start, old.size, usable, flags);
	enter(block, old.start, usable);
}

static void step_dallocx(struct input *input, struct block *block) {
	void *start = block->start;
	int flags = cache_flag(input_byte(input) & 3);
	if (start == NULL)
		return;
	check_contents(block, block->size);
	leave(block);
	SUT(dallocx)(start, flags);
}

static void do_flagged(struct input *input, struct block *block) {
	switch (input_byte(input) % 8) {
	case 0:
	case 1:
	case 2:
		step_mallocx(input, block);
		break;
	case 3:
	case 4:
		step_rallocx(input, block);
		break;
	case 5:
		step_xallocx(input, block);
		break;
	default:
		step_dallocx(input, block);
	}
}

/* Sizes nobody can serve leave everything as it was. */
static void step_impossible(struct input *input, struct block *block) {
	size_t size = SIZE_MAX - (input_number(input, 8) >> 2);
	errno = 0;
	CHECK(malloc(size) == NULL && errno == ENOMEM);
	errno = 0;
	CHECK(reallocarray(block->start, size, 16) == NULL && errno == ENOMEM);
	errno = 0;
	CHECK(realloc(block->start, size) == NULL && errno == ENOMEM);
	errno = 0;
	CHECK(SUT(mallocx)(size, MALLOCX_LG_ALIGN(size % 13)) == NULL && errno == ENOMEM);
	errno = 0;
	CHECK(SUT(rallocx)(block->start, size, MALLOCX_ZERO) == NULL && errno == ENOMEM);
	CHECK(SUT(xallocx)(block->start, size, size, 0) == block->size);
	if (block->start != NULL)
		check_contents(block, block->size);
}

static void step_trim(struct input *input) {
	if (input_byte(input) < 32)
		(void)SUT(malloc_trim)(0);
}

static void do_step(struct input *input) {
	uint8_t what = input_byte(input) % 24;
	struct block *block = next_slot(input);
	if (what < 4)
		step_malloc(input, block);
	else if (what < 6)
		step_calloc(input, block);
	else if (what < 8)
		step_aligned(input, block);
	else if (what < 11)
		step_realloc(input, block);
	else if (what < 14)
		drop(block);
	else if (what >= 16)
		do_flagged(input, block);
	else if (what == 14)
		step_impossible(input, block);
	else
		step_trim(input);
}

/* -- threads --------------------------------------------------------------------------------------------- */

static void *run_elsewhere(void *argument) {
	struct input *input = argument;
	for (int steps = input_byte(input) % 32; steps > 0; steps--)
		do_step(input);
	return NULL;
}

/* Some steps in a thread that ends, with its cache, while this one waits. */
static void run_thread(struct input *input) {
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, run_elsewhere, input) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct input input = {data, size};
	int threads = 0;
	for (int step = 0; step < MOST_STEPS && input.left > 0; step++) {
		if (*input.data != 0xff) {
			do_step(&input);
		} else {
			(void)input_byte(&input);
			if (threads++ < MOST_THREADS)
				run_thread(&input);
		}
	}
	for (int i = 0; i < SLOTS; i++)
		drop(&blocks[i]);
	CHECK(live == 0);
	return 0;
}
