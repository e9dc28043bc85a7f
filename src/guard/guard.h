/* guard.h - the guard post: reports what a program did wrong to its heap. Beside the stairs.
 *
 * Nothing here allocates, takes a lock or calls stdio: it may run anywhere, also with locks held. */
#ifndef ASHLAR_GUARD_H
#define ASHLAR_GUARD_H

#include "util/util.h"

/* Installs the reporters of misuse (event_hooks.misuse) and of failed checks (check_report). */
void guard_start(void);

/* Prints one message, given whole with its "<ashlar>: " and newline, by one call of malloc_message if the
 * program set that, else by one write to stderr. Formats are those of text_add (util/format.h); what exceeds
 * 4 KiB is cut off. */
void guard_message(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same of something that went wrong while the program runs; does not return where the option abort is set. */
void guard_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same for what went wrong in the program: the text goes to the function set below, and the call returns. Without
 * one it is printed, and the program aborted. */
void guard_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
typedef void guard_receiver(const char *text);
void guard_set_receiver(guard_receiver *receiver); /* NULL: none, as at start */

/* The same of a text that is not a format. */
void guard_write(const char *text);

#endif
