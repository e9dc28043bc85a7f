/* map.h - the page map: what is at this address?
 *
 *   class  uint8_t per page: the size class of a block that starts in this page and that the fast lane may
 *          take, else 0 ("ask the span"). Slabs fill in all their pages, large blocks only their first. A page that
 *          is marked has 0, so that whatever is freed there comes by the full lane.
 *   span   struct span * per page: all pages of a slab, the first page of a large block, else NULL
 *   chunk  struct chunk * per 2 MiB
 *
 *   home window: 64 GiB of addresses, chosen at start. Its class bytes are one flat table:
 *
 *        page = address >> 12
 *        index = page - map_home.first_page        in the window iff index < HOME_PAGES
 *        class = map_home.classes[index]
 *
 *   everywhere else: root[address >> 32] -> leaf, which holds all three arrays for 4 GiB, mapped when first
 *   needed and untouched (not resident) where nothing lives. Spans and chunks of the home window are in leaves too.
 *
 * Synchronisation: an entry is written by the owner of the pages before a block is handed out and after all
 * blocks came back, so readers that hold a live block need no lock; marks come and go while some block of the page lives. Leaves are published with a release store
 * and never go away. Chunk entries are atomic: a pool looks at those beside its own, which another may change. Lock: RANK_MAP, for making leaves. */
#ifndef ASHLAR_META_MAP_H
#define ASHLAR_META_MAP_H

#include "meta/size.h"
#include "meta/span.h"

#define CHUNK_SHIFT 21
#define CHUNK       ((size_t)1 << CHUNK_SHIFT)
#define CHUNK_PAGES 512u

#define HOME_SHIFT 36
#define HOME_PAGES ((uintptr_t)1 << (HOME_SHIFT - PAGE_SHIFT))

struct map_home {
	uintptr_t first_page; /* far outside every address until map_open_home      [const after start] */
	_Atomic(uint8_t) *classes; /* [const after start]; the bytes: [atomic] for marks */
};
#define MAP_HOME_NONE \
	{ .first_page = (uintptr_t)1 << 60 }
extern HIDDEN struct map_home map_home;

/* Chooses the home window below the addresses the system uses by itself, and maps its table. Returns the
 * chunk-aligned address at which to ask for the first memory; 0 when there is no table (no memory): then every lookup
 * takes the other way. */
uintptr_t map_open_home(void);

/* Makes sure that [addr, addr + size) can be entered. False: no memory. */
bool map_cover(uintptr_t addr, size_t size);

/* Class / span / chunk at any address whatever; CLASS_NONE / NULL where nothing is known. The class is that of the blocks
 * that start there, marked or not. */
unsigned map_class(const void *ptr);
struct span *map_span(const void *ptr);
struct chunk *map_chunk(uintptr_t addr);

/* Enters or removes a span; its range must be covered. map_enter reads kind, class, base, pages. */
void map_enter(struct span *span);
void map_remove(const struct span *span);
void map_set_chunk(uintptr_t addr, struct chunk *chunk);

/* Marks the page of a live block, or takes the mark off. The caller knows of all marks in the page, and keeps others from
 * it meanwhile. */
void map_mark(const void *block, bool marked);
/* Can the fast lane not free what starts there? So it is on marked pages, and with blocks no thread cache takes. */
bool map_is_marked(const void *ptr);

/* Gives back the memory of the span entries of free chunks [base, base + count * CHUNK): one page each, all NULL. */
void map_forget_spans(uintptr_t base, size_t count);

#endif
