# common.bash - what the scripts of this folder share; sourced, not run.
#
# The environment gives LIB (the shared library), COMPAT (the folder of its libjemalloc names) and SOURCE.
# The programs beside the scripts are built into the folder the script starts in.

set -eu -o pipefail

# grep -q in a pipeline: it reads to the end, so that what writes to it is not killed and taken for failed.
has() {
	grep "$@" >/dev/null
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
BINDIR=${BINDIR:-$PWD}
: "${LIB:?is the path of the library}"
LIB=$(readlink -f "$LIB")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
	echo "FAILED: $*" >&2
	exit 1
}

# need PROGRAM...: a missing program is a failure, not a reason to pass.
need() {
	local program
	for program; do
		command -v "$program" >/dev/null || fail "$program is not installed"
	done
}

# on_ashlar COMMAND...: runs it, and whatever it starts, with the library preloaded.
on_ashlar() {
	LD_PRELOAD=$LIB "$@"
}

# family PID: the process and all below it.
family() {
	local child
	echo "$1"
	for child in $(cat "/proc/$1/task/$1/children" 2>/dev/null); do
		family "$child"
	done
}

maps_library() {
	grep -qF "$LIB" "/proc/$1/maps" 2>/dev/null
}

# expect_loaded NAME COMMAND...: COMMAND reads stdin; while it waits, a process of its family that runs the
# program NAME must have the library among its mappings.
expect_loaded() {
	local name=$1 pid member found="" turn
	shift
	mkfifo "$work/hold"
	LD_PRELOAD=$LIB "$@" <"$work/hold" >/dev/null 2>&1 &
	pid=$!
	exec 9>"$work/hold"
	for turn in $(seq 200); do
		for member in $(family "$pid"); do
			if [[ $(readlink "/proc/$member/exe" 2>/dev/null) == *"$name"* ]] && maps_library "$member"; then
				found=yes
			fi
		done
		[ -z "$found" ] || break
		sleep 0.05
	done
	exec 9>&-
	kill "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
	rm -f "$work/hold"
	[ -n "$found" ] || fail "the library is not mapped in $name"
}

# same FILE FILE
same() {
	cmp "$1" "$2" || fail "$1 and $2 differ"
}
