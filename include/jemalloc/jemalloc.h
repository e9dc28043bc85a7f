/* jemalloc.h - for programs written for jemalloc(3): Ashlar's functions and jemalloc's macros.
 *
 * JEMALLOC_VERSION says which interface this answers; ashlar/ashlar.h says what Ashlar is. The commit in
 * mallctl("version") is that of the library in use. */
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

#define JEMALLOC_VERSION           "5.3.1-0-g0000000000000000000000000000000000000000"
#define JEMALLOC_VERSION_MAJOR     5
#define JEMALLOC_VERSION_MINOR     3
#define JEMALLOC_VERSION_BUGFIX    1
#define JEMALLOC_VERSION_NREV      0
#define JEMALLOC_VERSION_GID       "0000000000000000000000000000000000000000"
#define JEMALLOC_VERSION_GID_IDENT 0000000000000000000000000000000000000000

/* log2 of a pointer's bytes. */
#if UINTPTR_MAX > 0xffffffffu
#define LG_SIZEOF_PTR 3
#else
#define LG_SIZEOF_PTR 2
#endif

/* Flags of the extended calls: an alignment, by its logarithm or by itself (a power of two)... */
#define MALLOCX_LG_ALIGN(la) ((int)(la))
#define MALLOCX_ALIGN(a) \
	((int)(((size_t)(a) < (size_t)INT_MAX) ? ffs((int)(a)) : ffs((int)(((size_t)(a)) >> 32)) + 32) - 1)
/* ...zeroed memory, a cache made by mallctl "tcache.create", none at all, an arena. */
#define MALLOCX_ZERO        ((int)0x40)
#define MALLOCX_TCACHE(tc)  ((int)(((tc) + 2) << 8))
#define MALLOCX_TCACHE_NONE MALLOCX_TCACHE(-1)
#define MALLOCX_ARENA(a)    ((int)(((unsigned)(a) + 1) << 20))

/* The arena index that means all of them. A bare number, so that it can be made part of a name. */
#define MALLCTL_ARENAS_ALL       4096
#define MALLCTL_ARENAS_DESTROYED 4097

/* Options come from the environment and from /etc/malloc.conf. */
#define JEMALLOC_CONFIG_ENV
#define JEMALLOC_CONFIG_FILE

#define JEMALLOC_OVERRIDE_MEMALIGN
#define JEMALLOC_OVERRIDE_VALLOC
#define JEMALLOC_OVERRIDE_PVALLOC
#define JEMALLOC_USABLE_SIZE_CONST

#define JEMALLOC_CXX_THROW ASHLAR_NOTHROW
#define JEMALLOC_EXPORT    ASHLAR_PUBLIC
#define JEMALLOC_ATTR(s)   ASHLAR_ATTR((s))

#if defined(__GNUC__)
#define JEMALLOC_HAVE_ATTR
#define JEMALLOC_HAVE_ATTR_ALLOC_SIZE
#define JEMALLOC_HAVE_ATTR_FORMAT_PRINTF
#define JEMALLOC_HAVE_ATTR_COLD
#define JEMALLOC_HAVE_ATTR_DEPRECATED
#endif
#define JEMALLOC_ALIGNED(s)          JEMALLOC_ATTR(aligned(s))
#define JEMALLOC_ALLOC_SIZE(s)       JEMALLOC_ATTR(alloc_size(s))
#define JEMALLOC_ALLOC_SIZE2(s1, s2) JEMALLOC_ATTR(alloc_size(s1, s2))
#define JEMALLOC_FORMAT_ARG(i)       JEMALLOC_ATTR(format_arg(i))
#define JEMALLOC_FORMAT_PRINTF(s, i) JEMALLOC_ATTR(format(printf, s, i))
#define JEMALLOC_NOINLINE            JEMALLOC_ATTR(noinline)
#define JEMALLOC_NOTHROW             JEMALLOC_ATTR(nothrow)
#define JEMALLOC_SECTION(s)          JEMALLOC_ATTR(section(s))
#define JEMALLOC_COLD                JEMALLOC_ATTR(cold)
#define JEMALLOC_RESTRICT_RETURN
#define JEMALLOC_ALLOCATOR
#if defined(__GLIBC__)
#define JEMALLOC_SYS_NOTHROW JEMALLOC_NOTHROW
#else
#define JEMALLOC_SYS_NOTHROW
#endif

#endif
