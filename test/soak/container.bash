# Sourced by tests that pretend to run in a container. See lib/pretend.c.

: "${LIB:?}"
pretend=${BUILD:?}/test/soak/pretend.so
root=$(mktemp -d) || exit 1
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/proc/self" "$root/sys/fs/cgroup/host/pod"

# container CPUS MEMORY: the group allows so many CPUs and bytes; either may be max.
container() {
	local quota=$1
	[ "$1" = max ] || quota=$(($1 * 100000))
	echo 0::/host/pod >"$root/proc/self/cgroup"
	echo "$quota 100000" >"$root/sys/fs/cgroup/host/pod/cpu.max"
	echo "$2" >"$root/sys/fs/cgroup/host/pod/memory.max"
}

# inside COMMAND ...: runs it in there, on a host with 64 CPUs.
inside() {
	PRETEND_ROOT=$root PRETEND_CPUS=${PRETEND_CPUS:-64} LD_PRELOAD=$pretend:$LIB "$@"
}
