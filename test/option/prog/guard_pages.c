/* guard_pages: what lies around blocks when some stand between guard pages, and how deep a double free is found.
 *
 *   edges KIND COUNT    takes and gives COUNT blocks (slabs) one after the other: a line with what becomes of who writes
 *                       the byte before it, and the byte behind it
 *   write KIND EDGE     does that
 *   behave              blocks do what blocks do
 *   maps                mappings of the process: at first, with many blocks, after them, after a storm of them
 *   double DEPTH        frees a block again after DEPTH others of its size
 *
 * guard_pages.py judges. */
#define _GNU_SOURCE
#include <jemalloc/jemalloc.h>

#include "../../harness.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/wait.h>

typedef void *take_flagged(size_t, int);
typedef void *resize_flagged(void *, size_t, int);
typedef size_t resize_there(void *, size_t, size_t, int);
typedef void give_flagged(void *, int);
typedef size_t size_flagged(size_t, int);
typedef int control(const char *, void *, size_t *, void *, size_t);

static take_flagged *mallocx_;
static resize_flagged *rallocx_;
static resize_there *xallocx_;
static give_flagged *dallocx_;
static size_flagged *nallocx_;
static control *mallctl_;

static void look(void *into, const char *name) {
	void *found = dlsym(RTLD_DEFAULT, name);
	CHECK(found != NULL);
	memcpy(into, &found, sizeof found);
}

/* -- edges ----------------------------------------------------------------------------------------------------- */

struct piece {
	char *start, *end;
};

static size_t of_bin(unsigned class, const char *leaf) {
	char name[64];
	size_t value = 0, length = sizeof value;
	snprintf(name, sizeof name, "arenas.bin.%u.%s", class, leaf);
	CHECK(mallctl_(name, &value, &length, NULL, 0) == 0);
	return value;
}

/* A large block of the kind, or the slab of a block of a size of which there are no others. */
static struct piece take(const char *kind) {
	static const struct {
		const char *kind;
		size_t size;
	} sizes[] = {{"cached", 20000}, {"large", 100000}, {"tail", 2040000}, {"huge", 5000000}};
	struct piece piece;
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		if (strcmp(kind, sizes[i].kind) == 0) {
			piece.start = mallocx_(sizes[i].size, MALLOCX_TCACHE_NONE);
			CHECK(piece.start != NULL);
			piece.end = piece.start + malloc_usable_size(piece.start);
			CHECK((size_t)(piece.end - piece.start) == nallocx_(sizes[i].size, 0));
			return piece;
		}
	}
	unsigned class = strcmp(kind, "slab") == 0 ? 30 : 20;
	piece.start = mallocx_(of_bin(class, "size"), MALLOCX_TCACHE_NONE);
	CHECK(piece.start != NULL);
	piece.end = piece.start + of_bin(class, "slab_size");
	return piece;
}

static const char *fate(volatile char *byte) {
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		*byte = 1;
		_exit(0);
	}
	int status = 0;
	CHECK(waitpid(child, &status, 0) == child);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV)
		return "dies";
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? "lives" : "strange";
}

static void edges(const char *kind, int count) {
	for (int i = 0; i < count; i++) {
		struct piece piece = take(kind);
		memset(piece.start, 1, (size_t)(piece.end - piece.start));
		const char *before = fate(piece.start - 1), *behind = fate(piece.end);
		printf("%s %s\n", before, behind);
		dallocx_(piece.start, MALLOCX_TCACHE_NONE);
	}
}

static void write_at(const char *kind, const char *edge) {
	struct piece piece = take(kind);
	*(volatile char *)(strcmp(edge, "before") == 0 ? piece.start - 1 : piece.end) = 1;
}

/* -- behaviour ------------------------------------------------------------------------------------------------- */

enum { HELD = 300 };

static const size_t sizes[] = {1, 100, 3000, 14000, 16000, 20000, 40000, 300000, 2000000, 4194304, 7000000};
#define SIZES (sizeof sizes / sizeof sizes[0])

static void resize_all(char **block, size_t *size) {
	for (size_t i = 0; i < HELD; i++) {
		size_t wanted = sizes[(i * 7 + 3) % SIZES] + i, kept = size[i] < wanted ? size[i] : wanted;
		if (i % 3 == 0) {
			size_t was = malloc_usable_size(block[i]), is = xallocx_(block[i], wanted, 0, 0);
			CHECK(is == malloc_usable_size(block[i]) && (is == was || is == nallocx_(wanted, 0)));
			kept = size[i] < is ? size[i] : is;
			wanted = is;
		} else if (i % 3 == 1) {
			block[i] = realloc(block[i], wanted);
		} else {
			block[i] = rallocx_(block[i], wanted, 0);
		}
		CHECK(block[i] != NULL && malloc_usable_size(block[i]) == nallocx_(wanted, 0));
		CHECK(test_holds(block[i], size[i], kept, i));
		size[i] = wanted;
		test_fill(block[i], wanted, i);
	}
}

static void behave(void) {
	static char *block[HELD];
	static size_t size[HELD];
	for (size_t i = 0; i < HELD; i++) {
		size[i] = sizes[i % SIZES];
		block[i] = i % 2 == 0 ? malloc(size[i]) : calloc(1, size[i]);
		CHECK(block[i] != NULL && malloc_usable_size(block[i]) == nallocx_(size[i], 0));
		for (size_t at = 0; i % 2 != 0 && at < size[i]; at++)
			CHECK(block[i][at] == 0);
		test_fill(block[i], size[i], i);
	}
	for (int round = 0; round < 3; round++)
		resize_all(block, size);
	for (size_t i = 0; i < HELD; i++) {
		CHECK(test_holds(block[i], size[i], size[i], i));
		free(block[i]);
	}
	for (size_t align = 4096; align <= (size_t)8 << 20; align *= 2) {
		char *aligned = aligned_alloc(align, 70000);
		CHECK(aligned != NULL && test_aligned(aligned, align));
		memset(aligned, 1, malloc_usable_size(aligned));
		free(aligned);
	}
	printf("fine\n");
}

/* -- mappings -------------------------------------------------------------------------------------------------- */

enum { MANY = 20000 };

static size_t mappings(void) {
	static char text[1 << 16];
	size_t lines = 0;
	int file = open("/proc/self/maps", O_RDONLY);
	CHECK(file >= 0);
	for (ssize_t got; (got = read(file, text, sizeof text)) > 0;)
		for (ssize_t i = 0; i < got; i++)
			lines += text[i] == '\n';
	close(file);
	return lines;
}

static void maps(void) {
	static char *block[MANY];
	uint64_t random = 1;
	size_t first = mappings();
	for (size_t i = 0; i < MANY; i++) {
		block[i] = malloc(i % 100 == 0 ? 3000000 : i % 2 == 0 ? 20000 : 5000);
		CHECK(block[i] != NULL);
		block[i][0] = 1;
	}
	size_t many = mappings();
	for (size_t i = 0; i < 20 * MANY; i++) {
		size_t at = test_below(&random, MANY);
		free(block[at]);
		block[at] = malloc(test_below(&random, i % 16 == 0 ? 200000 : 20000));
		CHECK(block[at] != NULL);
		block[at][0] = 1;
	}
	size_t storm = mappings();
	for (size_t i = 0; i < MANY; i++)
		free(block[i]);
	(void)malloc_trim(0);
	printf("%zu %zu %zu %zu\n", first, many, storm, mappings());
}

/* -- double free ----------------------------------------------------------------------------------------------- */

static void twice(size_t depth) {
	static void *block[64];
	CHECK(depth < 64);
	for (size_t i = 0; i <= depth; i++)
		CHECK((block[i] = malloc(64)) != NULL);
	for (size_t i = 0; i <= depth; i++)
		free(block[i]);
	free(block[0]);
	_exit(0); /* before any flush, which would see it */
}

int main(int count, char **arguments) {
	static char output[1 << 12]; /* a block for it would lie among those looked at */
	setvbuf(stdout, output, _IOFBF, sizeof output);
	const char *what = count > 1 ? arguments[1] : "";
	look(&mallocx_, "mallocx");
	look(&rallocx_, "rallocx");
	look(&xallocx_, "xallocx");
	look(&dallocx_, "dallocx");
	look(&nallocx_, "nallocx");
	look(&mallctl_, "mallctl");
	if (strcmp(what, "edges") == 0 && count > 3)
		edges(arguments[2], atoi(arguments[3]));
	else if (strcmp(what, "write") == 0 && count > 3)
		write_at(arguments[2], arguments[3]);
	else if (strcmp(what, "behave") == 0)
		behave();
	else if (strcmp(what, "maps") == 0)
		maps();
	else if (strcmp(what, "double") == 0 && count > 2)
		twice(strtoul(arguments[2], NULL, 10));
	else if (strcmp(what, "double-live") == 0 && count > 3) {
		unsigned scan = (unsigned)strtoul(arguments[2], NULL, 10);
		CHECK(mallctl_("debug_double_free_max_scan", NULL, NULL, &scan, sizeof scan) == 0);
		twice(strtoul(arguments[3], NULL, 10));
	} else
		return 2;
	return 0;
}
