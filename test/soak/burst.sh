#!/bin/bash
# Memory goes back after a burst, whether its threads have ended or sit idle. Both are tried at once.
# ctest-timeout: 120
set -u
program=${BINDIR:-$PWD}/prog/burst
LD_PRELOAD=${LIB:?} "$program" ended &
ended=$!
LD_PRELOAD=${LIB:?} "$program" alive &
alive=$!
failed=0
wait "$ended" || failed=1
wait "$alive" || failed=1
exit "$failed"
