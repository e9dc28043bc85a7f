#!/bin/bash
# With caches of CPUs 5,000 idle threads that used the heap hold no blocks and no slots: each costs its record, 2 KiB, and what
# the CPUs hold is bounded by their number.
# ctest-timeout: 200
set -eu
program=${BINDIR:-$PWD}/prog/idle_threads
export MALLOC_CONF=percpu_cache:true,stats_print:true,stats_print_opts:a
if ! LD_PRELOAD=${LIB:?} "$program" 1 1 2>&1 | grep -q 'stats.ashlar.percpu.on: true'; then
	echo "no restartable sequences here"
	exit 77
fi
export MALLOC_CONF=percpu_cache:true
without=$(LD_PRELOAD=$LIB "$program" 5000 0)
with=$(LD_PRELOAD=$LIB "$program" 5000 12)
echo "KiB: without work $without, with $with, per thread $(((with - without) / 5000)) and" \
	"$(((with - without) % 5000 / 5)) thousandths"
[ "$without" -gt 0 ] && [ $((with - without)) -le $((5000 * 5 / 2 + 4096)) ]
