/* With one other free in between: seen at once, or at the latest when the cache is flushed. */
#include "misuse.h"

int main(void) {
	gather(100);
	void *ptr = malloc(100), *other = malloc(100);
	free(name(ptr));
	free(other);
	free(ptr);
	disperse();
	return 0;
}
