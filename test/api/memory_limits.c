/*
 * The limits of memory while the program runs: what is refused and what is not, what works on, what goes back, and their
 * figures.
 */
// ctest-timeout: 120
#include "ctl.h"

#include <sys/resource.h>

enum { MIB = 1 << 20, MANY = 100000 };

static size_t used(void) {
	return CTL_GET(size_t, "stats.ashlar.limit.used");
}

static void set(const char *kind, size_t bytes) {
	char name[64];
	(void)snprintf(name, sizeof name, "ashlar.limit.%s", kind);
	assert_int_equal(ctl_write(name, &bytes, sizeof bytes), 0);
	assert_int_equal(CTL_GET(size_t, name), bytes);
	(void)snprintf(name, sizeof name, "stats.ashlar.limit.%s", kind);
	assert_int_equal(CTL_GET(size_t, name), bytes);
}

static uint64_t refused(void) {
	return CTL_GET(uint64_t, "stats.ashlar.limit.refused");
}

static int no_limits(void **state) {
	(void)state;
	set("soft", 0);
	set("hard", 0);
	assert_int_equal(ctl_do("arena.4096.purge"), 0);
	return 0;
}

static void **blocks;

static int make_table(void **state) {
	(void)state;
	blocks = malloc(MANY * sizeof *blocks);
	return blocks == NULL;
}

/* Blocks until there are no more, which must be said cleanly. */
static size_t take_all(size_t size) {
	for (size_t i = 0; i < MANY; i++) {
		errno = 0;
		blocks[i] = i % 2 == 0 ? malloc(size) : calloc(1, size);
		if (blocks[i] == NULL) {
			assert_int_equal(errno, ENOMEM);
			return i;
		}
		test_fill(blocks[i], size, i);
	}
	return MANY;
}

static void drop(size_t size, size_t count) {
	for (size_t i = 0; i < count; i++) {
		assert_true(test_holds(blocks[i], size, size, i));
		ERRNO_KEPT(free(blocks[i]));
	}
}

static void values(void **state) {
	(void)state;
	size_t most = (size_t)0x7000000000000000u, more = most + 1, old = 0, length = sizeof old;
	static const char *const names[] = {"ashlar.limit.soft", "ashlar.limit.hard"};
	for (unsigned i = 0; i < COUNT_OF(names); i++) {
		assert_int_equal(ctl_write(names[i], &most, sizeof most), 0);
		assert_int_equal(ctl_write(names[i], &more, sizeof more), EINVAL);
		assert_int_equal(ctl_write(names[i], &more, 4), EINVAL);
		assert_int_equal(CTL_GET(size_t, names[i]), most);
		most--;
		assert_int_equal(ctl(names[i], &old, &length, &most, sizeof most), 0);
		assert_int_equal(old, most + 1);
		most = (size_t)0x7000000000000000u;
	}
	assert_false(CTL_GET(bool, "stats.ashlar.limit.above"));
	assert_int_equal(ctl_write("stats.ashlar.limit.soft", &old, sizeof old), EPERM);
}

/* Asserts come when the limit is off: their messages need memory. */
static void hard_of_one_size(size_t size, size_t room) {
	assert_int_equal(ctl_do("arena.4096.purge"), 0);
	size_t before = used();
	uint64_t refusals = refused();
	set("hard", before + room);
	size_t count = take_all(size), most = used();
	drop(size, count);
	size_t again = take_all(size); /* all of it is there again */
	drop(size, again);
	set("hard", 0);
	assert_in_range(count * size, room * 3 / 4, room + (size_t)4 * MIB);
	assert_in_range(again * size, room * 3 / 4, room + (size_t)4 * MIB);
	assert_in_range(most, before + room * 3 / 4, before + room + (size_t)4 * MIB);
	assert_true(refused() > refusals);
}

static void hard_refuses(void **state) {
	(void)state;
	static const size_t sizes[] = {1000, 16384, 3000, 100000, 1u << 20, 4096, 3u << 20};
	for (unsigned i = 0; i < COUNT_OF(sizes); i++)
		hard_of_one_size(sizes[i], (size_t)48 * MIB);
}

/* Each call in its own way; what there was is left alone. */
static void each_call(void **state) {
	(void)state;
	const size_t size = (size_t)20 * MIB, large = (size_t)100 * MIB;
	char *block = malloc(size);
	void *out = block;
	assert_non_null(block);
	test_fill(block, size, 1);
	set("hard", used() + (size_t)20 * MIB);
	ERRNO_SET(ENOMEM, assert_null(malloc(large)));
	ERRNO_SET(ENOMEM, assert_null(calloc(large / 100, 100)));
	ERRNO_SET(ENOMEM, assert_null(aligned_alloc(4096, large)));
	ERRNO_SET(ENOMEM, assert_null(realloc(block, large)));
	ERRNO_SET(ENOMEM, assert_null(realloc(block, size + (size_t)21 * MIB)));
	errno = 4711;
	assert_int_equal(posix_memalign(&out, 64, large), ENOMEM);
	assert_ptr_equal(out, block);
	assert_null(t_mallocx(large, 0));
	assert_null(t_rallocx(block, large, 0));
	assert_true(SUT_CTL(xallocx)(block, large, 0, 0) < large);
	assert_true(test_holds(block, size, size, 1));
	char *bigger = realloc(block, size + MIB); /* in place, or there is room for a while */
	if (bigger != NULL)
		block = bigger;
	assert_true(test_holds(block, size, size, 1));
	free(block);
	block = malloc(size);
	assert_non_null(block);
	free(block);
}

/* Free pages that are not given back are no reason to refuse. */
static void unused_pages_make_room(void **state) {
	(void)state;
	assert_int_equal(ctl_do("arena.4096.purge"), 0);
	set("hard", used() + (size_t)70 * MIB);
	size_t count = take_all(MIB / 2), size = (size_t)60 * MIB;
	assert_in_range(count, 120, 148);
	drop(MIB / 2, count);
	for (int i = 0; i < 5; i++) {
		char *block = malloc(size);
		assert_non_null(block);
		memset(block, 1, size);
		free(block);
		size = size == (size_t)60 * MIB ? (size_t)50 * MIB : (size_t)60 * MIB;
	}
}

/* Pages of slabs that went are not counted, and so there is no using them again beyond the limit. */
static void pages_of_slabs(void **state) {
	(void)state;
	const size_t size = 448, room = (size_t)12 * MIB;
	for (size_t i = 0; i < MANY; i++)
		memset(blocks[i] = malloc(size), 1, size);
	size_t full = used();
	for (size_t i = 0; i < MANY; i++)
		if (i % 64 != 0)
			free(blocks[i]);
	assert_int_equal(ctl_do("arena.4096.purge"), 0);
	size_t before = used(), resident = test_status_kib("VmRSS") * 1024;
	uint64_t refusals = refused();
	set("hard", before + room);
	size_t i = 0;
	for (; i < MANY; i++) {
		if (i % 64 == 0)
			continue;
		if ((blocks[i] = malloc(size)) == NULL)
			break;
		memset(blocks[i], 1, size);
	}
	size_t most = used(), grown = test_status_kib("VmRSS") * 1024 - resident;
	set("hard", 0);
	for (size_t k = 0; k < MANY; k++)
		if (k % 64 == 0 || k < i)
			free(blocks[k]);
	assert_true(full - before > MANY * size * 5 / 7 - MIB);
	assert_in_range(i * size, room * 3 / 4, room * 5 / 4);
	assert_in_range(most, before + room * 3 / 4, before + room);
	assert_in_range(grown, room / 2, room + MIB);
	assert_true(refused() > refusals);
}

static void changed_while_running(void **state) {
	(void)state;
	set("hard", used() + (size_t)10 * MIB);
	ERRNO_SET(ENOMEM, assert_null(malloc((size_t)20 * MIB)));
	set("hard", used() + (size_t)40 * MIB);
	void *block = malloc((size_t)20 * MIB);
	assert_non_null(block);
	set("hard", 1); /* less than there is: only growth is refused */
	assert_null(malloc((size_t)2 * MIB));
	free(malloc(100));
	free(block);
	assert_null(malloc((size_t)2 * MIB));
	set("hard", 0);
	block = malloc((size_t)200 * MIB);
	assert_non_null(block);
	free(block);
}

/* Arenas that a program made count as well. */
static void manual_arenas(void **state) {
	(void)state;
	unsigned arena;
	assert_int_equal(ctl_read("arenas.create", &arena, sizeof arena), 0);
	int flags = FLAG_ARENA(arena) | FLAG_TCACHE_NONE;
	size_t before = used();
	set("hard", before + (size_t)32 * MIB);
	size_t count = 0;
	while (count < MANY && (blocks[count] = t_mallocx(100000, flags)) != NULL)
		count++;
	assert_in_range(count * 100000, (size_t)24 * MIB, (size_t)32 * MIB);
	assert_null(malloc((size_t)16 * MIB));
	for (size_t i = 0; i < count; i++)
		t_dallocx(blocks[i], flags);
	void *block = malloc((size_t)16 * MIB); /* what they do not use, nobody has to do without */
	assert_non_null(block);
	free(block);
	char name[64];
	(void)snprintf(name, sizeof name, "arena.%u.destroy", arena);
	assert_int_equal(ctl_do(name), 0);
}

/* Half of it is freed here and there, then all is taken in blocks that the holes are too small for. */
static size_t highest_of_bursts(size_t total) {
	const size_t size = 50000, large = (size_t)4 * MIB, count = total / size;
	size_t highest = 0;
	for (int round = 0; round < 4; round++) {
		for (size_t i = 0; i < count; i++)
			memset(blocks[i] = malloc(size), 1, size);
		for (size_t i = 0; i < count; i++)
			if (i % 4 != 0)
				free(blocks[i]);
		void *list = NULL;
		for (size_t taken = 0; taken < total * 3 / 4; taken += large) {
			void **next = malloc(large);
			assert_non_null(next);
			memset(next, 1, large);
			*next = list;
			list = next;
		}
		size_t now = test_status_kib("VmRSS") * 1024;
		highest = now > highest ? now : highest;
		while (list != NULL) {
			void *next = *(void **)list;
			free(list);
			list = next;
		}
		for (size_t i = 0; i < count; i += 4)
			free(blocks[i]);
	}
	return highest;
}

static void soft_gives_back(void **state) {
	(void)state;
	const size_t total = (size_t)100 * MIB, own = test_status_kib("VmRSS") * 1024;
	assert_in_range(used(), 0, (size_t)10 * MIB);
	uint64_t exceeded = CTL_GET(uint64_t, "stats.ashlar.limit.exceeded"),
		 purges = CTL_GET(uint64_t, "stats.ashlar.limit.purges");
	size_t without = highest_of_bursts(total);
	assert_int_equal(CTL_GET(uint64_t, "stats.ashlar.limit.exceeded"), exceeded);
	assert_true(without - own > (size_t)150 * MIB);
	assert_int_equal(ctl_do("arena.4096.purge"), 0);
	set("soft", (size_t)120 * MIB);
	size_t with = highest_of_bursts(total);
	assert_true(with - own < (size_t)130 * MIB);
	assert_true(CTL_GET(uint64_t, "stats.ashlar.limit.exceeded") > exceeded);
	assert_true(CTL_GET(uint64_t, "stats.ashlar.limit.purges") > purges);
	assert_in_range(used(), 0, (size_t)125 * MIB);
}

/* Beyond the soft limit everything is still there to be had; setting it gives back what is unused. */
static void soft_refuses_nothing(void **state) {
	(void)state;
	const size_t size = (size_t)64 * MIB;
	uint64_t refusals = refused();
	char *block = malloc(size), *other = malloc(size);
	memset(block, 1, size);
	memset(other, 1, size);
	free(other);
	size_t before = used();
	assert_true(before > 2 * size);
	set("soft", size);
	assert_true(CTL_GET(bool, "stats.ashlar.limit.above"));
	assert_true(used() < before - size / 2);
	other = malloc(size);
	assert_non_null(other);
	free(other);
	free(block);
	set("soft", 2 * size);
	assert_false(CTL_GET(bool, "stats.ashlar.limit.above"));
	assert_int_equal(refused(), refusals);
}

/* The same memory again and again, above the limit: it need not be given back and fetched each time. */
static void living_above(void **state) {
	(void)state;
	const size_t size = (size_t)4 * MIB;
	char *held = malloc((size_t)64 * MIB);
	set("soft", (size_t)32 * MIB);
	struct rusage before, after;
	assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
	for (int i = 0; i < 2000; i++) {
		char *block = malloc(size);
		for (size_t at = 0; at < size; at += 4096)
			block[at] = 1;
		free(block);
	}
	assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
	assert_true(after.ru_minflt - before.ru_minflt < 2000 * (long)(size / 4096) / 4);
	free(held);
}

#define LIMITED(test) cmocka_unit_test_teardown(test, no_limits)

int main(void) {
	const struct CMUnitTest tests[] = {
		LIMITED(values),          LIMITED(hard_refuses),
		LIMITED(each_call),       LIMITED(unused_pages_make_room),
		LIMITED(manual_arenas),   LIMITED(pages_of_slabs),
		LIMITED(soft_gives_back), LIMITED(soft_refuses_nothing),
		LIMITED(living_above),    LIMITED(changed_while_running),
	};
	return cmocka_run_group_tests(tests, make_table, NULL);
}
