/* transfer.h - blocks on their way from threads that free them to threads that allocate them.
 *
 * One stack of pointers per class, for the whole process. A full thread cache pushes a batch, an empty one pops a batch:
 * one short lock for the lot, and neither touches slabs nor another thread's arena. Without traffic it is drained. A thread
 * that ends leaves blocks here for those to come.
 *
 *   count <= limit(class);  a stack holds at most TRANSFER_BYTES of blocks
 *
 * Caches in use push only while there are several of them. Lock: RANK_TRANSFER, one at a time; the base lock inside. */
#ifndef ASHLAR_CACHE_TRANSFER_H
#define ASHLAR_CACHE_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>

void transfer_start(void);
void transfer_enable(bool several_threads);
bool transfer_enabled(void);

#define TRANSFER_ANY UINT32_MAX
/* Takes over all `count` blocks of blocks[], or none (false): if there were more than `most` then. Where there is such a bound
 * it sees, and reports, that one of them waits already. */
bool transfer_push(unsigned class, void **blocks, unsigned count, unsigned most);
/* Fills slots[] with up to `want` blocks; returns how many. */
unsigned transfer_pop(unsigned class, void **slots, unsigned want);

/* Returns blocks to the arenas: those of classes without traffic since the last call, or `all`. / Bytes of what is there. */
void transfer_drain(bool all);
size_t transfer_bytes(void);

#endif
