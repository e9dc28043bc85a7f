/* page.h - floor 3: runs of pages out of 2 MiB chunks, and how they go back to the system. */
#ifndef ASHLAR_PAGE_H
#define ASHLAR_PAGE_H

#include "page/chunk.h"
#include "page/decay.h"
#include "page/pool.h"
#include "page/pages.h"

#endif
