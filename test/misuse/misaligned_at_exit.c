/* One byte off, seen when the thread ends. */
#include "misuse.h"

static void *body(void *argument) {
	char *ptr = malloc(1000);
	free(name(ptr + 1));
	return argument;
}

int main(void) {
	in_thread(body, NULL);
	return 0;
}
