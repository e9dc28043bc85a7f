/* With many frees in between and after: seen when the cache is flushed. */
#include "misuse.h"

int main(void) {
	gather(100);
	void *ptr = crowd[0];
	free(name(ptr));
	for (size_t i = 1; i < 30; i++)
		free(crowd[i]);
	crowd[0] = ptr;
	for (size_t i = 1; i < 30; i++)
		crowd[i] = NULL;
	disperse();
	return 0;
}
