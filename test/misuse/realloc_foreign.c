/* realloc of a static array. */
#include "misuse.h"

static _Alignas(64) char buffer[256];

int main(void) {
	return realloc(name(buffer), 100) == NULL;
}
