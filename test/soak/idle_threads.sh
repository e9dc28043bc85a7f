#!/bin/bash
# 1,000 idle threads that used the heap a little cost at most 8 KiB each more than threads that never did.
# ctest-timeout: 120
set -eu
program=${BINDIR:-$PWD}/prog/idle_threads
without=$(LD_PRELOAD=${LIB:?} "$program" 1000 0)
with=$(LD_PRELOAD=${LIB:?} "$program" 1000 12)
echo "KiB: without work $without, with $with, per thread $(((with - without) / 1000)) and" \
	"$(((with - without) % 1000)) thousandths"
[ "$without" -gt 0 ] && [ $((with - without)) -le 8000 ]
