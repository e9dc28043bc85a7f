/* event.c - the hook table. */
#include "thread/event.h"

struct event_hooks event_hooks;

_Noreturn void event_misuse(enum misuse what, const char *call, const void *pointer) {
	if (event_hooks.misuse != NULL)
		event_hooks.misuse(what, call, pointer);
	__builtin_trap();
}
