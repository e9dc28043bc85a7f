/* Twice in a row. */
#include "misuse.h"

int main(void) {
	void *ptr = malloc(100);
	free(name(ptr));
	free(ptr);
	return 0;
}
