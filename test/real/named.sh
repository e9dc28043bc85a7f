#!/bin/bash
# bind9's named, which is linked to libjemalloc.so.2 and calls mallocx and sdallocx: it serves a zone, and its own
# memory statistics agree with what it did.
# ctest-timeout: 120
source "$(dirname "$0")/common.bash"
need named rndc dig python3
: "${COMPAT:?is the folder of the libjemalloc names}"
COMPAT=$(cd "$COMPAT" && pwd)
ldd "$(command -v named)" | has libjemalloc.so.2 || fail "this named is not linked to jemalloc"

server=""
stop() {
	[ -z "$server" ] || kill -9 "$server" 2>/dev/null || true
	rm -rf "$work"
}
trap stop EXIT

cat >"$work/zone" <<'END'
$TTL 300
@ IN SOA ns.example.test. root.example.test. (1 3600 600 86400 300)
@ IN NS ns.example.test.
ns IN A 127.0.0.1
END
for ((i = 0; i < 2000; i++)); do
	echo "host$i IN A 10.1.$((i / 250)).$((i % 250))"
done >>"$work/zone"

write_configuration() {
	cat >"$work/named.conf" <<-END
		options {
			directory "$work"; pid-file "$work/pid"; session-keyfile "$work/session.key";
			listen-on port $1 { 127.0.0.1; }; listen-on-v6 { none; };
			recursion no; dnssec-validation no; notify no; allow-transfer { 127.0.0.1; };
			statistics-file "$work/statistics";
			managed-keys-directory "$work"; bindkeys-file "$work/none";
		};
		key "test" { algorithm hmac-sha256; secret "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="; };
		controls { inet 127.0.0.1 port $(($1 + 1)) allow { 127.0.0.1; } keys { "test"; }; };
		statistics-channels { inet 127.0.0.1 port $(($1 + 2)) allow { 127.0.0.1; }; };
		zone "example.test" { type primary; file "$work/zone"; };
	END
	cat >"$work/rndc.conf" <<-END
		key "test" { algorithm hmac-sha256; secret "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="; };
		options { default-key "test"; default-server 127.0.0.1; default-port $(($1 + 1)); };
	END
}
ask() {
	dig -p "$port" @127.0.0.1 +tries=1 +time=5 "$@"
}
control() {
	rndc -c "$work/rndc.conf" "$@"
}

# Ports that are taken make it end, or answer for somebody else; try others.
for attempt in 1 2 3 4 5; do
	port=$((20000 + (RANDOM + attempt * 7919) % 20000))
	write_configuration "$port"
	LD_LIBRARY_PATH=$COMPAT named -g -n 2 -c "$work/named.conf" >"$work/log" 2>&1 &
	server=$!
	for turn in $(seq 100); do
		kill -0 "$server" 2>/dev/null || break
		! grep -q "address in use" "$work/log" || break
		! control status 2>/dev/null | has "server is up and running" || break 2
		sleep 0.1
	done
	kill -9 "$server" 2>/dev/null || true
	wait "$server" 2>/dev/null || true
	server=""
done
[ -n "$server" ] || fail "the server does not start: $(tail -5 "$work/log")"
maps_library "$server" || fail "the library is not mapped in named"
! grep -F libjemalloc.so.2 "/proc/$server/maps" | has -vF "$LIB" || fail "jemalloc is mapped beside the library"

# memory FIELD: the sum that the server keeps of its memory contexts.
memory() {
	python3 - "http://127.0.0.1:$((port + 2))/json/v1/mem" "$1" <<-'END'
		import json, sys, urllib.request
		memory = json.load(urllib.request.urlopen(sys.argv[1], timeout=10))["memory"]
		value = memory.get(sys.argv[2])
		if value is None:
		    value = sum(context.get(sys.argv[2].lower(), 0) for context in memory["contexts"])
		print(int(value))
	END
}

before=$(memory InUse)
[ "$(ask +short host1234.example.test)" = 10.1.4.234 ] || fail "a wrong answer"
for ((i = 0; i < 2000; i++)); do
	echo "host$i.example.test A"
done >"$work/queries"
ask +tcp +keepopen +nocookie +short -f "$work/queries" >"$work/answers" || fail "queries"
for ((i = 0; i < 2000; i++)); do
	echo "10.1.$((i / 250)).$((i % 250))"
done | diff - "$work/answers" | head -5 >"$work/wrong"
[ ! -s "$work/wrong" ] || fail "the answers are not those of the zone: $(cat "$work/wrong")"
[ "$(ask +tcp axfr example.test | grep -c '^host')" = 2000 ] || fail "the transfer of the zone is not complete"

# Ten thousand names more: the zone's memory grows; figures fit together.
for ((i = 2000; i < 12000; i++)); do
	echo "host$i IN A 10.2.$((i / 250)).$((i % 250))"
done >>"$work/zone"
sed -i 's/(1 3600/(2 3600/' "$work/zone"
control reload >/dev/null || fail "reload"
for turn in $(seq 100); do
	! ask +short host11999.example.test | has -x 10.2.47.249 || break
	sleep 0.1
done
[ "$(ask +short host11999.example.test)" = 10.2.47.249 ] || fail "the new zone is not served"
after=$(memory InUse)
rss=$(($(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$server/status") * 1024))
echo "memory in use: $before before, $after with 10,000 names more; resident: $rss"
[ "$after" -gt $((before + 500000)) ] || fail "the memory statistics do not see the larger zone"
[ "$after" -lt "$rss" ] || fail "more memory in use than is resident"
control stats >/dev/null && grep -q "Name Server Statistics" "$work/statistics" || fail "statistics file"
control stop >/dev/null || fail "stop"
status=0
wait "$server" || status=$?
server=""
[ "$status" = 0 ] || fail "the server ended with $status: $(tail -5 "$work/log")"
