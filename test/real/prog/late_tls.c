/*
 * late_tls LIBRARY MODULES...: loads the modules in turn until one no longer fits into the static TLS block,
 * then loads the library beside them and uses its functions from threads old and new.  Not linked with it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OLD = 3, NEW = 20, BLOCKS = 500 };

static void *(*take)(size_t);
static void *(*clear)(size_t, size_t);
static void *(*resize)(void *, size_t);
static void (*drop)(void *);
static size_t (*usable)(void *);
static pthread_barrier_t loaded;

static void check(bool good, const char *what) {
	if (good)
		return;
	fprintf(stderr, "FAILED: %s\n", what);
	_Exit(1);
}

static void use(void) {
	unsigned char *blocks[BLOCKS];
	for (size_t i = 0; i < BLOCKS; i++) {
		blocks[i] = i % 2 == 0 ? take(i * 37 + 1) : clear(i * 37 + 1, 1);
		check(blocks[i] != NULL, "no memory");
		check(usable(blocks[i]) >= i * 37 + 1, "usable size");
		memset(blocks[i], (int)i, i * 37 + 1);
	}
	for (size_t i = 0; i < BLOCKS; i++) {
		blocks[i] = resize(blocks[i], i * 53 + 1);
		check(blocks[i] != NULL && blocks[i][0] == (unsigned char)i, "realloc");
		check(blocks[i][i * 37] == (unsigned char)i, "contents");
	}
	for (size_t i = 0; i < BLOCKS; i++)
		drop(blocks[i]);
}

static void *old_thread(void *argument) {
	pthread_barrier_wait(&loaded);
	use();
	return argument;
}

static void *new_thread(void *argument) {
	use();
	return argument;
}

static void *find(void *library, const char *name) {
	void *address = dlsym(library, name);
	check(address != NULL, name);
	return address;
}

static void load(const char *path) {
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (library == NULL)
		fprintf(stderr, "%s\n", dlerror());
	check(library != NULL, "the library cannot be loaded");
	*(void **)&take = find(library, "malloc");
	*(void **)&clear = find(library, "calloc");
	*(void **)&resize = find(library, "realloc");
	*(void **)&drop = find(library, "free");
	*(void **)&usable = find(library, "malloc_usable_size");
	Dl_info info;
	check(dladdr(find(library, "malloc"), &info) != 0 && strcmp(info.dli_fname, path) == 0,
	      "malloc is another's");
}

int main(int count, char **arguments) {
	check(count > 2, "usage: late_tls LIBRARY MODULES...");
	pthread_t old[OLD];
	pthread_barrier_init(&loaded, NULL, OLD + 1);
	for (int i = 0; i < OLD; i++)
		check(pthread_create(&old[i], NULL, old_thread, NULL) == 0, "pthread_create");
	int fitted = 0, refused = 0;
	for (int i = 2; i < count; i++) {
		if (dlopen(arguments[i], RTLD_NOW | RTLD_LOCAL) != NULL) {
			fitted++;
			continue;
		}
		check(strstr(dlerror(), "static TLS") != NULL, "a module was refused for another reason");
		refused++;
	}
	printf("%d modules loaded, %d refused\n", fitted, refused);
	check(refused > 0, "the static TLS block was not used up");
	load(arguments[1]);
	pthread_barrier_wait(&loaded);
	use();
	for (int i = 0; i < OLD; i++)
		check(pthread_join(old[i], NULL) == 0, "pthread_join");
	for (int round = 0; round < 5; round++) {
		pthread_t threads[NEW];
		for (int i = 0; i < NEW; i++)
			check(pthread_create(&threads[i], NULL, new_thread, NULL) == 0, "pthread_create");
		for (int i = 0; i < NEW; i++)
			check(pthread_join(threads[i], NULL) == 0, "pthread_join");
	}
	return 0;
}
