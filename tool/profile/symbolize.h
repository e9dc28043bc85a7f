/* symbolize.h - names, files and lines for addresses, by elfutils' libdw.
 *
 * The file of a mapping is used when its build id is the one the profile has; else, and when it is gone, a file with
 * that build id is searched in the debug directories. Functions that were inlined become lines of their own. */
#ifndef PROFILE_SYMBOLIZE_H
#define PROFILE_SYMBOLIZE_H

#include "profile.h"

struct places {
	const char *root; /* put before the files' paths; NULL: nothing */
	const char
		*debug_path; /* folders with colons between, in which .build-id/ is; NULL: /usr/lib/debug */
	bool silent;         /* no progress and no remarks on stderr */
};

/* Gives lines to all locations that have none. Files that are missing are remarked on, one line each. */
void symbolize(struct profile *profile, const struct places *places);

/* -- inside ---------------------------------------------------------------------------------------------- */

/* The name as one would say it, without parameters; to be freed. */
char *readable_name(const char *symbol);

#endif
