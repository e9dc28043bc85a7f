#!/bin/bash
# One CPU and 512 MiB on a host with 64 CPUs: few arenas, and what was freed goes before the limit is reached.
# ctest-timeout: 120
set -u
. "${SOURCE:?}/test/soak/container.bash"
program=${BINDIR:-$PWD}/prog/container
limit=$((512 << 20))
failed=0

# Where the system makes huge pages of itself, free pages next to used ones are resident that nobody has touched: a block of
# 5 MiB has 1 MiB of them behind it. They are not counted.
always() {
	grep -qs '\[always\]' /sys/kernel/mm/transparent_hugepage/enabled
}

# run ARENAS LEAST MOST [OPTIONS]: at most so many arenas, resident memory at its highest in these bounds of MiB.
run() {
	local arenas kib least=$2 most=$3 mode=""
	always && mode=", huge pages always"
	read -r arenas kib < <(inside env MALLOC_CONF="abort_conf:true${4:+,$4}" "$program" "$limit")
	always && mode=", huge pages always"
	[ -n "$mode" ] && least=300 most=$((most + 64))
	printf 'limit %s, %s%s: arenas %s, highest %s MiB\n' "$((limit >> 20)) MiB" "${4:-defaults}" "$mode" "${arenas:=-1}" "$((${kib:=0} / 1024))"
	if ! ((arenas > 0 && arenas <= $1 && kib >= least * 1024 && kib <= most * 1024)); then
		echo "  expected: at most $1 arenas, $least to $most MiB"
		failed=1
	fi
}

container 1 "$limit"
run 4 300 512
run 4 300 450 memory_limit_soft:80%
run 4 513 900 memory_limit_soft:0
container max max
run 300 513 900
run 300 300 512 memory_limit_soft:480m
exit "$failed"
