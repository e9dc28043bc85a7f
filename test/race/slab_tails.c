/*
 * Slabs with pages behind their last region, purged while their last block is freed: pages that went with the slab are
 * somebody else's by then.
 */
// ctest-timeout: 120
// ctest: MALLOC_CONF=tcache:false,slab_sizes:5120-5120:6
#define _GNU_SOURCE
#include "../harness.h"

#include <pthread.h>
#include <stdatomic.h>

enum { BLOCKS = 512, SMALL = 5120, LARGE = 20480, ROUNDS = TEST_TSAN ? 20 : 1500 };

int SUT(malloc_trim)(size_t pad);

static atomic_bool over;

static void *trim(void *unused) {
	while (!atomic_load(&over))
		(void)SUT(malloc_trim)(0);
	return unused;
}

static bool holds(const unsigned char *block, size_t size, unsigned char value) {
	for (size_t i = 0; i < size; i += 64)
		if (block[i] != value)
			return false;
	return true;
}

/* One block of each slab stays, behind which there is a page without any; then that goes too. */
static void empty_slabs(unsigned char **block) {
	for (size_t i = 0; i < BLOCKS; i++) {
		block[i] = SUT(malloc)(SMALL);
		CHECK(block[i] != NULL);
		memset(block[i], 0x11, SMALL);
	}
	for (size_t i = 0; i < BLOCKS; i++) {
		if ((uintptr_t)block[i] % 4096 == 1024) {
			SUT(free)(block[i]);
			block[i] = NULL;
		}
	}
	for (size_t i = 0; i < BLOCKS; i++) {
		CHECK(block[i] == NULL || holds(block[i], SMALL, 0x11));
		SUT(free)(block[i]);
	}
}

static void use_pages(unsigned char **block) {
	for (size_t i = 0; i < BLOCKS / 2; i++) {
		block[i] = SUT(malloc)(LARGE);
		CHECK(block[i] != NULL);
		memset(block[i], 0x22, LARGE);
	}
	for (size_t i = 0; i < BLOCKS / 2; i++) {
		CHECK(holds(block[i], LARGE, 0x22));
		SUT(free)(block[i]);
	}
}

int main(void) {
	static unsigned char *block[BLOCKS];
	pthread_t trimmer;
	CHECK(pthread_create(&trimmer, NULL, trim, NULL) == 0);
	for (int round = 0; round < ROUNDS; round++) {
		empty_slabs(block);
		use_pages(block);
	}
	atomic_store(&over, true);
	CHECK(pthread_join(trimmer, NULL) == 0);
	return 0;
}
