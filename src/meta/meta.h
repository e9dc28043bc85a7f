/* meta.h - floor 2: what the allocator knows about memory, kept apart from it. */
#ifndef ASHLAR_META_H
#define ASHLAR_META_H

#include "meta/size.h"
#include "meta/span.h"
#include "meta/map.h"
#include "meta/base.h"

#endif
