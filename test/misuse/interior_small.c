/* Sixteen bytes into a small block. */
#include "misuse.h"

int main(void) {
	gather(64);
	char *ptr = malloc(64);
	free(name(ptr + 16));
	disperse();
	return 0;
}
