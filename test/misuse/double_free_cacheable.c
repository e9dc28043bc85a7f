/* A large block of a size that caches keep, twice in a row. */
#include "misuse.h"

int main(void) {
	void *ptr = malloc(20000);
	free(name(ptr));
	free(ptr);
	return 0;
}
