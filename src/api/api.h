/* api.h - floor 6: every exported name. The prototypes and what they promise are in the public header.
 *
 * Built with ASHLAR_PREFIXED (for sanitizers, which keep the plain names for themselves) every name of C gets
 * the prefix ashlar_, and the C++ operators and the __libc_ names are left out. Sources write the plain
 * names: include this header after all system headers. */
#ifndef ASHLAR_API_H
#define ASHLAR_API_H

#include "ashlar/ashlar.h"
#include "util/util.h"

/* Where the C library's own prototype of malloc_usable_size has a const, this is it. */
#define MALLOC_USABLE_CONST

/* Not exported; for mallctl: up to `count` blocks as mallocx(size, flags) gives them. Returns how many it could. */
size_t extended_batch(void **slots, size_t count, size_t size, int flags);

#ifdef ASHLAR_PREFIXED
#define malloc                    ashlar_malloc
#define calloc                    ashlar_calloc
#define realloc                   ashlar_realloc
#define reallocarray              ashlar_reallocarray
#define reallocf                  ashlar_reallocf
#define free                      ashlar_free
#define cfree                     ashlar_cfree
#define free_sized                ashlar_free_sized
#define free_aligned_sized        ashlar_free_aligned_sized
#define posix_memalign            ashlar_posix_memalign
#define aligned_alloc             ashlar_aligned_alloc
#define memalign                  ashlar_memalign
#define valloc                    ashlar_valloc
#define pvalloc                   ashlar_pvalloc
#define malloc_usable_size        ashlar_malloc_usable_size
#define malloc_trim               ashlar_malloc_trim
#define mallopt                   ashlar_mallopt
#define malloc_info               ashlar_malloc_info
#define malloc_stats              ashlar_malloc_stats
#define mallocx                   ashlar_mallocx
#define rallocx                   ashlar_rallocx
#define xallocx                   ashlar_xallocx
#define sallocx                   ashlar_sallocx
#define dallocx                   ashlar_dallocx
#define sdallocx                  ashlar_sdallocx
#define nallocx                   ashlar_nallocx
#define get_defrag_hint           ashlar_get_defrag_hint
#define je_get_defrag_hint        ashlar_je_get_defrag_hint
#define mallctl                   ashlar_mallctl
#define mallctlnametomib          ashlar_mallctlnametomib
#define mallctlbymib              ashlar_mallctlbymib
#define malloc_stats_print        ashlar_malloc_stats_print
#define malloc_conf               ashlar_malloc_conf
#define malloc_conf_2_conf_harder ashlar_malloc_conf_2_conf_harder
#define malloc_message            ashlar_malloc_message
/* Only where they are functions: there are structures of these names. */
#define mallinfo(list)  ashlar_mallinfo(list)
#define mallinfo2(list) ashlar_mallinfo2(list)
#endif

#endif
