/* A string in read-only memory. */
#include "misuse.h"

int main(void) {
	const char *text = "not from the heap";
	free(name((void *)(uintptr_t)text));
	return 0;
}
