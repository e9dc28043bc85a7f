/* write_heap.c - the profile as text in the older form, for google-pprof and tools of its age:
 *
 *      heap profile: 7: 5767168 [11: 6000000] @ heapprofile
 *       4: 3670016 [5: 3800000] @ 0x400110 0x400221 0x400331
 *
 *      MAPPED_LIBRARIES:
 *      400000-500000 r-xp 00000000 00:00 0 /opt/demo/server
 *
 * `heapprofile` says that the numbers are to be taken as they are. Readers take the first address as it is, too, and
 * subtract one from all others. */
#include "profile.h"

#include <inttypes.h>

static const char *const names[] = {"inuse_objects", "inuse_space", "alloc_objects", "alloc_space"};
enum { COLUMNS = sizeof names / sizeof *names };

static void put_counters(const double values[COLUMNS], const char *kind, FILE *out) {
	fprintf(out, "%.0f: %.0f [%.0f: %.0f] @ %s", values[0], values[1], values[2], values[3], kind);
}

static double value_of(const struct sample *sample, uint32_t type) {
	return type != NO_NUMBER && sample->values[type] > 0 ? sample->values[type] : 0;
}

static void put_stack(const struct profile *profile, const struct sample *sample, FILE *out) {
	uint32_t first = profile_own_frames(profile, sample);
	for (uint32_t i = first; i < sample->depth; i++) {
		uint64_t address = profile->locations[profile->stacks[sample->stack + i]].address;
		fprintf(out, "%s0x%" PRIx64, i > first ? " " : "", address + (i > first));
	}
	fputc('\n', out);
}

void write_heap(const struct profile *profile, FILE *out) {
	double totals[COLUMNS] = {0}, values[COLUMNS];
	uint32_t types[COLUMNS];
	for (int i = 0; i < COLUMNS; i++) {
		types[i] = profile_find_type(profile, names[i]);
		for (size_t at = 0; at < profile->sample_count; at++)
			totals[i] += value_of(&profile->samples[at], types[i]);
	}
	fputs("heap profile: ", out);
	put_counters(totals, "heapprofile\n", out);
	for (size_t at = 0; at < profile->sample_count; at++) {
		for (int i = 0; i < COLUMNS; i++)
			values[i] = value_of(&profile->samples[at], types[i]);
		put_counters(values, "", out);
		put_stack(profile, &profile->samples[at], out);
	}
	fputs("\nMAPPED_LIBRARIES:\n", out);
	for (size_t i = 0; i < profile->mapping_count; i++) {
		const struct mapping *mapping = &profile->mappings[i];
		fprintf(out, "%" PRIx64 "-%" PRIx64 " r-xp %08" PRIx64 " 00:00 0 %s\n", mapping->start,
		        mapping->limit, mapping->offset, text_of(profile, mapping->file));
	}
}
