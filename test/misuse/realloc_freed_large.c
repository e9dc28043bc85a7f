/* realloc of a large block that was freed. */
#include "misuse.h"

int main(void) {
	void *ptr = malloc(300000);
	free(name(ptr));
	return realloc(ptr, 400000) == NULL;
}
