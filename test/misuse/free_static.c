/* A static array. */
#include "misuse.h"

static _Alignas(64) char buffer[256];

int main(void) {
	free(name(buffer));
	return 0;
}
