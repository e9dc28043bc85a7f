/* event.c - the hook table. */
#include "thread/event.h"

struct event_hooks event_hooks;
_Atomic(uint32_t) event_sampling;

void *event_suspend(void) {
	return event_hooks.suspend == NULL ? NULL : event_hooks.suspend();
}

void event_resume(void *was) {
	if (event_hooks.resume != NULL)
		event_hooks.resume(was);
}

bool event_suspended(void) {
	return event_hooks.suspended != NULL && event_hooks.suspended();
}

void event_misuse(enum misuse what, const char *call, const void *pointer) {
	if (event_hooks.misuse == NULL)
		__builtin_trap();
	event_hooks.misuse(what, call, pointer);
}
