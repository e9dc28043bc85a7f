/* The registry of arenas, shards of bins, and manual arenas against a model, on fake memory. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "quiet_heap.h"
#include "harness.h"
#include "fake_os.h"
#include "arena/arena.h"

enum { ARENAS = 3, SHARDED = 9, SHARDS = 4 };

static uint64_t seed;

static int start(void **state) {
	(void)state;
	struct arena_settings settings = {.limit = ARENAS,
	                                  .decay_ms = {10000, 0},
	                                  .oversize = 8 * MIB,
	                                  .hint = FAKE_BASE + 3 * GIB / 2};
	settings.shards[SHARDED] = SHARDS;
	arena_prepare(&settings);
	return arena_make_first() ? 0 : -1;
}

static int destroy(struct arena *arena) {
	if (!arena_retire(arena))
		return EFAULT;
	arena_destroy(arena);
	return 0;
}

/* -- the table ------------------------------------------------------------------------------------------------- */

static void check_name(unsigned index, const char *expected) {
	char name[ARENA_NAME_MAX];
	arena_read_name(arena_at(index), name);
	assert_string_equal(name, expected);
}

static void test_automatic(void **state) {
	(void)state;
	assert_int_equal(arena_count(), ARENAS + 1);
	assert_int_equal(arena_made(), 1);
	assert_null(arena_at(2));
	struct arena *last = arena_make(2);
	assert_non_null(last);
	assert_ptr_equal(arena_at(2), last);
	assert_ptr_equal(arena_make(2), last);
	assert_null(arena_at(1));
	check_name(2, "auto_2");
	struct arena *a = arena_assign(), *b = arena_assign(), *c = arena_assign();
	assert_int_equal(a->index, 0); /* those without threads before new ones */
	assert_int_equal(b->index, 2);
	assert_int_equal(c->index, 1);
	arena_leave(a);
	arena_leave(b);
	arena_leave(c);
	assert_null(arena_make(ARENAS + 1));
	assert_null(arena_make(4096));
	assert_int_equal(destroy(a), EFAULT);
	assert_int_equal(arena_reset(a), EFAULT);
	assert_null(arena_for_cpu(0));
}

static void test_oversize(void **state) {
	(void)state;
	struct arena *own = arena_at(0);
	assert_ptr_equal(arena_for_size(own, 8 * MIB - 1), own);
	assert_null(arena_at(ARENAS));
	struct arena *oversize = arena_for_size(own, 8 * MIB);
	assert_int_equal(oversize->index, ARENAS);
	assert_ptr_equal(arena_for_size(own, SIZE_MAX), oversize);
	assert_ptr_equal(arena_for_size(oversize, 9 * MIB), oversize);
	check_name(ARENAS, "auto_oversize");
	unsigned index;
	assert_int_equal(arena_create(NULL, &index), 0);
	assert_ptr_equal(arena_for_size(arena_at(index), 9 * MIB), arena_at(index));
	store_relaxed(&own->oversize, MIB);
	assert_ptr_equal(arena_for_size(own, MIB), oversize);
	store_relaxed(&own->oversize, 8 * MIB);
	for (unsigned i = 0; i < ARENAS; i++) /* no thread gets it, nor the manual one */
		assert_true(arena_assign()->index < ARENAS);
	for (unsigned i = 0; i < ARENAS; i++)
		arena_leave(arena_at(i));
	assert_int_equal(destroy(arena_at(index)), 0);
}

/* An arena keeps the node of the thread that made it, a record that is used again the new one. */
static void test_node(void **state) {
	(void)state;
	static struct arena_reading reading, sum;
	unsigned first, second;
	fake.node = 3;
	assert_int_equal(arena_create(NULL, &first), 0);
	fake.node = 1;
	assert_int_equal(arena_create(NULL, &second), 0);
	arena_read(arena_at(first), &reading);
	assert_int_equal(reading.node, 3);
	sum.node = NO_NODE;
	arena_add_reading(&sum, &reading);
	assert_int_equal(sum.node, NO_NODE);
	arena_read(arena_at(second), &reading);
	assert_int_equal(reading.node, 1);
	assert_int_equal(destroy(arena_at(first)), 0);
	assert_int_equal(arena_create(NULL, &first), 0);
	assert_int_equal(arena_at(first)->node, 1);
	assert_int_equal(destroy(arena_at(first)), 0);
	assert_int_equal(destroy(arena_at(second)), 0);
	(void)arena_read_destroyed(&sum);
	assert_int_equal(sum.node, NO_NODE);
	fake.node = 0;
}

static void test_names(void **state) {
	(void)state;
	arena_set_name(arena_at(0), "a name");
	check_name(0, "a name");
	arena_set_name(arena_at(0), "0123456789012345678901234567890123456789");
	check_name(0, "0123456789012345678901234567890");
	arena_set_name(arena_at(0), "");
	check_name(0, "");
	arena_set_name(arena_at(0), "auto_0");
}

static void test_indices(void **state) {
	(void)state;
	unsigned index[4], again;
	unsigned before = arena_count();
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(arena_create(NULL, &index[i]), 0);
	before = arena_count();
	struct arena *record = arena_at(index[2]);
	assert_true(arena_is_manual(record));
	assert_int_equal(destroy(arena_at(index[1])), 0);
	assert_int_equal(destroy(record), 0);
	assert_null(arena_at(index[1]));
	assert_null(arena_at(index[2]));
	assert_int_equal(arena_count(), before);
	assert_true(arena_any_destroyed());
	assert_int_equal(arena_create(NULL, &again), 0);
	assert_int_equal(again, index[2]); /* the last one first */
	assert_ptr_equal(arena_at(again), record);
	assert_int_equal(arena_create(NULL, &again), 0);
	assert_int_equal(again, index[1]);
	assert_int_equal(arena_count(), before);
	struct arena *held = arena_at(again);
	assert_true(arena_join(held));
	assert_int_equal(destroy(held), EFAULT);
	assert_ptr_equal(arena_at(again), held);
	arena_leave(held);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(destroy(arena_at(index[i])), 0);
	assert_false(arena_join(held));
	assert_int_equal(destroy(held), EFAULT); /* it is none now */
}

/* All there can be, twice; they stay small as long as nobody allocates from them. */
static void test_all_indices(void **state) {
	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		unsigned index, highest = 0, made = 0;
		while (arena_create(NULL, &index) == 0) {
			made++;
			highest = index > highest ? index : highest;
		}
		assert_int_equal(highest, 4094);
		assert_int_equal(arena_count(), 4095);
		assert_int_equal(made, 4095 - ARENAS - 1);
		assert_null(arena_make(4095));
		for (unsigned i = ARENAS + 1; i < 4095; i++)
			assert_int_equal(destroy(arena_at(i)), 0);
	}
	assert_true(sizeof(struct arena) < 12 * KIB);
}

static void test_no_memory(void **state) {
	(void)state;
	unsigned before = arena_count(), index;
	fake.fail_map = true;
	while (base_alloc(64 * KIB, 64) != NULL) /* what is left of the records' memory */
		;
	while (base_alloc(64, 64) != NULL)
		;
	int error = arena_create(NULL, &index); /* may still find records that were used before */
	assert_true(error == 0 || error == EAGAIN);
	if (error == 0)
		assert_int_equal(destroy(arena_at(index)), 0);
	struct arena *fresh = arena_at(1);
	assert_null(arena_take(fresh, 36)); /* no bin, no slab */
	fake.fail_map = false;
	assert_int_equal(arena_count(), before);
	void *block = arena_take(fresh, 36);
	assert_non_null(block);
	arena_flush(36, &block, 1);
}

static void test_default_decay(void **state) {
	(void)state;
	unsigned index;
	assert_int_equal(arena_default_decay(PAGE_DIRTY), 10000);
	assert_int_equal(arena_set_default_decay(PAGE_DIRTY, -2), EFAULT);
	assert_int_equal(arena_set_default_decay(PAGE_DIRTY, DECAY_MS_LIMIT + 1), EFAULT);
	assert_int_equal(arena_set_default_decay(PAGE_DIRTY, 77), 0);
	assert_int_equal(arena_set_default_decay(PAGE_MUZZY, -1), 0);
	assert_int_equal(arena_create(NULL, &index), 0);
	assert_int_equal(load_relaxed(&arena_at(index)->pages.decay[PAGE_DIRTY].ms), 77);
	assert_int_equal(load_relaxed(&arena_at(index)->pages.decay[PAGE_MUZZY].ms), -1);
	assert_int_equal(load_relaxed(&arena_at(0)->pages.decay[PAGE_DIRTY].ms), 10000);
	assert_int_equal(destroy(arena_at(index)), 0);
	assert_int_equal(arena_set_default_decay(PAGE_DIRTY, 10000), 0);
	assert_int_equal(arena_set_default_decay(PAGE_MUZZY, 0), 0);
}

/* -- counts ---------------------------------------------------------------------------------------------------- */

static void test_requests(void **state) {
	(void)state;
	struct arena *arena = arena_at(0);
	const unsigned class = 20, large = CLASS_SMALL_LAST + 2;
	struct class_stats before = arena_read_own_class(arena, class);
	void *slots[100], *one = arena_take(arena, class);
	assert_int_equal(arena_fill(arena, class, slots, 100), 100);
	arena_count_requests(arena, class, 1000);
	struct class_stats now = arena_read_own_class(arena, class);
	assert_int_equal(now.requests, before.requests + 1001);
	assert_int_equal(now.filled, before.filled + 101);
	assert_int_equal(now.fills, before.fills + 2);
	assert_int_equal(now.created - before.created, now.slabs);
	assert_int_equal(arena_read_own_class(arena, class).nonfull,
	                 now.slabs * class_info[class].regions == 101 ? 0 : 1);
	arena_flush(class, slots, 100);
	arena_flush(class, &one, 1);
	now = arena_read_own_class(arena, class);
	assert_int_equal(now.filled, now.flushed);
	assert_int_equal(now.slabs, 0);
	one = arena_take(arena, large);
	arena_count_requests(arena, large, 5);
	struct large_stats counts = arena_read_own_large(arena, 1);
	assert_int_equal(counts.requests, 6);
	assert_int_equal(counts.taken - counts.given, 1);
	assert_int_equal(arena_read_large_bytes(arena), 20480);
	arena_flush(large, &one, 1);
	assert_int_equal(arena_read_large_bytes(arena), 0);
}

/* Filling that goes from one slab to another that is there. */
static void test_reused(void **state) {
	(void)state;
	struct arena *arena = arena_at(0);
	const unsigned class = 36, regions = class_info[36].regions;
	void *slots[16];
	assert_true(2 * regions <= COUNT_OF(slots));
	uint64_t before = arena_read_own_class(arena, class).reused;
	assert_int_equal(arena_fill(arena, class, slots, 2 * regions), 2 * regions);
	assert_int_equal(arena_read_own_class(arena, class).reused, before); /* two new ones */
	void *first = slots[0], *last = slots[2 * regions - 1];
	assert_ptr_not_equal(map_span(first), map_span(last));
	arena_flush(class, &last, 1);
	arena_flush(class, &first, 1);
	assert_int_equal(arena_fill(arena, class, slots + 2 * regions - 1, 1), 1);
	uint64_t after = arena_read_own_class(arena, class).reused;
	assert_int_equal(arena_fill(arena, class, slots, 1), 1);
	assert_int_equal(arena_read_own_class(arena, class).reused, after + 1);
	arena_flush(class, slots, 2 * regions);
}

static void test_lookup(void **state) {
	(void)state;
	unsigned index;
	assert_int_equal(arena_create(NULL, &index), 0);
	struct arena *arena = arena_at(index);
	void *small = arena_take(arena, 5), *other = arena_take(arena_at(0), 5);
	struct span *huge = arena_take_large(arena, 3 * MIB, 1);
	assert_ptr_equal(arena_of_block(small), arena);
	assert_ptr_equal(arena_of_block((void *)huge->base), arena);
	assert_ptr_equal(arena_of_block(other), arena_at(0));
	assert_null(arena_of_block(NULL));
	assert_null(arena_of_block(&index));
	assert_false(arena_may_travel(&small, 1));
	assert_true(arena_may_travel(&other, 1));
	assert_false(arena_may_travel((void *[]){other, small}, 2));
	arena_flush(5, &other, 1);
	assert_int_equal(destroy(arena), 0);
	assert_true(arena_may_travel(&other, 1));
	assert_null(arena_of_block(small));
}

/* -- shards ---------------------------------------------------------------------------------------------------- */

struct sharer {
	void *slots[50];
	unsigned shard;
	pthread_barrier_t *all; /* threads are told apart only while they live */
};

static void *take_in_thread(void *data) {
	struct sharer *sharer = data;
	CHECK(arena_fill(arena_at(0), SHARDED, sharer->slots, 50) == 50);
	sharer->shard = map_span(sharer->slots[0])->shard;
	pthread_barrier_wait(sharer->all);
	return NULL;
}

/* One block of each bin is the last to go: until then its slab has a page without any, which is purged. */
static void give_mixed(const struct sharer *sharers) {
	void *mixed[2 * SHARDS * 50], *kept[SHARDS] = {NULL};
	unsigned count = 0;
	for (unsigned i = 0; i < COUNT_OF(mixed); i++) {
		const struct sharer *sharer = &sharers[i % (2 * SHARDS)];
		void *block = sharer->slots[i / (2 * SHARDS)];
		if (kept[sharer->shard] == NULL)
			kept[sharer->shard] = block;
		else
			mixed[count++] = block;
	}
	arena_audit(arena_at(0));
	arena_flush(SHARDED, mixed, count);
	arena_decay(arena_at(0), fake.now, true);
	for (unsigned i = 0; i < SHARDS; i++) {
		if (kept[i] == NULL)
			continue;
		assert_int_not_equal(map_span(kept[i])->hollow, 0); /* its other page went */
		arena_flush(SHARDED, &kept[i], 1);
	}
}

/* Threads spread over the bins; each stays with its own, and blocks find theirs again. */
static void test_shards(void **state) {
	(void)state;
	struct sharer sharers[2 * SHARDS];
	pthread_t threads[2 * SHARDS];
	pthread_barrier_t all;
	unsigned used[SHARDS] = {0}, bins = 0;
	assert_int_equal(arena_shards(SHARDED), SHARDS);
	assert_int_equal(arena_shards(SHARDED + 1), 1);
	pthread_barrier_init(&all, NULL, 2 * SHARDS);
	for (unsigned i = 0; i < 2 * SHARDS; i++) {
		sharers[i].all = &all;
		CHECK(pthread_create(&threads[i], NULL, take_in_thread, &sharers[i]) == 0);
	}
	for (unsigned i = 0; i < 2 * SHARDS; i++) {
		pthread_join(threads[i], NULL);
		assert_in_range(sharers[i].shard, 0, SHARDS - 1);
		used[sharers[i].shard]++;
	}
	for (unsigned i = 0; i < SHARDS; i++) {
		struct bin *bin = arena_bin(arena_at(0), SHARDED, i);
		assert_int_equal(bin->filled, used[i] * 50);
		bins += used[i] > 0;
	}
	assert_true(bins > 1);
	assert_int_equal(arena_read_own_class(arena_at(0), SHARDED).filled, 2 * SHARDS * 50);
	give_mixed(sharers);
	for (unsigned i = 0; i < SHARDS; i++) {
		assert_int_equal(arena_bin(arena_at(0), SHARDED, i)->flushed, used[i] * 50);
		assert_int_equal(arena_bin(arena_at(0), SHARDED, i)->live, 0);
	}
	arena_audit(arena_at(0));
}

/* -- reset and destroy ----------------------------------------------------------------------------------------- */

enum { LIVE = 2000 };

/* Takes and gives at random until many blocks of all sizes are live; nothing is given back. */
static void fill_at_random(struct arena *arena, unsigned steps) {
	static void *live[LIVE];
	static unsigned class_of[LIVE];
	unsigned count = 0;
	for (unsigned i = 0; i < steps; i++) {
		if (count < LIVE && test_random(&seed) % 3 != 0) {
			unsigned class = 1 + (unsigned)(test_random(&seed) % CLASS_LAST);
			if (arena_fill(arena, class, &live[count], 1) == 1)
				class_of[count++] = class;
		} else if (count > 0) {
			unsigned at = (unsigned)(test_random(&seed) % count);
			arena_flush(class_of[at], &live[at], 1);
			live[at] = live[--count];
			class_of[at] = class_of[count];
		}
		if (i % 50 == 0) {
			struct span *span = arena_take_large(arena, 1 + test_random(&seed) % (8 * MIB), 1);
			if (span != NULL && i % 100 == 0)
				arena_give_large(span);
			else if (span != NULL)
				(void)arena_resize_large(span, 1 + test_random(&seed) % (8 * MIB));
		}
	}
}

static void check_empty(struct arena *arena) {
	for (unsigned class = 1; class <= CLASS_LAST; class ++) {
		struct class_stats stats = arena_read_own_class(arena, class);
		assert_int_equal(stats.filled, stats.flushed);
		assert_int_equal(stats.slabs, 0);
	}
	for (unsigned large = 0; large < LARGE_CLASSES; large++) {
		struct large_stats stats = arena_read_own_large(arena, large);
		assert_int_equal(stats.taken, stats.given);
	}
	assert_int_equal(arena_read_large_bytes(arena), 0);
	assert_int_equal(page_read_stats(&arena->pages).active, 0);
	arena_audit(arena);
}

/* Bytes of pages that are handed out, given back or not. */
static size_t handed_out(void) {
	struct arena_stats stats = arena_read_stats();
	return stats.active + stats.slab_hollow;
}

static void test_reset(void **state) {
	(void)state;
	unsigned index;
	assert_int_equal(arena_create(NULL, &index), 0);
	struct arena *arena = arena_at(index);
	void *foreign = arena_take(arena_at(0), 7);
	size_t active = handed_out();
	for (unsigned round = 0; round < 5; round++) {
		fill_at_random(arena, (unsigned)test_scaled(3000));
		void *known = arena_take(arena, 7);
		assert_true(page_read_stats(&arena->pages).active > 0);
		assert_int_equal(arena_reset(arena), 0);
		check_empty(arena);
		assert_null(map_span(known)); /* out of the page map */
		assert_int_equal(map_class(known), CLASS_NONE);
		assert_int_equal(handed_out(), active);
		arena_decay_all(fake.now += 1000000000, round % 2 == 0);
		arena_audit_all();
	}
	assert_ptr_equal(arena_of_block(foreign), arena_at(0));
	arena_flush(7, &foreign, 1);
	assert_int_equal(destroy(arena), 0);
}

static uint64_t past_taken(void) {
	static struct arena_past past;
	uint64_t sum = 0;
	arena_read_past(&past);
	for (unsigned class = 1; class <= CLASS_SMALL_LAST; class ++) {
		assert_int_equal(past.class[class].filled, past.class[class].flushed);
		assert_int_equal(past.class[class].slabs, 0);
		sum += past.class[class].filled;
	}
	for (unsigned large = 0; large < LARGE_CLASSES; large++) {
		assert_int_equal(past.large[large].taken, past.large[large].given);
		sum += past.large[large].taken;
	}
	return sum;
}

static uint64_t own_taken(struct arena *arena) {
	uint64_t sum = 0;
	for (unsigned class = 1; class <= CLASS_SMALL_LAST; class ++)
		sum += arena_read_own_class(arena, class).filled;
	for (unsigned large = 0; large < LARGE_CLASSES; large++)
		sum += arena_read_own_large(arena, large).taken;
	return sum;
}

static void test_destroy(void **state) {
	(void)state;
	size_t active = handed_out();
	for (unsigned round = 0; round < 5; round++) {
		unsigned index;
		assert_int_equal(arena_create(NULL, &index), 0);
		struct arena *arena = arena_at(index);
		assert_int_equal(own_taken(arena), 0); /* also where the record was used before */
		assert_int_equal(page_read_stats(&arena->pages).active, 0);
		fill_at_random(arena, (unsigned)test_scaled(3000));
		uint64_t taken = own_taken(arena), past = past_taken();
		assert_true(taken > 0);
		assert_int_equal(destroy(arena), 0);
		assert_int_equal(past_taken(), past + taken);
		assert_int_equal(handed_out(), active);
		arena_audit_all();
	}
}

int main(void) {
	seed = test_seed();
	fake.all_real = true;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_automatic), cmocka_unit_test(test_oversize),
		cmocka_unit_test(test_names),     cmocka_unit_test(test_indices),
		cmocka_unit_test(test_requests),  cmocka_unit_test(test_reused),
		cmocka_unit_test(test_lookup),    cmocka_unit_test(test_default_decay),
		cmocka_unit_test(test_shards),    cmocka_unit_test(test_reset),
		cmocka_unit_test(test_destroy),   cmocka_unit_test(test_all_indices),
		cmocka_unit_test(test_no_memory), cmocka_unit_test(test_node),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}
