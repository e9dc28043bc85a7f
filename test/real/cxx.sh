#!/bin/bash
# A C++ program whose threads hand each other objects: the same result as without the library.
source "$(dirname "$0")/common.bash"
program=$BINDIR/prog/cxx_threads
[ -x "$program" ] || fail "$program was not built"
plain=$("$program")
for round in 1 2 3; do
	[ "$(on_ashlar "$program")" = "$plain" ] || fail "another result"
done
[[ $plain == "total "* ]] || fail "no result"
LD_DEBUG=bindings LD_PRELOAD=$LIB "$program" 2>&1 >/dev/null | grep -F "$LIB" >"$work/bindings"
for symbol in malloc free _Znwm _ZdlPvm _ZnwmSt11align_val_t; do
	grep -q "symbol .$symbol'" "$work/bindings" || fail "$symbol is not taken from the library"
done
