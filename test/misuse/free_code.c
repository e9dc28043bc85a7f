/* The address of a function. */
#include "misuse.h"

int main(void) {
	free(name((void *)(uintptr_t)&main));
	return 0;
}
