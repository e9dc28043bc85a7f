/* stack.c - who called? */
#include "ctl/ctl.h"
#include "prof/inside.h"

void stack_read(struct trace *trace) {
	trace->depth = 0;
}
