/*
 * fragmented LOW HIGH: blocks of LOW to HIGH bytes, 64 MiB of them, nine in ten freed at random; then one malloc and free
 * every 10 ms for some seconds. What is resident is then what the library says, and a part of what it was.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BYTES   ((size_t)64 << 20)
#define SECONDS 8

static size_t resident(void) {
	char line[64] = "";
	FILE *file = fopen("/proc/self/statm", "r");
	if (file == NULL || fgets(line, sizeof line, file) == NULL)
		return 0;
	fclose(file);
	const char *second = strchr(line, ' ');
	return second == NULL ? 0 : strtoul(second, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

/* stats.resident */
static size_t own(void) {
	int (*ctl)(const char *, void *, size_t *, void *, size_t) = NULL;
	void *found = dlsym(RTLD_DEFAULT, "mallctl");
	memcpy(&ctl, &found, sizeof ctl);
	uint64_t epoch = 1;
	size_t value = 0, size = sizeof value;
	if (ctl == NULL || ctl("epoch", NULL, NULL, &epoch, sizeof epoch) != 0 ||
	    ctl("stats.resident", &value, &size, NULL, 0) != 0)
		return 0;
	return value;
}

static size_t next(uint64_t *state, size_t below) {
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (size_t)(*state >> 33) % below;
}

static void wait_some(void) {
	const struct timespec pause = {.tv_nsec = 10000000};
	for (int i = 0; i < SECONDS * 100; i++) {
		free(malloc(100000));
		nanosleep(&pause, NULL);
	}
}

int main(int argc, char **argv) {
	if (argc != 3)
		return 2;
	size_t low = strtoul(argv[1], NULL, 10), high = strtoul(argv[2], NULL, 10), count = 0, live = 0;
	unsigned char **blocks = calloc(BYTES / low, sizeof *blocks);
	uint64_t state = 1;
	size_t start = resident();
	for (size_t bytes = 0; bytes < BYTES; count++) {
		size_t size = low + next(&state, high - low);
		blocks[count] = malloc(size);
		memset(blocks[count], (int)(count % 251 + 1), size);
		bytes += size;
	}
	size_t before = resident() - start;
	for (size_t i = 0; i < count; i++) {
		if (next(&state, 10) != 0) {
			free(blocks[i]);
			blocks[i] = NULL;
		}
	}
	wait_some();
	size_t after = resident(), said = own();
	for (size_t i = 0; i < count; i++) {
		if (blocks[i] == NULL)
			continue;
		live++;
		if (blocks[i][0] != i % 251 + 1 || blocks[i][low - 1] != i % 251 + 1) {
			printf("block %zu was overwritten\n", i);
			return 1;
		}
	}
	printf("%zu to %zu bytes: %zu KiB resident before, %zu after, %zu said; %zu blocks live\n", low, high,
	       before / 1024, (after - start) / 1024, said / 1024, live);
	/* the program itself, its libraries and the array are some MiB */
	bool small = after - start < before / 2, told = after < said + said / 5 + start + ((size_t)2 << 20);
	return small && told ? 0 : 1;
}
