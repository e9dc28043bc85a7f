/* The pointer that stands for failure in other interfaces. */
#include "misuse.h"

int main(void) {
	free(name((void *)(intptr_t)-1));
	return 0;
}
