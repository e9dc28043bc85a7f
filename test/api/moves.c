// ctest: MALLOC_CONF=dirty_decay_ms:300,muzzy_decay_ms:300,metadata_thp:always
// ctest-timeout: 120
/* moves.c - every figure that names.tsv says this test moves: a program that allocates in every way, from several threads at
 * once, goes on until each has changed at some index. With the argument `list` it prints those that did. */
#include <pthread.h>
#include <sys/mman.h>

#include "harness.h"
#include "ashlar/extent_hooks.h"

int SUT(mallctl)(const char *name, void *old, size_t *old_size, void *new_value, size_t new_size);
void *SUT(mallocx)(size_t size, int flags);
void SUT(dallocx)(void *ptr, int flags);

#define NAMES       700
#define NAME_MAX_   128
#define THREADS     6
#define NO_CACHE    0x100
#define ARENA(i)    (((int)(i) + 1) << 20)
#define LONGEST_RUN 60 /* seconds */

struct figure {
	char name[NAME_MAX_]; /* its first index is 4096 */
	uint64_t before[200]; /* by the second index; [0] where there is none */
	bool seen[200], moved;
};
static struct figure figures[NAMES];
static unsigned count;
static bool all_of_them;

/* The value as a number; false: there is no such index. */
static bool read_number(const char *name, uint64_t *value) {
	static const size_t sizes[] = {8, 4, 1};
	for (unsigned i = 0; i < 3; i++) {
		size_t size = sizes[i];
		*value = 0;
		if (SUT(mallctl)(name, value, &size, NULL, 0) == 0)
			return true;
	}
	return false;
}

static void look(struct figure *figure, bool first) {
	char name[NAME_MAX_];
	const char *index = strstr(figure->name, "<j>");
	for (unsigned j = 0; j < (index == NULL ? 1u : 200u); j++) {
		uint64_t now;
		if (index == NULL)
			snprintf(name, sizeof name, "%s", figure->name);
		else
			snprintf(name, sizeof name, "%.*s%u%s", (int)(index - figure->name), figure->name, j,
			         index + 3);
		if (!read_number(name, &now))
			return;
		figure->moved |= !first && figure->seen[j] && now != figure->before[j];
		figure->before[j] = now;
		figure->seen[j] = true;
	}
}

/* -- the table ------------------------------------------------------------------------------------------------- */

static void add(const char *name) {
	const char *index = strstr(name, "<i>");
	CHECK(count < NAMES);
	if (index == NULL)
		snprintf(figures[count].name, NAME_MAX_, "%s", name);
	else
		snprintf(figures[count].name, NAME_MAX_, "%.*s4096%s", (int)(index - name), name, index + 3);
	count++;
}

static void read_table(void) {
	char path[4096], line[512];
	snprintf(path, sizeof path, "%s/test/api/names.tsv", getenv("SOURCE"));
	FILE *file = fopen(path, "r");
	CHECK(file != NULL);
	while (fgets(line, sizeof line, file) != NULL) {
		char *last = strrchr(line, '\t');
		line[strcspn(line, "\n")] = 0;
		if (last == NULL || (!all_of_them && strcmp(last + 1, "api/moves") != 0))
			continue;
		line[strcspn(line, "\t")] = 0;
		if (strncmp(line, "stats.", 6) == 0 || strncmp(line, "approximate_stats.", 18) == 0)
			add(line);
	}
	fclose(file);
}

/* -- what moves them ------------------------------------------------------------------------------------------- */

static void write_epoch(void) {
	uint64_t value = 1;
	CHECK(SUT(mallctl)("epoch", NULL, NULL, &value, sizeof value) == 0);
}

static void *blocks[THREADS][64];

/* Locks of bins, pages, pools, threads, the table of figures. */
static void *work(void *argument) {
	void **own = argument;
	static const size_t sizes[] = {160, 160, 160, 3000, 20000, 60000, 3u << 20};
	for (int round = 0; round < 300; round++) {
		size_t size = sizes[round % 7];
		int many = size > 1000000 ? 2 : 64;
		for (int i = 0; i < many; i++)
			CHECK((own[i] = SUT(mallocx)(size, round % 2 == 0 ? NO_CACHE : 0)) != NULL);
		for (int i = 0; i < many; i++)
			SUT(dallocx)(own[i], round % 2 == 0 ? NO_CACHE : 0);
		if (round % 20 == 0)
			write_epoch();
		if (round % 30 == 0)
			CHECK(SUT(mallctl)("arena.4096.decay", NULL, NULL, NULL, 0) == 0);
	}
	CHECK(SUT(mallctl)("arena.4096.purge", NULL, NULL, NULL, 0) == 0);
	return NULL;
}

static void in_threads(void) {
	pthread_t threads[THREADS];
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, work, blocks[i]) == 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

/* Memory that may not be purged, and that nobody takes back. */
static void *give_pinned(extent_hooks_t *hooks, void *at, size_t size, size_t align, bool *zero, bool *commit,
                         unsigned arena) {
	(void)hooks;
	(void)arena;
	if (at != NULL)
		return NULL;
	char *memory = mmap(NULL, size + align, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return NULL;
	memory += (align - ((uintptr_t)memory & (align - 1))) & (align - 1);
	*zero = *commit = true;
	return memory + EXTENT_ALLOC_FLAG_PINNED;
}
static extent_hooks_t pinning = {.alloc = give_pinned};

static void with_hooks(void) {
	unsigned arena;
	size_t size = sizeof arena;
	extent_hooks_t *hooks = &pinning;
	char name[64];
	CHECK(SUT(mallctl)("arenas.create", &arena, &size, &hooks, sizeof hooks) == 0);
	void *ptr = SUT(mallocx)(100000, ARENA(arena) | NO_CACHE),
	     *other = SUT(mallocx)(100, ARENA(arena) | NO_CACHE);
	CHECK(ptr != NULL && other != NULL);
	SUT(dallocx)(ptr, NO_CACHE);
	write_epoch();
	for (unsigned i = 0; i < count; i++)
		look(&figures[i], false);
	snprintf(name, sizeof name, "arena.%u.destroy", arena);
	CHECK(SUT(mallctl)(name, NULL, NULL, NULL, 0) == 0);
}

/* Some pages stay dirty, some are given back lazily. */
static void leave_unused(void) {
	void *few[40];
	for (int i = 0; i < 40; i++) {
		CHECK((few[i] = malloc(40000 + 4096 * (size_t)i)) != NULL);
		memset(few[i], 1, 40000);
	}
	for (int i = 0; i < 40; i += 2)
		free(few[i]);
	for (int i = 0; i < 8; i++) {
		usleep(50000);
		CHECK(SUT(mallctl)("arena.4096.decay", NULL, NULL, NULL, 0) == 0);
	}
	write_epoch();
	for (unsigned i = 0; i < count; i++)
		look(&figures[i], false);
	for (int i = 1; i < 40; i += 2)
		free(few[i]);
}

static unsigned still(void) {
	unsigned left = 0;
	write_epoch();
	for (unsigned i = 0; i < count; i++) {
		look(&figures[i], false);
		left += !figures[i].moved;
	}
	return left;
}

int main(int arguments, char **argument) {
	all_of_them = arguments > 1 && strcmp(argument[1], "list") == 0;
	read_table();
	CHECK(count > 0);
	write_epoch();
	for (unsigned i = 0; i < count; i++)
		look(&figures[i], true);
	time_t end = time(NULL) + (all_of_them ? 20 : LONGEST_RUN);
	do {
		in_threads();
		with_hooks();
		leave_unused();
		CHECK(realloc(malloc(1), 0) == NULL);
	} while (still() > 0 && time(NULL) < end);
	for (unsigned i = 0; i < count; i++)
		if (all_of_them ? figures[i].moved : !figures[i].moved)
			printf("%s\n", figures[i].name);
	return all_of_them || still() == 0 ? 0 : 1;
}
