/* check.h - checks at three prices.
 *
 *   must(cond, ptr)   always on: names the function and the pointer, then aborts. For corruption of our own
 *                     records.
 *   expect(cond)      debug builds (ASHLAR_DEBUG >= 1).
 *   audit(call)       debug level 2: walkers that re-verify a whole structure.
 *
 * The reporter is installed by the guard post; before that a failed check traps. */
#ifndef ASHLAR_UTIL_CHECK_H
#define ASHLAR_UTIL_CHECK_H

#ifndef ASHLAR_DEBUG
#define ASHLAR_DEBUG 0
#endif

typedef void check_reporter(const char *function, const char *condition, const void *pointer);

extern HIDDEN check_reporter *check_report; /* [const after start] NULL: trap */

_Noreturn void check_failed(const char *function, const char *condition, const void *pointer);

#define must(cond, ptr) (__builtin_expect(!(cond), 0) ? check_failed(__func__, #cond, (ptr)) : (void)0)

#if ASHLAR_DEBUG >= 1
#define expect(cond) must(cond, 0)
#else
#define expect(cond) ((void)sizeof(cond))
#endif

#if ASHLAR_DEBUG >= 2
#define audit(call) (call)
#else
#define audit(call) ((void)0)
#endif

#endif
