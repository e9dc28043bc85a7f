#!/bin/bash
# A heap of small blocks of which nine in ten were freed at random becomes small, and stays so where the system makes huge
# pages of itself: tried when that may be switched on, with khugepaged in a hurry.
# ctest-timeout: 200
set -u
program=${BINDIR:-$PWD}/prog/fragmented
thp=/sys/kernel/mm/transparent_hugepage

run() {
	LD_PRELOAD=${LIB:?} MALLOC_CONF=dirty_decay_ms:1000 timeout 60 "$program" "$@"
}

failed=0
run 16 4096 || failed=1
run 4096 100000 || failed=1
[ -w "$thp/enabled" ] && [ -w "$thp/khugepaged/scan_sleep_millisecs" ] || exit "$failed"
exec 9>"${TMPDIR:-/tmp}/thp.lock"
flock -w 60 9 || exit "$failed"
mode=$(sed 's/.*\[\(.*\)\].*/\1/' "$thp/enabled")
pause=$(cat "$thp/khugepaged/scan_sleep_millisecs")
restore() {
	echo "$mode" >"$thp/enabled"
	echo "$pause" >"$thp/khugepaged/scan_sleep_millisecs"
}
trap restore EXIT
trap 'exit 1' INT TERM
if echo always >"$thp/enabled" && echo 100 >"$thp/khugepaged/scan_sleep_millisecs"; then
	run 4096 100000 || failed=1
fi 2>/dev/null
exit "$failed"
