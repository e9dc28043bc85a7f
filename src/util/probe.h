/* probe.h - places where tracers may look in (USDT): bpftrace, perf, SystemTap. One no-op each where nobody does; nothing at
 * all where sys/sdt.h was missing when the library was built.
 *
 *   ashlar:alloc  block, usable bytes, bytes it stands for        a sample was taken
 *   ashlar:free   the same                                        a sampled block is freed */
#ifndef ASHLAR_UTIL_PROBE_H
#define ASHLAR_UTIL_PROBE_H

#if defined(__has_include)
#if __has_include(<sys/sdt.h>)
#include <sys/sdt.h>
#define probe(name, block, bytes, weight) DTRACE_PROBE3(ashlar, name, block, bytes, weight)
#endif
#endif

#ifndef probe
#define probe(name, block, bytes, weight) ((void)0)
#endif

#endif
