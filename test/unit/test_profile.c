// ctest-link: ashlar_profile
/* What `ashlar profile` makes of a heap: values, the calling tree, and profiles cut off at every byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "show.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char heap[] = "heap_v2/1024\n"
			   "  t*: 9: 9000 [0: 0]\n"
			   "  t0: 9: 9000 [0: 0] main\n"
			   "@ 0x101 0x201 0x301\n"
			   "  t*: 2: 2048 [0: 0]\n"
			   "  t0: 2: 2048 [0: 0]\n"
			   "@ 0x111 0x301\n"
			   "  t*: 1: 1024 [0: 0]\n"
			   "@ 0x301 0x301\n"
			   "  t*: 4: 4096000 [0: 0]\n"
			   "\n"
			   "MAPPED_LIBRARIES:\n"
			   "100-200 r-xp 00000000 08:01 42   /bin/one\n"
			   "200-300 r-xp 00000000 08:01 42   /bin/two\n"
			   "300-400 r--p 00000000 08:01 42   /bin/data\n"
			   "300-400 r-xp 00000000 08:01 42   /bin/three\n";

/* 1 - 1/e of the objects of 1024 bytes are not seen when one byte in 1024 is. */
static double scaled(double value) {
	return round(value / (1 - exp(-1)));
}

static void read_whole(struct profile *profile) {
	struct failure failure = {""};
	profile_start(profile);
	if (!read_heap(profile, heap, sizeof heap - 1, &failure))
		fail_msg("%s", failure.text);
}

static void test_values(void **state) {
	(void)state;
	struct profile profile;
	read_whole(&profile);
	uint32_t objects = profile_find_type(&profile, "inuse_objects");
	uint32_t space = profile_find_type(&profile, "inuse_space");
	assert_int_equal(profile.sample_count, 3);
	assert_int_equal(profile.type_count, 2);
	assert_true(profile.samples[0].values[objects] == scaled(2));
	assert_true(profile.samples[0].values[space] == scaled(2048));
	assert_true(profile.samples[1].values[space] == scaled(1024));
	assert_true(profile.samples[2].values[space] == 4096000); /* seen for sure */
	const struct location *first = &profile.locations[profile.stacks[0]];
	assert_true(first->address == 0x100);
	assert_string_equal(text_of(&profile, profile.mappings[first->mapping].file), "/bin/one");
	profile_free(&profile);
}

static void test_tree(void **state) {
	(void)state;
	struct profile profile;
	struct tree tree;
	double *flat, *cumulated;
	read_whole(&profile);
	struct choice choice = {.type = profile_find_type(&profile, "inuse_space")};
	tree_build(&tree, &profile, &choice);
	/* all; three that calls itself; two, one; one */
	static const struct node wanted[] = {{.depth = 0, .end = 6}, {.depth = 1, .end = 6},
	                                     {.depth = 2, .end = 3}, {.depth = 2, .end = 5},
	                                     {.depth = 3, .end = 5}, {.depth = 2, .end = 6}};
	assert_int_equal(tree.node_count, 6);
	for (uint32_t i = 0; i < 6; i++) {
		assert_int_equal(tree.nodes[i].depth, wanted[i].depth);
		assert_int_equal(tree.nodes[i].end, wanted[i].end);
	}
	assert_true(tree_total(&tree, 0) == scaled(2048) + scaled(1024) + 4096000);
	assert_true(tree_self(&tree, 2) == 4096000 && tree_total(&tree, 3) == scaled(2048));
	tree_flat(&tree, &flat, &cumulated);
	uint32_t three = tree.nodes[1].frame, one = tree.nodes[5].frame;
	assert_int_equal(tree.nodes[2].frame, three);
	assert_int_equal(tree.nodes[4].frame, one);
	assert_true(flat[three] == 4096000 && cumulated[three] == tree_total(&tree, 0));
	assert_true(flat[one] == scaled(2048) + scaled(1024) && cumulated[one] == flat[one]);
	free(flat);
	free(cumulated);
	tree_free(&tree);
	profile_free(&profile);
}

/* Written as profile.proto and read again it says the same; cut off anywhere it is refused. */
static void test_proto(void **state) {
	(void)state;
	struct profile profile, again;
	struct bytes bytes = {0};
	struct failure failure = {""};
	read_whole(&profile);
	write_proto(&profile, 0, &bytes);
	profile_start(&again);
	assert_true(read_profile(&again, bytes.data, bytes.length, &failure));
	assert_int_equal(again.sample_count, 3);
	for (uint32_t i = 0; i < 3; i++)
		assert_memory_equal(again.samples[i].values, profile.samples[i].values,
		                    sizeof again.samples[i].values);
	assert_int_equal(again.period, 1024);
	profile_free(&again);
	size_t refused = 0;
	for (size_t length = 0; length < bytes.length; length++) {
		unsigned char *cut = malloc(length + 1);
		memcpy(cut, bytes.data, length);
		profile_start(&again);
		refused += !read_profile(&again, cut, length, &failure);
		profile_free(&again);
		free(cut);
	}
	/* What stands at the end is not missed: the kind and length of the period. */
	assert_in_range(refused, bytes.length - 16, bytes.length);
	free(bytes.data);
	profile_free(&profile);
}

/* A heap may end after any line but an address line. */
static void test_cut_heap(void **state) {
	(void)state;
	for (size_t length = 0; length < sizeof heap; length++) {
		struct profile profile;
		struct failure failure = {""};
		char *cut = malloc(length + 1);
		memcpy(cut, heap, length);
		profile_start(&profile);
		bool read = read_heap(&profile, cut, length, &failure);
		bool line_end = length > 0 && cut[length - 1] == '\n';
		assert_true(!read || line_end);
		assert_true(read || failure.text[0] != 0);
		profile_free(&profile);
		free(cut);
	}
}

static void test_texts(void **state) {
	(void)state;
	struct profile profile;
	profile_start(&profile);
	uint32_t word = profile_word(&profile, "word");
	for (unsigned i = 0; i < 1000; i++) {
		char text[16];
		snprintf(text, sizeof text, "text %u", i);
		profile_word(&profile, text);
	}
	assert_int_equal(profile_text(&profile, "words", 4), word);
	assert_int_equal(profile_text(&profile, "", 0), 0);
	assert_string_equal(text_of(&profile, profile_text(&profile, "a\n\xff\xc3\xa9\0z", 7)),
	                    "a??\xc3\xa9?z");
	profile_free(&profile);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),   cmocka_unit_test(test_tree),  cmocka_unit_test(test_proto),
		cmocka_unit_test(test_cut_heap), cmocka_unit_test(test_texts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
