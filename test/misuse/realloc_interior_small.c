/* realloc from inside a small block. */
#include "misuse.h"

int main(void) {
	gather(320);
	char *ptr = malloc(320);
	crowd[0] = realloc(name(ptr + 32), 5000);
	disperse();
	for (size_t i = 1; i < CROWD; i++)
		crowd[i] = malloc(320);
	disperse();
	return 0;
}
