/* sdallocx of a static array, past the cache. */
#include <jemalloc/jemalloc.h>

#include "misuse.h"

static _Alignas(64) char buffer[256];

int main(void) {
	SUT(sdallocx)(name(buffer), 256, MALLOCX_TCACHE_NONE);
	return 0;
}
