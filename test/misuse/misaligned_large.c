/* One byte into a large block. */
#include "misuse.h"

int main(void) {
	char *ptr = malloc(200000);
	free(name(ptr + 1));
	return 0;
}
