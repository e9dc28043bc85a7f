/* A foreign pointer as the first thing a thread ever frees. */
#include "misuse.h"

static void *body(void *argument) {
	free(name(argument));
	return NULL;
}

int main(void) {
	static _Alignas(16) char buffer[64];
	in_thread(body, buffer);
	return 0;
}
