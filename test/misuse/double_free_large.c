/* A large block twice. */
#include "misuse.h"

int main(void) {
	void *ptr = malloc(300000);
	free(name(ptr));
	free(ptr);
	return 0;
}
