/* cgroup.c - the CPU quota of the control groups this process is in.
 *
 *   membership line         version  file in the group                          under the root
 *   0::/a/b                 2        cpu.max "quota period" or "max period"     . or unified
 *   7:cpu,cpuacct:/a/b      1        cpu.cfs_quota_us (-1: none)                cpu or cpu,cpuacct or
 *                                    and cpu.cfs_period_us                      cpuacct,cpu
 *
 * A quota binds all groups below its own, so each ancestor up to the root is asked. A container often sees
 * its own group mounted as the root, under a path that does not exist there: groups that are missing are
 * skipped, and the root is asked in any case. */
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
};

/* Reads the file `name` of the group the walk is at. False when it does not exist or its path is too long. */
static bool read_group_file(const char *root, const struct walk *walk, const char *name, char *line,
                            size_t size) {
	char path[PATH_SIZE];
	struct text text = text_over(path, sizeof path);
	text_add(&text, "%s%s%.*s/%s", root, walk->mount, (int)walk->length, walk->group, name);
	return !text.cut && file_read(path, line, size);
}

/* Quota and period of the group the walk is at; false when it sets no limit. */
static bool read_quota(const char *root, const struct walk *walk, uint64_t *quota, uint64_t *period) {
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

/* `limit`, lowered by the quotas of the group and of its ancestors under one mount. */
static unsigned limit_by_walk(const char *root, struct walk walk, unsigned limit) {
	for (;;) {
		uint64_t quota = 0, period = 0;
		if (read_quota(root, &walk, &quota, &period)) {
			uint64_t cpus = quota / period + (quota % period != 0);
			if (cpus < limit)
				limit = cpus > 0 ? (unsigned)cpus : 1;
		}
		if (walk.length == 0)
			return limit;
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

/* One line "id:controllers:group" of `length` bytes. */
static unsigned limit_by_line(const char *root, const char *line, size_t length, unsigned limit) {
	static const char *const first_mounts[] = {"/cpu", "/cpu,cpuacct", "/cpuacct,cpu"};
	static const char *const second_mounts[] = {"", "/unified"};
	const char *list = memchr(line, ':', length);
	if (list == NULL)
		return limit;
	list++;
	const char *group = memchr(list, ':', length - (size_t)(list - line));
	if (group == NULL)
		return limit;
	size_t list_length = (size_t)(group - list);
	group++;
	struct walk walk = {.group = group, .first_version = list_length != 0};
	walk.length = usable_length(group, length - (size_t)(group - line));
	if (walk.first_version && !list_has(list, list_length, "cpu"))
		return limit;
	const char *const *mounts = walk.first_version ? first_mounts : second_mounts;
	size_t count = walk.first_version ? COUNT_OF(first_mounts) : COUNT_OF(second_mounts);
	for (size_t i = 0; i < count; i++) {
		walk.mount = mounts[i];
		limit = limit_by_walk(root, walk, limit);
	}
	return limit;
}

unsigned os_cpus_of_cgroup(const char *root, const char *membership, unsigned limit) {
	while (*membership != 0) {
		size_t length = strcspn(membership, "\n");
		limit = limit_by_line(root, membership, length, limit);
		membership += length;
		if (*membership == '\n')
			membership++;
	}
	return limit;
}
