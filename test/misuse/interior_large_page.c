/* A later page of a large block. */
#include "misuse.h"

int main(void) {
	char *ptr = malloc(100000);
	free(name(ptr + 4096));
	return 0;
}
