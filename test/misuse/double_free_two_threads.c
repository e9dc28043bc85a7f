/* Once in each of two threads. */
#include "misuse.h"

static void *body(void *argument) {
	free(argument);
	return NULL;
}

int main(void) {
	gather(48);
	void *ptr = name(malloc(48));
	in_thread(body, ptr);
	free(ptr);
	disperse();
	return 0;
}
