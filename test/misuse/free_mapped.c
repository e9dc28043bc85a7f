/* Memory the program mapped itself. */
#include "misuse.h"

#include <sys/mman.h>

int main(void) {
	free(malloc(10));
	free(name(mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)));
	return 0;
}
