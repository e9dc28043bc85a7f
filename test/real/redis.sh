#!/bin/bash
# redis-server, which is linked to libjemalloc.so.2: it finds ours under that name and serves a benchmark.
# ctest-timeout: 120
source "$(dirname "$0")/common.bash"
need redis-server redis-cli redis-benchmark
: "${COMPAT:?is the folder of the libjemalloc names}"
ldd "$(command -v redis-server)" | has libjemalloc.so.2 || fail "this redis-server is not linked to jemalloc"
COMPAT=$(cd "$COMPAT" && pwd)

server=""
stop() {
	[ -z "$server" ] || kill "$server" 2>/dev/null || true
	rm -rf "$work"
}
trap stop EXIT

# A port that is taken makes the server end at once; try another.
for attempt in 1 2 3 4 5; do
	port=$((20000 + (RANDOM + attempt * 7919) % 20000))
	LD_LIBRARY_PATH=$COMPAT redis-server --bind 127.0.0.1 --port "$port" --dir "$work" --save "" \
		--io-threads 2 --lazyfree-lazy-user-del yes --daemonize no >"$work/log" 2>&1 &
	server=$!
	for turn in $(seq 100); do
		redis-cli -h 127.0.0.1 -p "$port" ping 2>/dev/null | has PONG && break 2
		kill -0 "$server" 2>/dev/null || break
		sleep 0.1
	done
	kill "$server" 2>/dev/null || true
	wait "$server" 2>/dev/null || true
	server=""
done
[ -n "$server" ] || fail "the server does not start: $(tail -5 "$work/log")"
[ "$(redis-cli -h 127.0.0.1 -p "$port" info server | tr -d '\r' | sed -n 's/^process_id://p')" = "$server" ] ||
	fail "somebody else answers on port $port"
maps_library "$server" || fail "the library is not mapped in redis-server"
! grep -F libjemalloc.so.2 "/proc/$server/maps" | has -vF "$LIB" || fail "jemalloc is mapped beside the library"

cli() {
	redis-cli -h 127.0.0.1 -p "$port" "$@"
}

redis-benchmark -h 127.0.0.1 -p "$port" -q -n 8000 -c 20 -P 8 -d 200 -r 5000 \
	-t set,get,incr,lpush,rpush,lpop,sadd,hset,zadd,lrange_100,mset >"$work/benchmark" 2>&1 ||
	fail "benchmark: $(cat "$work/benchmark")"
grep -q "SET: .*requests per second" "$work/benchmark" || fail "the benchmark did not report"

for ((i = 0; i < 300; i++)); do
	echo "SET check:$i $(printf 'v%.0s' $(seq $((i + 1))))"
	echo "RPUSH list:$((i % 7)) $i"
done | cli >/dev/null
[ "$(cli strlen check:299)" = 300 ] || fail "a value changed"
[ "$(cli llen list:3)" = 43 ] || fail "a list changed"
[ "$(cli lindex list:3 42)" = 297 ] || fail "an element changed"
[ "$(cli eval 'local t = {} for i = 1, 20000 do t[i] = "x" .. i end return #table.concat(t)' 0)" = 108894 ] ||
	fail "the script engine miscounts"
cli debug sleep 0 >/dev/null || true

# -- what it says about its memory

# The server asks its allocator ten times a second.
settle() {
	sleep 0.5
}
# figure NAME: of INFO memory. stat NAME: of MEMORY STATS, which is a list of names and values in turn.
figure() {
	cli info memory | tr -d '\r' | sed -n "s/^$1://p"
}
stat() {
	cli memory stats | grep -x -A 1 -e "$1" | tail -1
}
# ordered NAME...: figures that may not fall from one to the next. INFO's are all of one moment.
ordered() {
	local name value last=0
	cli info memory | tr -d '\r' >"$work/memory"
	for name; do
		value=$(sed -n "s/^$name://p" "$work/memory")
		[ "$value" -ge "$last" ] || fail "$name: $value, less than what it includes: $(cat "$work/memory")"
		last=$value
	done
}

[[ $(figure mem_allocator) = jemalloc* ]] || fail "no memory information"
cli flushall >/dev/null
cli memory purge >/dev/null || fail "memory purge"
settle
empty=$(figure allocator_allocated)
cli eval 'local v = string.rep("v", 1000) for i = 1, 60000 do redis.call("set", "key:" .. i, v) end' 0 >/dev/null
settle
ordered allocator_allocated allocator_active allocator_resident
ordered used_memory allocator_allocated
grown=$(($(figure allocator_allocated) - empty))
[ $grown -gt 60000000 ] && [ $grown -lt 90000000 ] || fail "60,000 values of 1,000 bytes are $grown bytes"
[ "$(figure allocator_resident)" -lt $(($(figure used_memory_rss) * 2)) ] || fail "resident: $(cat "$work/memory")"
[ "$(stat allocator.allocated)" -ge "$(stat total.allocated)" ] || fail "memory stats: $(cli memory stats)"
[ "$(stat allocator.active)" -ge "$(stat allocator.allocated)" ] || fail "memory stats: $(cli memory stats)"
[ "$(stat keys.count)" = 60000 ] || fail "memory stats: $(cli memory stats)"
cli memory doctor | has -i sam || fail "memory doctor"
cli memory malloc-stats >"$work/stats"
[ "$(wc -l <"$work/stats")" -gt 8 ] || fail "memory malloc-stats: $(cat "$work/stats")"
full=$(figure allocator_resident)
cli flushall >/dev/null
[ "$(cli memory purge)" = OK ] || fail "memory purge"
settle
ordered allocator_allocated allocator_active allocator_resident
left=$(figure allocator_resident)
[ $((full - left)) -gt 50000000 ] || fail "of $full resident bytes $left are left after flushall and purge"
for answer in no yes no; do
	[ "$(cli config set jemalloc-bg-thread $answer)" = OK ] || fail "jemalloc-bg-thread $answer"
done
# Debian's build has no defragmentation: it wants a function that only the jemalloc of its sources has.
cli config set activedefrag yes 2>&1 | has -e '^OK' -e 'cannot be enabled' || fail "activedefrag"
cli set after purge >/dev/null
cli bgsave >/dev/null
for turn in $(seq 100); do
	cli info persistence | tr -d '\r' | has -x rdb_bgsave_in_progress:0 && break
	sleep 0.1
done
cli info persistence | tr -d '\r' | has -x rdb_last_bgsave_status:ok || fail "the forked save failed"
cli flushall >/dev/null
[ "$(cli dbsize)" = 0 ] || fail "flushall"
cli shutdown nosave >/dev/null 2>&1 || true
status=0
wait "$server" || status=$?
server=""
[ "$status" = 0 ] || fail "the server ended with $status: $(tail -5 "$work/log")"
