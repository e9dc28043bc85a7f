/* With frees in between; seen when the thread ends, in what it leaves for other threads. */
#include "misuse.h"

static void *body(void *argument) {
	void *blocks[12];
	for (size_t i = 0; i < 12; i++)
		blocks[i] = malloc(500);
	name(blocks[3]);
	for (size_t i = 0; i < 12; i++)
		free(blocks[i]);
	free(blocks[3]);
	return argument;
}

int main(void) {
	in_thread(body, NULL);
	_exit(0); /* not at the end of the process */
}
