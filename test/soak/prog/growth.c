/*
 * One block at a time, grown by a tenth until it is 4 MiB, then freed, over and over.  What one round leaves
 * must serve the next: the highest resident set stays near the largest two blocks.
 */
#define _GNU_SOURCE
#include "../../harness.h"

#include <sys/resource.h>

enum { ROUNDS = 200, LARGEST = 4 << 20, BOUND_KIB = 32 * 1024 };

int main(void) {
	for (size_t round = 0; round < ROUNDS; round++) {
		size_t size = 1000;
		char *block = malloc(size);
		while (size < LARGEST) {
			size_t more = size + size / 10;
			block = realloc(block, more);
			CHECK(block != NULL);
			memset(block + size, (int)round, more - size);
			size = more;
		}
		CHECK(block[size / 2] == (char)round);
		free(block);
	}
	struct rusage usage;
	CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
	printf("highest resident set: %ld KiB, bound %d KiB\n", usage.ru_maxrss, BOUND_KIB);
	return usage.ru_maxrss <= BOUND_KIB ? 0 : 1;
}
