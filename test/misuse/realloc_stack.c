/* realloc of a variable on the stack. */
#include "misuse.h"

int main(void) {
	char buffer[256];
	return realloc(name(buffer + 64), 100000) == NULL;
}
