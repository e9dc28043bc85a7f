/* No misuse at all: nothing is printed and the program ends well. */
#include "misuse.h"

int main(void) {
	gather(64);
	disperse();
	gather(64);
	void *large = malloc(300000), *huge = malloc((size_t)20 << 20);
	large = realloc(large, 500000);
	free(large);
	free(huge);
	free(name(NULL));
	disperse();
	return 0;
}
