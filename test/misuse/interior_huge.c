/* The middle of a block of several chunks. */
#include "misuse.h"

int main(void) {
	char *ptr = malloc((size_t)16 << 20);
	free(name(ptr + ((size_t)5 << 20)));
	return 0;
}
