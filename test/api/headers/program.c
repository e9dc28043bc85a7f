/* All of the public header, looked at by the compiler: headers.sh compiles this in many dialects and never runs it.
 * Included by program.cpp, too. */
#include <jemalloc/jemalloc.h>
#include <stdio.h>
#include <string.h>

/* An array of negative size where the condition is false; works in every dialect. */
#define JOIN_(a, b)        a##b
#define JOIN(a, b)         JOIN_(a, b)
#define CERTAIN(condition) extern char JOIN(certain_, __LINE__)[(condition) ? 1 : -1]
#define TEXT_(x)           #x
#define TEXT(x)            TEXT_(x)

CERTAIN(JEMALLOC_VERSION_MAJOR == 5 && JEMALLOC_VERSION_MINOR == 3 && JEMALLOC_VERSION_BUGFIX == 1);
CERTAIN(JEMALLOC_VERSION_NREV == 0);
CERTAIN(sizeof JEMALLOC_VERSION == sizeof "5.3.1-0-g" + 40);
CERTAIN(sizeof JEMALLOC_VERSION_GID == 41 && sizeof TEXT(JEMALLOC_VERSION_GID_IDENT) == 41);
CERTAIN(MALLOCX_LG_ALIGN(5) == 5 && MALLOCX_ZERO == 0x40);
CERTAIN(MALLOCX_TCACHE_NONE == 0x100 && MALLOCX_TCACHE(0) == 0x200 && MALLOCX_TCACHE(4093) == 0xfff00);
CERTAIN(MALLOCX_ARENA(0) == 0x100000 && MALLOCX_ARENA(5) == 0x600000);
CERTAIN((unsigned)MALLOCX_ARENA(4094) == 0xfff00000u);
CERTAIN(MALLCTL_ARENAS_ALL == 4096 && MALLCTL_ARENAS_DESTROYED == 4097);
CERTAIN(sizeof TEXT(MALLCTL_ARENAS_ALL) == 5); /* bare */
CERTAIN(LG_SIZEOF_PTR == (sizeof(void *) == 8 ? 3 : 2));
CERTAIN(EXTENT_ALLOC_FLAG_PINNED == 1 && EXTENT_ALLOC_FLAG_MASK == 0xFF);
CERTAIN(sizeof(extent_hooks_t) == 9 * sizeof(void *) &&
        sizeof(struct extent_hooks_s) == sizeof(extent_hooks_t));

#if !defined(JEMALLOC_H_) || !defined(JEMALLOC_HAVE_ATTR) || !defined(JEMALLOC_HAVE_ATTR_ALLOC_SIZE) || \
	!defined(JEMALLOC_HAVE_ATTR_FORMAT_ARG) || !defined(JEMALLOC_HAVE_ATTR_FORMAT_PRINTF) || \
	!defined(JEMALLOC_HAVE_ATTR_FALLTHROUGH) || !defined(JEMALLOC_HAVE_ATTR_COLD) || \
	!defined(JEMALLOC_HAVE_ATTR_DEPRECATED) || !defined(JEMALLOC_OVERRIDE_MEMALIGN) || \
	!defined(JEMALLOC_OVERRIDE_VALLOC) || !defined(JEMALLOC_OVERRIDE_PVALLOC) || \
	!defined(JEMALLOC_CONFIG_ENV) || !defined(JEMALLOC_CONFIG_FILE) || !defined(JEMALLOC_FRAG_HINT)
#error "a fact is missing"
#endif
#if !defined(__clang__) && !defined(JEMALLOC_HAVE_ATTR_FORMAT_GNU_PRINTF)
#error "a fact about gcc is missing"
#endif

/* Every shim in its place. */
JEMALLOC_EXPORT JEMALLOC_RESTRICT_RETURN void *JEMALLOC_ALLOCATOR JEMALLOC_NOTHROW shim_block(size_t size)
	JEMALLOC_ALLOC_SIZE(1);
void *shim_product(size_t count, size_t size) JEMALLOC_CXX_THROW JEMALLOC_ALLOC_SIZE2(1, 2);
void JEMALLOC_SYS_NOTHROW shim_print(const char *format, ...) JEMALLOC_FORMAT_PRINTF(1, 2);
const char *shim_format(const char *format) JEMALLOC_FORMAT_ARG(1);
int shim_cold(void) JEMALLOC_COLD JEMALLOC_NOINLINE JEMALLOC_ATTR(unused);
int shim_old(void) JEMALLOC_WARN_ON_USAGE("there are better ones");
extern int shim_value JEMALLOC_ALIGNED(64) JEMALLOC_SECTION("shims");
extern void *shim_usable(JEMALLOC_USABLE_SIZE_CONST void *ptr);

int shim_fall(int value);
int shim_fall(int value) {
	switch (value) {
	case 1:
		value++;
		JEMALLOC_FALLTHROUGH;
	case 2:
		value++;
		break;
	default:
		break;
	}
	return value;
}

/* What programs declare themselves, in any order with the header. */
#ifdef __cplusplus
extern "C" {
#endif
void *mallocx(size_t size, int flags) __attribute__((__nothrow__, __weak__));
void sdallocx(void *ptr, size_t size, int flags) __attribute__((__nothrow__, __weak__));
int mallctl(const char *name, void *old, size_t *old_size, void *new_value, size_t new_size)
	__attribute__((__nothrow__, __weak__));
int je_get_defrag_hint(void *ptr);
#ifdef __cplusplus
}
#endif

static extent_alloc_t alloc_hook;
static void *alloc_hook(extent_hooks_t *hooks, void *new_addr, size_t size, size_t alignment, bool *zero,
                        bool *commit, unsigned arena) {
	(void)hooks, (void)new_addr, (void)size, (void)alignment, (void)zero, (void)commit, (void)arena;
	return NULL;
}
static extent_dalloc_t dalloc_hook;
static bool dalloc_hook(extent_hooks_t *hooks, void *addr, size_t size, bool committed, unsigned arena) {
	(void)hooks, (void)addr, (void)size, (void)committed, (void)arena;
	return true;
}
static extent_purge_t purge_hook;
static bool purge_hook(extent_hooks_t *hooks, void *addr, size_t size, size_t offset, size_t length,
                       unsigned arena) {
	(void)hooks, (void)addr, (void)size, (void)offset, (void)length, (void)arena;
	return true;
}
static extent_split_t split_hook;
static bool split_hook(extent_hooks_t *hooks, void *addr, size_t size, size_t size_a, size_t size_b,
                       bool committed, unsigned arena) {
	(void)hooks, (void)addr, (void)size, (void)size_a, (void)size_b, (void)committed, (void)arena;
	return true;
}

static extent_merge_t *const no_merge = NULL;
/* In the order of the members. */
extent_hooks_t hooks = {alloc_hook, dalloc_hook, NULL,       purge_hook, purge_hook,
                        purge_hook, purge_hook,  split_hook, NULL};

static void write_nothing(void *opaque, const char *text) {
	(void)opaque, (void)text;
}

static int plain_names(void) {
	size_t mib[7], length = 7, size;
	void *ptr = mallocx(10, MALLOCX_ALIGN(64) | MALLOCX_ZERO | MALLOCX_TCACHE_NONE | MALLOCX_ARENA(0));
	ptr = rallocx(ptr, 20, 0);
	size = xallocx(ptr, 20, 5, 0) + sallocx(ptr, 0) + nallocx(20, 0) + (size_t)get_defrag_hint(ptr);
	sdallocx(ptr, 20, 0);
	dallocx(malloc(5), 0);
	free_sized(calloc(2, 3), 6);
	free_aligned_sized(aligned_alloc(64, 64), 64, 64);
	free(memalign(64, 10));
	free(valloc(10));
	free(pvalloc(10));
	if (posix_memalign(&ptr, 64, 10) == 0)
		free(realloc(ptr, malloc_usable_size(ptr)));
	malloc_conf = malloc_conf_2_conf_harder;
	malloc_message = write_nothing;
	malloc_stats_print(write_nothing, NULL, "J");
	return mallctlnametomib("epoch", mib, &length) + mallctlbymib(mib, length, NULL, NULL, NULL, 0) +
	       mallctl("version", NULL, &size, NULL, 0);
}

#if (defined(JEMALLOC_MANGLE) || defined(JEMALLOC_NO_DEMANGLE)) && !defined(JEMALLOC_NO_RENAME)
static int other_names(void) {
	size_t mib[7], length = 7, size;
	void *ptr = je_mallocx(10, 0);
	ptr = je_rallocx(ptr, 20, 0);
	size = je_xallocx(ptr, 20, 5, 0) + je_sallocx(ptr, 0) + je_nallocx(20, 0) +
	       (size_t)je_get_defrag_hint(ptr);
	je_sdallocx(ptr, 20, 0);
	je_dallocx(je_malloc(5), 0);
	je_free_sized(je_calloc(2, 3), 6);
	je_free_aligned_sized(je_aligned_alloc(64, 64), 64, 64);
	je_free(je_memalign(64, 10));
	je_free(je_valloc(10));
	je_free(je_pvalloc(10));
	if (je_posix_memalign(&ptr, 64, 10) == 0)
		je_free(je_realloc(ptr, je_malloc_usable_size(ptr)));
	je_malloc_conf = je_malloc_conf_2_conf_harder;
	je_malloc_message = write_nothing;
	je_malloc_stats_print(write_nothing, NULL, "J");
	return je_mallctlnametomib("epoch", mib, &length) +
	       je_mallctlbymib(mib, length, NULL, NULL, NULL, 0) +
	       je_mallctl("version", NULL, &size, NULL, 0);
}
#else
#if defined(je_malloc) || defined(je_mallocx)
#error "names nobody asked for"
#endif
static int other_names(void) {
	return 0;
}
#endif

int main(void) {
	return plain_names() + other_names() + (no_merge == hooks.merge) + (int)strlen(JEMALLOC_VERSION);
}
