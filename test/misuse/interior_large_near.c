/* Sixteen bytes into a large block. */
#include "misuse.h"

int main(void) {
	char *ptr = malloc(100000);
	free(name(ptr + 16));
	return 0;
}
