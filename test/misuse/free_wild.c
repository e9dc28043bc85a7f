/* An address nothing is mapped at. */
#include "misuse.h"

int main(void) {
	free(malloc(10));
	free(name((void *)(uintptr_t)0x123456789000));
	return 0;
}
