/*
 * helpers.h - threads of this process with the name of Ashlar's helper, and the names of mallctl about it.  After harness.h.
 */
#ifndef TEST_HELPERS_H
#define TEST_HELPERS_H

#include <dirent.h>

int SUT(mallctl)(const char *name, void *old, size_t *old_size, void *value, size_t size);

/* How many there are, and the id of the last one seen. */
TEST_OPAQUE unsigned helpers_and_id(unsigned *id) {
	unsigned count = 0;
	DIR *folder = opendir("/proc/self/task");
	CHECK(folder != NULL);
	for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
		char path[300], name[32] = "";
		snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
		FILE *file = fopen(path, "r");
		if (file == NULL)
			continue;
		if (fgets(name, sizeof name, file) != NULL && strcmp(name, "ashlar\n") == 0) {
			*id = (unsigned)strtoul(entry->d_name, NULL, 10);
			count++;
		}
		fclose(file);
	}
	closedir(folder);
	return count;
}

TEST_OPAQUE unsigned helpers(void) {
	unsigned id;
	return helpers_and_id(&id);
}

/* A thread that ended may be listed a moment longer. */
TEST_OPAQUE void expect_helpers(unsigned count) {
	for (int i = 0; i < 500 && helpers() != count; i++)
		usleep(10000);
	CHECK(helpers() == count);
}

TEST_OPAQUE bool flag(void) {
	bool old = false;
	size_t size = sizeof old;
	CHECK(SUT(mallctl)("background_thread", &old, &size, NULL, 0) == 0 && size == 1);
	return old;
}

TEST_OPAQUE int set_flag(bool wanted) {
	return SUT(mallctl)("background_thread", NULL, NULL, &wanted, 1);
}

TEST_OPAQUE uint64_t figure(const char *name) {
	uint64_t value = 0;
	size_t size = sizeof value;
	CHECK(SUT(mallctl)(name, &value, &size, NULL, 0) == 0);
	return value;
}

/* `mib` MiB taken, touched and freed: a heap for which several threads get a helper, and calls that start it. */
TEST_OPAQUE void burst(size_t mib) {
	void **blocks = malloc(4 * mib * sizeof *blocks);
	CHECK(blocks != NULL);
	for (size_t i = 0; i < 4 * mib; i++) {
		blocks[i] = malloc(256 << 10);
		CHECK(blocks[i] != NULL);
		memset(blocks[i], 1, 256 << 10);
	}
	for (size_t i = 0; i < 4 * mib; i++)
		free(blocks[i]);
	free(blocks);
}

#endif
