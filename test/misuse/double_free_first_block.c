/* Twice in a row, the smallest block. */
#include "misuse.h"

int main(void) {
	void *ptr = malloc(1);
	free(name(ptr));
	free(ptr);
	return 0;
}
