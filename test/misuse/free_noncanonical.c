/* An address no processor can form: a pointer with its top bits overwritten. */
#include "misuse.h"

int main(void) {
	void *ptr = malloc(100);
	free(name((void *)((uintptr_t)ptr ^ ((uintptr_t)0xA5 << 56))));
	return 0;
}
