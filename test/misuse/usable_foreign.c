/* Not reported: the usable size of what is not ours is 0. */
#include "misuse.h"

int main(void) {
	static char buffer[64];
	int local = 0;
	bool none = malloc_usable_size(buffer) == 0 && malloc_usable_size(&local) == 0;
	return none && malloc_usable_size((void *)(uintptr_t)0x123456789000) == 0 ? 0 : 1;
}
