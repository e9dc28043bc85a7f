/* A later page of a large block of a size that caches keep. */
#include "misuse.h"

int main(void) {
	char *ptr = malloc(20480);
	free(name(ptr + 8192));
	return 0;
}
