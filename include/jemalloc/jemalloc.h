/* jemalloc.h - for programs written for jemalloc(3): Ashlar's functions under jemalloc's macros and types.
 *
 * JEMALLOC_VERSION says which interface this answers, with Ashlar's commit; in an installed header it is what
 * mallctl("version") says. ashlar/ashlar.h says what Ashlar is, and what each function does.
 *
 * The functions have plain names, so JEMALLOC_MANGLE has nothing to map. With it, or with JEMALLOC_NO_DEMANGLE, the
 * names je_malloc and so on stand for them, unless JEMALLOC_NO_RENAME is defined. */
#ifndef JEMALLOC_H_
#define JEMALLOC_H_

#if defined(__GNUC__)
#pragma GCC system_header
#endif

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <strings.h>

#include "ashlar/ashlar.h"
#include "ashlar/extent_hooks.h"

#define JEMALLOC_VERSION           "5.3.1-0-g0000000000000000000000000000000000000000"
#define JEMALLOC_VERSION_MAJOR     5
#define JEMALLOC_VERSION_MINOR     3
#define JEMALLOC_VERSION_BUGFIX    1
#define JEMALLOC_VERSION_NREV      0
#define JEMALLOC_VERSION_GID       "0000000000000000000000000000000000000000"
#define JEMALLOC_VERSION_GID_IDENT 0000000000000000000000000000000000000000

/* -- flags and indices ----------------------------------------------------------------------------------- */

/* Flags of the extended calls: an alignment, by its logarithm or by itself (a power of two)... */
#define MALLOCX_LG_ALIGN(la) ((int)(la))
#define MALLOCX_ALIGN(a) \
	((int)(((size_t)(a) < (size_t)INT_MAX) ? ffs((int)(a)) : ffs((int)(((size_t)(a)) >> 32)) + 32) - 1)
/* ...zeroed memory, a cache made by mallctl "tcache.create", none at all, an arena. */
#define MALLOCX_ZERO        ((int)0x40)
#define MALLOCX_TCACHE(tc)  ((int)(((tc) + 2) << 8))
#define MALLOCX_TCACHE_NONE MALLOCX_TCACHE(-1)
#define MALLOCX_ARENA(a)    ((int)(((unsigned)(a) + 1u) << 20))

/* Arena indices that mean all of them, and the destroyed ones. Bare numbers, so that they can be made part of a name. */
#define MALLCTL_ARENAS_ALL       4096
#define MALLCTL_ARENAS_DESTROYED 4097

/* -- what there is --------------------------------------------------------------------------------------- */

/* Options come from the environment and from /etc/malloc.conf. */
#define JEMALLOC_CONFIG_ENV
#define JEMALLOC_CONFIG_FILE

#define JEMALLOC_OVERRIDE_MEMALIGN
#define JEMALLOC_OVERRIDE_VALLOC
#define JEMALLOC_OVERRIDE_PVALLOC
#define JEMALLOC_USABLE_SIZE_CONST

/* get_defrag_hint exists, which Redis looks for. */
#define JEMALLOC_FRAG_HINT

/* log2 of a pointer's bytes. */
#if UINTPTR_MAX > 0xffffffffu
#define LG_SIZEOF_PTR 3
#else
#define LG_SIZEOF_PTR 2
#endif

#if defined(__GNUC__)
#define JEMALLOC_HAVE_ATTR
#define JEMALLOC_HAVE_ATTR_ALLOC_SIZE
#define JEMALLOC_HAVE_ATTR_FORMAT_ARG
#define JEMALLOC_HAVE_ATTR_FORMAT_PRINTF
#define JEMALLOC_HAVE_ATTR_FALLTHROUGH
#define JEMALLOC_HAVE_ATTR_COLD
#define JEMALLOC_HAVE_ATTR_DEPRECATED
#if !defined(__clang__)
#define JEMALLOC_HAVE_ATTR_FORMAT_GNU_PRINTF
#endif
#endif

#if defined(__cplusplus) && defined(__GLIBC__)
#define JEMALLOC_USE_CXX_THROW
#endif
#if defined(__cplusplus)
#define JEMALLOC_CXX_THROW ASHLAR_CXX_NOTHROW
#else
#define JEMALLOC_CXX_THROW
#endif

#define JEMALLOC_ATTR(s)             ASHLAR_ATTR((s))
#define JEMALLOC_EXPORT              JEMALLOC_ATTR(visibility("default"))
#define JEMALLOC_ALIGNED(s)          JEMALLOC_ATTR(aligned(s))
#define JEMALLOC_ALLOC_SIZE(s)       JEMALLOC_ATTR(alloc_size(s))
#define JEMALLOC_ALLOC_SIZE2(s1, s2) JEMALLOC_ATTR(alloc_size(s1, s2))
#define JEMALLOC_FORMAT_ARG(i)       JEMALLOC_ATTR(format_arg(i))
#if defined(JEMALLOC_HAVE_ATTR_FORMAT_GNU_PRINTF)
#define JEMALLOC_FORMAT_PRINTF(s, i) JEMALLOC_ATTR(format(gnu_printf, s, i))
#else
#define JEMALLOC_FORMAT_PRINTF(s, i) JEMALLOC_ATTR(format(printf, s, i))
#endif
#if defined(__GNUC__) && (defined(__clang__) || __GNUC__ >= 7)
#define JEMALLOC_FALLTHROUGH JEMALLOC_ATTR(fallthrough)
#else
#define JEMALLOC_FALLTHROUGH
#endif
#define JEMALLOC_NOINLINE            JEMALLOC_ATTR(noinline)
#define JEMALLOC_NOTHROW             JEMALLOC_ATTR(nothrow)
#define JEMALLOC_SECTION(s)          JEMALLOC_ATTR(section(s))
#define JEMALLOC_COLD                JEMALLOC_ATTR(cold)
#define JEMALLOC_WARN_ON_USAGE(text) JEMALLOC_ATTR(deprecated(text))
#define JEMALLOC_RESTRICT_RETURN
#define JEMALLOC_ALLOCATOR
#if defined(__GLIBC__)
#define JEMALLOC_SYS_NOTHROW JEMALLOC_NOTHROW
#else
#define JEMALLOC_SYS_NOTHROW
#endif

/* -- the other names ------------------------------------------------------------------------------------- */

#if defined(JEMALLOC_MANGLE) && !defined(JEMALLOC_NO_DEMANGLE)
#define JEMALLOC_NO_DEMANGLE
#endif

#if defined(JEMALLOC_NO_DEMANGLE) && !defined(JEMALLOC_NO_RENAME)
#define je_malloc_conf               ASHLAR_NAME(malloc_conf)
#define je_malloc_conf_2_conf_harder ASHLAR_NAME(malloc_conf_2_conf_harder)
#define je_malloc_message            ASHLAR_NAME(malloc_message)
#define je_malloc                    ASHLAR_NAME(malloc)
#define je_calloc                    ASHLAR_NAME(calloc)
#define je_posix_memalign            ASHLAR_NAME(posix_memalign)
#define je_aligned_alloc             ASHLAR_NAME(aligned_alloc)
#define je_realloc                   ASHLAR_NAME(realloc)
#define je_free                      ASHLAR_NAME(free)
#define je_free_sized                ASHLAR_NAME(free_sized)
#define je_free_aligned_sized        ASHLAR_NAME(free_aligned_sized)
#define je_mallocx                   ASHLAR_NAME(mallocx)
#define je_rallocx                   ASHLAR_NAME(rallocx)
#define je_xallocx                   ASHLAR_NAME(xallocx)
#define je_sallocx                   ASHLAR_NAME(sallocx)
#define je_dallocx                   ASHLAR_NAME(dallocx)
#define je_sdallocx                  ASHLAR_NAME(sdallocx)
#define je_nallocx                   ASHLAR_NAME(nallocx)
#define je_mallctl                   ASHLAR_NAME(mallctl)
#define je_mallctlnametomib          ASHLAR_NAME(mallctlnametomib)
#define je_mallctlbymib              ASHLAR_NAME(mallctlbymib)
#define je_malloc_stats_print        ASHLAR_NAME(malloc_stats_print)
#define je_malloc_usable_size        ASHLAR_NAME(malloc_usable_size)
#define je_memalign                  ASHLAR_NAME(memalign)
#define je_valloc                    ASHLAR_NAME(valloc)
#define je_pvalloc                   ASHLAR_NAME(pvalloc)
#define je_get_defrag_hint           ASHLAR_NAME(get_defrag_hint)
#endif

#endif
