/* A small number that became a pointer. */
#include "misuse.h"

int main(void) {
	free(name((void *)(uintptr_t)42));
	return 0;
}
