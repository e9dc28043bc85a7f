/* event.c - the hook table. */
#include "thread/event.h"

struct event_hooks event_hooks;

void event_misuse(enum misuse what, const char *call, const void *pointer) {
	if (event_hooks.misuse == NULL)
		__builtin_trap();
	event_hooks.misuse(what, call, pointer);
}
