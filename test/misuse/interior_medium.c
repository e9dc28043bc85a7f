/* The second page of a block of several pages that is still small. */
#include "misuse.h"

int main(void) {
	gather(10240);
	char *ptr = malloc(10240);
	free(name(ptr + 4096));
	disperse();
	return 0;
}
