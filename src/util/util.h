/* util.h - floor 0: bits, atomics, containers, formatting. No memory, no operating system. */
#ifndef ASHLAR_UTIL_H
#define ASHLAR_UTIL_H

#include "util/bits.h"
#include "util/check.h"
#include "util/atomic.h"
#include "util/list.h"
#include "util/bitmap.h"
#include "util/random.h"
#include "util/format.h"
#include "util/tls.h"
#include "util/probe.h"

#endif
