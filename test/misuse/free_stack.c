/* A variable on the stack. */
#include "misuse.h"

int main(void) {
	char buffer[256];
	free(name(buffer + 64));
	return 0;
}
