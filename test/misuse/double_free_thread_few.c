/* So few that the thread has all of them when it ends: one is there twice. */
#include "misuse.h"

static void *body(void *argument) {
	void *blocks[2];
	for (size_t i = 0; i < 2; i++)
		blocks[i] = malloc(500);
	name(blocks[0]);
	for (size_t i = 0; i < 2; i++)
		free(blocks[i]);
	free(blocks[0]);
	return argument;
}

int main(void) {
	in_thread(body, NULL);
	_exit(0); /* not at the end of the process */
}
