/* realloc of a later page of a large block. */
#include "misuse.h"

int main(void) {
	char *ptr = malloc(300000);
	return realloc(name(ptr + 8192), 400000) == NULL;
}
