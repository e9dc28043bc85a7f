/* check.c - where a failed check goes. */
#include "util/util.h"

check_reporter *check_report;

_Noreturn void check_failed(const char *function, const char *condition, const void *pointer) {
	if (check_report != NULL)
		check_report(function, condition, pointer);
	__builtin_trap();
}
