/* free_sized of a static array. */
#include "misuse.h"

static _Alignas(64) char buffer[256];

int main(void) {
	SUT(free_sized)(name(buffer), 256);
	return 0;
}
