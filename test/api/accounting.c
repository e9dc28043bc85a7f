/* thread.allocated and thread.deallocated against a model, over every call that allocates, resizes or frees; with caches
 * of all kinds, with and without live counters. */
// ctest-also: MALLOC_CONF=percpu_cache:true
#include "ctl.h"

#include <pthread.h>

enum { SLOTS = 400, STEPS = 20000, LARGEST = 300000 };

/* What one thread should have counted. */
struct model {
	uint64_t random, allocated, freed;
	uint64_t first_allocated, first_freed;
	void *block[SLOTS];
	uint64_t *live_allocated, *live_freed; /* NULL: not watched */
	int flags;                             /* of mallocx and dallocx */
};

static void check_counts(const struct model *model) {
	uint64_t allocated = CTL_GET(uint64_t, "thread.allocated") - model->first_allocated;
	uint64_t freed = CTL_GET(uint64_t, "thread.deallocated") - model->first_freed;
	CHECK(allocated == model->allocated);
	CHECK(freed == model->freed);
}

static void check_live(const struct model *model) {
	if (model->live_allocated == NULL)
		return;
	CHECK(*model->live_allocated - model->first_allocated == model->allocated);
	CHECK(*model->live_freed - model->first_freed == model->freed);
}

static size_t random_size(uint64_t *random) {
	switch (test_below(random, 8)) {
	case 0:
		return test_below(random, LARGEST);
	case 1:
	case 2:
		return test_below(random, 40000);
	default:
		return test_below(random, 1500);
	}
}

static void *new_block(struct model *model) {
	size_t size = random_size(&model->random);
	void *block = NULL;
	switch (test_below(&model->random, 6)) {
	case 0:
		return calloc(1, size);
	case 1:
		return aligned_alloc((size_t)1 << test_below(&model->random, 16), size);
	case 2:
		CHECK(posix_memalign(&block, 64, size) == 0);
		return block;
	case 3:
		return t_mallocx(size + 1, model->flags);
	default:
		return malloc(size);
	}
}

static void drop_block(struct model *model, void *block) {
	model->freed += block == NULL ? 0 : malloc_usable_size(block);
	if (block != NULL && test_below(&model->random, 4) == 0)
		t_dallocx(block, model->flags & FLAG_TCACHE_MASK);
	else
		free(block);
}

static void resize(struct model *model, void **block) {
	size_t before = malloc_usable_size(*block), size = random_size(&model->random) + 1, after;
	switch (test_below(&model->random, 3)) {
	case 0:
		*block = realloc(*block, size);
		break;
	case 1:
		*block = t_rallocx(*block, size, model->flags);
		break;
	default:
		after = SUT_CTL(xallocx)(*block, size, 0, 0);
		model->allocated += after == before ? 0 : after;
		model->freed += after == before ? 0 : before;
		return;
	}
	CHECK(*block != NULL);
	model->allocated += malloc_usable_size(*block);
	model->freed += before;
}

static void step(struct model *model) {
	void **slot = &model->block[test_below(&model->random, SLOTS)];
	if (*slot != NULL && test_below(&model->random, 3) == 0) {
		resize(model, slot);
		return;
	}
	drop_block(model, *slot);
	*slot = test_below(&model->random, 5) == 0 ? NULL : new_block(model);
	model->allocated += *slot == NULL ? 0 : malloc_usable_size(*slot);
}

static void settings(struct model *model) {
	switch (test_below(&model->random, 5)) {
	case 0:
		CHECK(ctl_do("thread.tcache.flush") == 0 || !CTL_GET(bool, "thread.tcache.enabled"));
		break;
	case 1:
		CHECK(CTL_SET(bool, "thread.tcache.enabled", test_below(&model->random, 2) == 0) == 0);
		break;
	case 2:
		CHECK(CTL_SET(size_t, "thread.tcache.max", test_below(&model->random, 40000)) == 0);
		break;
	case 3:
		CHECK(CTL_SET(unsigned, "thread.arena",
		              (unsigned)test_below(&model->random, CTL_GET(unsigned, "arenas.narenas"))) ==
		      0);
		break;
	default:
		CHECK(ctl_do("thread.idle") == 0);
	}
}

static void *account(void *argument) {
	struct model *model = argument;
	model->first_allocated = CTL_GET(uint64_t, "thread.allocated");
	model->first_freed = CTL_GET(uint64_t, "thread.deallocated");
	for (size_t i = 0; i < test_scaled(STEPS); i++) {
		step(model);
		check_live(model);
		if (i % 53 == 0)
			check_counts(model);
		if (i % 397 == 0)
			settings(model);
	}
	for (size_t i = 0; i < SLOTS; i++)
		drop_block(model, model->block[i]);
	check_counts(model);
	check_live(model);
	return NULL;
}

static void *account_watched(void *argument) {
	struct model *model = argument;
	model->live_allocated = CTL_GET(uint64_t *, "thread.allocatedp");
	model->live_freed = CTL_GET(uint64_t *, "thread.deallocatedp");
	return account(model);
}

static void in_threads(void *(*body)(void *), int flags) {
	static struct model models[3];
	pthread_t threads[3];
	memset(models, 0, sizeof models);
	for (size_t i = 0; i < 3; i++) {
		models[i].random = test_seed() + i;
		models[i].flags = flags;
	}
	for (size_t i = 0; i < (flags > FLAG_TCACHE_NONE ? 1 : 3); i++)
		CHECK(pthread_create(&threads[i], NULL, body, &models[i]) == 0);
	for (size_t i = 0; i < (flags > FLAG_TCACHE_NONE ? 1 : 3); i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

static void counts_are_exact(void **state) {
	(void)state;
	in_threads(account, 0);
	in_threads(account, FLAG_TCACHE_NONE);
}

static void live_counters_are_exact(void **state) {
	(void)state;
	in_threads(account_watched, 0);
	in_threads(account_watched, FLAG_TCACHE_NONE);
}

static void explicit_caches_count_for_the_caller(void **state) {
	(void)state;
	unsigned id = CTL_GET(unsigned, "tcache.create");
	in_threads(account, FLAG_TCACHE(id));
	in_threads(account_watched, FLAG_TCACHE(id));
	CHECK(CTL_SET(unsigned, "tcache.destroy", id) == 0);
}

/* Blocks freed by another thread count there, and not where they came from. */
static void *give_away(void *argument) {
	void **block = argument;
	uint64_t before = CTL_GET(uint64_t, "thread.deallocated");
	for (size_t i = 0; i < 1000; i++)
		free(block[i]);
	CHECK(CTL_GET(uint64_t, "thread.deallocated") - before == 1000 * 112);
	CHECK(CTL_GET(uint64_t, "thread.allocated") < 4096);
	return NULL;
}

static void frees_count_where_they_happen(void **state) {
	(void)state;
	static void *block[1000];
	pthread_t thread;
	uint64_t allocated = CTL_GET(uint64_t, "thread.allocated");
	for (size_t i = 0; i < 1000; i++)
		block[i] = malloc(112);
	assert_int_equal(CTL_GET(uint64_t, "thread.allocated") - allocated, 1000 * 112);
	uint64_t freed = CTL_GET(uint64_t, "thread.deallocated");
	CHECK(pthread_create(&thread, NULL, give_away, block) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	assert_true(CTL_GET(uint64_t, "thread.deallocated") - freed < 4096); /* what pthread_create had */
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_are_exact),
		cmocka_unit_test(live_counters_are_exact),
		cmocka_unit_test(explicit_caches_count_for_the_caller),
		cmocka_unit_test(frees_count_where_they_happen),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
