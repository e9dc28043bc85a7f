/* One byte off. */
#include "misuse.h"

int main(void) {
	gather(256);
	char *ptr = malloc(256);
	free(name(ptr + 1));
	disperse();
	return 0;
}
