/* names_experimental.c - what stands behind the names experimental.utilization.*, experimental.batch_alloc and the
 * hook of safety checks. */
#include "ctl/names.h"
#include "api/api.h"
#include "arena/arena.h"
#include "guard/guard.h"

#include <errno.h>
#include <string.h>

/* -- where blocks are ------------------------------------------------------------------------------------ */

struct utilization {
	const void *filling;
	size_t free, regions, bytes, bin_free, bin_regions;
};

CALLER(utilization_query) {
	struct utilization out;
	const void *block;
	UNUSED(index);
	if (!ctl_strict(call, sizeof out) || !ctl_take(call, &block, sizeof block))
		return EINVAL;
	struct block_facts facts = arena_describe(block);
	out = (struct utilization){facts.filling, facts.free,     facts.regions,
	                           facts.bytes,   facts.bin_free, facts.bin_regions};
	return ctl_give(call, &out, sizeof out);
}

struct utilization_short {
	size_t free, regions, bytes;
};

CALLER(utilization_batch_query) {
	const size_t each_in = sizeof(void *), each_out = sizeof(struct utilization_short);
	size_t count = call->new_size / each_in;
	UNUSED(index);
	if (!ctl_strict(call, count * each_out) || call->new == NULL || count == 0 ||
	    call->new_size != count * each_in)
		return EINVAL;
	for (size_t i = 0; i < count; i++) {
		const void *block;
		memcpy(&block, (const char *)call->new + i *each_in, each_in);
		struct block_facts facts = arena_describe(block);
		struct utilization_short out = {facts.free, facts.regions, facts.bytes};
		memcpy((char *)call->old + i * each_out, &out, each_out);
	}
	return 0;
}

/* -- many blocks ----------------------------------------------------------------------------------------- */

struct batch {
	void **slots;
	size_t count, size;
	int flags;
};

CALLER(batch_alloc) {
	struct batch batch;
	size_t filled;
	UNUSED(index);
	if (!ctl_strict(call, sizeof filled) || !ctl_take(call, &batch, sizeof batch))
		return EINVAL;
	filled = extended_batch(batch.slots, batch.count, batch.size, batch.flags);
	return ctl_give(call, &filled, sizeof filled);
}

/* -- reports --------------------------------------------------------------------------------------------- */

WRITER(safety_check_abort) {
	guard_receiver *receiver;
	UNUSED(index);
	if (value == NULL)
		return 0;
	memcpy(&receiver, &value->as_pointer, sizeof receiver);
	guard_set_receiver(receiver);
	return 0;
}
