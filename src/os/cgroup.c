/* cgroup.c - what the control groups this process is in allow it: CPU time and memory.
 *
 *   membership line         version  file in the group                          under the root
 *   0::/a/b                 2        cpu.max "quota period" or "max period"     . or unified
 *                                    memory.max, memory.high: bytes or "max"
 *   7:cpu,cpuacct:/a/b      1        cpu.cfs_quota_us (-1: none)                cpu or cpu,cpuacct or
 *                                    and cpu.cfs_period_us                      cpuacct,cpu
 *   4:memory:/a/b           1        memory.limit_in_bytes (huge: none)         memory
 *
 * Version 1's memory.soft_limit_in_bytes is a reservation, which a group may exceed as long as nobody else is short: it is
 * not read.
 *
 * A limit binds all groups below its own, so each ancestor up to the root is asked. A container often sees
 * its own group mounted as the root, under a path that does not exist there: groups that are missing are
 * skipped, and the root is asked in any case. */
#define _GNU_SOURCE 1
#include "util/util.h"
#include "os/os.h"
#include "os/file.h"

#include <string.h>

#define PATH_SIZE 1024

/* The walk from a group up to the root of one mount. */
struct walk {
	const char *mount;  /* where under the root of the file system: "" or "/name" */
	const char *group;  /* begins with '/'; ends after `length` bytes, at the group the walk is at */
	size_t length;      /* 0: the walk is at the root */
	bool first_version; /* of control groups */
	bool found;         /* a file was there */
};

/* Reads the file `name` of the group the walk is at. False when it does not exist or its path is too long. */
static STARTUP bool read_group_file(const char *root, struct walk *walk, const char *name, char *line,
                                    size_t size) {
	char path[PATH_SIZE];
	struct text text = text_over(path, sizeof path);
	text_add(&text, "%s%s%.*s/%s", root, walk->mount, (int)walk->length, walk->group, name);
	bool there = !text.cut && file_read(path, line, size);
	walk->found |= there;
	return there;
}

/* Quota and period of the group the walk is at; false when it sets no limit. */
static bool read_quota(const char *root, struct walk *walk, uint64_t *quota, uint64_t *period) {
	char line[64];
	const char *at = line;
	const char *file = walk->first_version ? "cpu.cfs_quota_us" : "cpu.max";
	if (!read_group_file(root, walk, file, line, sizeof line) || !file_take_number(&at, quota))
		return false; /* "-1" and "max" are not numbers either */
	if (walk->first_version) {
		at = line;
		if (!read_group_file(root, walk, "cpu.cfs_period_us", line, sizeof line))
			return false;
	}
	return file_take_number(&at, period) && *period != 0;
}

static STARTUP void lower_cpus(const char *root, struct walk *walk, struct os_group *group) {
	uint64_t quota = 0, period = 0;
	if (!read_quota(root, walk, &quota, &period))
		return;
	uint64_t cpus = quota / period + (quota % period != 0);
	if (cpus < group->cpus)
		group->cpus = cpus > 0 ? (unsigned)cpus : 1;
}

/* Version 1 says "no limit" by the largest number of whole pages; nothing near it is meant as one. */
#define BYTES_MAX ((uint64_t)1 << 60)

static void lower_bytes(const char *root, struct walk *walk, const char *file, size_t *limit) {
	char line[64];
	const char *at = line;
	uint64_t bytes;
	if (!read_group_file(root, walk, file, line, sizeof line) || !file_take_number(&at, &bytes))
		return;
	if (bytes < BYTES_MAX && (*limit == 0 || bytes < *limit))
		*limit = size_max((size_t)bytes, 1); /* 0 stands for none */
}

static STARTUP void lower_memory(const char *root, struct walk *walk, struct os_group *group) {
	const char *most = walk->first_version ? "memory.limit_in_bytes" : "memory.max";
	lower_bytes(root, walk, most, &group->memory_max);
	if (!walk->first_version)
		lower_bytes(root, walk, "memory.high", &group->memory_high);
}

typedef void lower_group(const char *root, struct walk *walk, struct os_group *group);

/* Lowers what is allowed by the group and by its ancestors under one mount. False: nothing is mounted there. */
static bool walk_up(const char *root, struct walk walk, lower_group *lower, struct os_group *group) {
	for (;;) {
		lower(root, &walk, group);
		if (walk.length == 0)
			return walk.found;
		do
			walk.length--;
		while (walk.length > 0 && walk.group[walk.length] != '/');
	}
}

/* True when `name` is one of the names between commas in list[0, length). */
static bool list_has(const char *list, size_t length, const char *name) {
	size_t wanted = strlen(name);
	for (size_t at = 0; at < length;) {
		size_t end = at;
		while (end < length && list[end] != ',')
			end++;
		if (end - at == wanted && memcmp(list + at, name, wanted) == 0)
			return true;
		at = end + 1;
	}
	return false;
}

/* The walk starts below the root only when the group is a plain path: "/" is the root itself, and a path with
 * ".." in it is a group outside of what we can see. */
static size_t usable_length(const char *group, size_t length) {
	if (length == 0 || group[0] != '/')
		return 0;
	for (size_t i = 0; i + 2 < length; i++)
		if (memcmp(group + i, "/..", 3) == 0 && (i + 3 == length || group[i + 3] == '/'))
			return 0;
	while (length > 0 && group[length - 1] == '/')
		length--;
	return length;
}

/* Where a controller is mounted in version 1, and what it limits. In version 2 all share one tree. */
static const struct controller {
	const char *name;
	lower_group *lower;
	const char *mounts[3];
} controllers[] = {
	{"cpu", lower_cpus, {"/cpu", "/cpu,cpuacct", "/cpuacct,cpu"}},
	{"memory", lower_memory, {"/memory"}},
};

static void lower_by(const struct controller *controller, const char *root, struct walk walk,
                     struct os_group *group) {
	static const char *const second_mounts[] = {"", "/unified", NULL};
	const char *const *mounts = walk.first_version ? controller->mounts : second_mounts;
	for (size_t i = 0; i < COUNT_OF(controller->mounts) && mounts[i] != NULL; i++) {
		walk.mount = mounts[i];
		if (walk_up(root, walk, controller->lower, group))
			return;
	}
}

/* The first `end` in [text, text + length), or NULL. Not memchr, in the C library far from all else that a start runs. */
static const char *find(const char *text, char end, size_t length) {
	for (size_t i = 0; i < length; i++)
		if (text[i] == end)
			return text + i;
	return NULL;
}

/* One line "id:controllers:group" of `length` bytes. */
static void lower_by_line(const char *root, const char *line, size_t length, struct os_group *group) {
	const char *list = find(line, ':', length);
	if (list == NULL)
		return;
	list++;
	const char *path = find(list, ':', length - (size_t)(list - line));
	if (path == NULL)
		return;
	size_t list_length = (size_t)(path - list);
	path++;
	struct walk walk = {.group = path, .first_version = list_length != 0};
	walk.length = usable_length(path, length - (size_t)(path - line));
	for (size_t i = 0; i < COUNT_OF(controllers); i++)
		if (!walk.first_version || list_has(list, list_length, controllers[i].name))
			lower_by(&controllers[i], root, walk, group);
}

STARTUP void os_read_group(const char *root, const char *membership, struct os_group *group) {
	while (*membership != 0) {
		const char *end = membership;
		while (*end != 0 && *end != '\n')
			end++;
		lower_by_line(root, membership, (size_t)(end - membership), group);
		membership = end + (*end == '\n');
	}
}
