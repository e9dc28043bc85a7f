/* report LETTERS ...: a program with a heap of several threads and arenas that prints its statistics, once for each word
 * of letters ("-" for none), each report ended by a line with a form feed. The callback allocates. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

/* Of the library that is preloaded. */

__attribute__((weak)) void malloc_stats_print(void (*write)(void *, const char *), void *opaque,
                                              const char *letters);
__attribute__((weak)) int mallctl(const char *name, void *old, size_t *old_size, void *new_value,
                                  size_t new_size);

#define BLOCKS 3000
static void *kept[BLOCKS];

static void put(void *opaque, const char *text) {
	void *block = malloc(strlen(text) + 1);
	if (block == NULL || fputs(text, opaque) < 0)
		abort();
	free(block);
}

static void *work(void *unused) {
	void *own[100];
	for (int i = 0; i < 100; i++)
		own[i] = malloc((size_t)i * 97 % 5000);
	for (int i = 0; i < 100; i++)
		free(own[i]);
	return unused;
}

/* Some blocks of many sizes, two of three freed again. */
static void fill(void) {
	for (int i = 0; i < BLOCKS; i++)
		kept[i] = malloc(i % 50 == 0 ? (size_t)i * 300 : (size_t)(i * 13) % 4000);
	for (int i = 0; i < BLOCKS; i++)
		if (i % 3 != 0) {
			free(kept[i]);
			kept[i] = NULL;
		}
}

/* What is unused so far goes back to the system, and some more becomes so. */
static void purge(void) {
	(void)mallctl("arena.4096.purge", NULL, NULL, NULL, 0);
	for (int i = 0; i < BLOCKS; i += 300) {
		free(kept[i]);
		kept[i] = NULL;
	}
}

/* An arena made and destroyed: its counts go to 4097. */
static void destroy_one(void) {
	unsigned index;
	size_t size = sizeof index;
	char name[64];
	if (mallctl("arenas.create", &index, &size, NULL, 0) != 0)
		return;
	(void)snprintf(name, sizeof name, "arena.%u.destroy", index);
	(void)mallctl(name, NULL, NULL, NULL, 0);
}

int main(int count, char **words) {
	pthread_t thread[3];
	fill();
	destroy_one();
	purge();
	for (int i = 0; i < 3; i++)
		if (pthread_create(&thread[i], NULL, work, NULL) != 0)
			return 1;
	for (int i = 0; i < 3; i++)
		(void)pthread_join(thread[i], NULL);
	for (int i = 1; i < count; i++) {
		malloc_stats_print(put, stdout, strcmp(words[i], "-") == 0 ? NULL : words[i]);
		fputs("\n\f\n", stdout);
	}
	return 0;
}
