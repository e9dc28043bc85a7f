/* dump_proto.c - heap profiles as profile.proto (later). */
#include "prof/inside.h"

void dump_proto(struct output *out, struct view *view) {
	dump_text(out, view);
}
