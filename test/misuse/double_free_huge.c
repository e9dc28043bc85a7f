/* A block of several chunks twice. */
#include "misuse.h"

int main(void) {
	void *ptr = malloc((size_t)20 << 20);
	free(name(ptr));
	free(ptr);
	return 0;
}
