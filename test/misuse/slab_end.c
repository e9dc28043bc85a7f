/* Behind the last block of a slab, where one more does not fit: 36 blocks of 112 bytes leave 64 of a page. */
#include "misuse.h"

const char *SUT(malloc_conf) = "slab_sizes:112-112:1";

int main(void) {
	gather(112);
	char *page = (char *)((uintptr_t)crowd[0] & ~(uintptr_t)4095);
	free(name(page + 36 * 112));
	disperse();
	return 0;
}
