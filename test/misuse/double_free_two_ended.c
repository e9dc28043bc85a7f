/* Once in each of two threads that end: what they leave for the next one is looked through. */
#include "misuse.h"

static void *body(void *argument) {
	free(argument);
	return NULL;
}

int main(void) {
	void *ptr = malloc(128);
	name(ptr);
	in_thread(body, ptr);
	in_thread(body, ptr);
	_exit(0); /* not at the end of the process */
}
