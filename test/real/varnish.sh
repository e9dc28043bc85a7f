#!/bin/bash
# varnishd, which is linked to libjemalloc.so.2: it caches what a small server behind it gives, drops it again, and its
# storage counters agree with that.
# ctest-timeout: 120
source "$(dirname "$0")/common.bash"
need varnishd varnishstat varnishadm python3 cc
: "${COMPAT:?is the folder of the libjemalloc names}"
COMPAT=$(cd "$COMPAT" && pwd)
ldd "$(command -v varnishd)" | has libjemalloc.so.2 || fail "this varnishd is not linked to jemalloc"

backend=""
server=""
stop() {
	[ -z "$server" ] || kill "$server" 2>/dev/null || true
	[ -z "$server" ] || wait "$server" 2>/dev/null || true
	[ -z "$backend" ] || kill "$backend" 2>/dev/null || true
	rm -rf "$work"
}
trap stop EXIT
chmod 755 "$work"

cat >"$work/backend.py" <<'END'
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536 # head and body in one packet
    def do_GET(self):
        body = (self.path + " ").encode() * 2000
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
open(sys.argv[1] + ".new", "w").write(str(server.server_address[1]))
import os
os.rename(sys.argv[1] + ".new", sys.argv[1])
server.serve_forever()
END
python3 "$work/backend.py" "$work/backend" &
backend=$!
for turn in $(seq 100); do
	[ ! -e "$work/backend" ] || break
	sleep 0.1
done
[ -e "$work/backend" ] || fail "the server behind it does not start"

# A socket in the folder needs no port. jail none: it may run as whoever runs the test.
LD_LIBRARY_PATH=$COMPAT varnishd -F -j none -n "$work/varnish" -a "$work/socket" -b "127.0.0.1:$(cat "$work/backend")" \
	-s main=malloc,32m -p thread_pool_min=10 -p vcc_allow_inline_c=off >"$work/log" 2>&1 &
server=$!
for turn in $(seq 200); do
	[ ! -S "$work/socket" ] || ! varnishadm -n "$work/varnish" ping >/dev/null 2>&1 || break
	kill -0 "$server" 2>/dev/null || break
	sleep 0.1
done
varnishadm -n "$work/varnish" status 2>&1 | has "state running" || fail "it does not start: $(tail -5 "$work/log")"
worker=$(cat "/proc/$server/task/$server/children")
for process in $server $worker; do
	maps_library "$process" || fail "the library is not mapped in varnishd"
	! grep -F libjemalloc.so.2 "/proc/$process/maps" | has -vF "$LIB" || fail "jemalloc is mapped beside the library"
done

# fetch FROM TO: gets pages over eight connections and compares them.
fetch() {
	python3 - "$work/socket" "$1" "$2" <<-'END'
		import http.client, socket, sys, threading
		path, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
		bad = []
		def client(start):
		    connection = http.client.HTTPConnection("localhost", timeout=20)
		    connection.sock = socket.socket(socket.AF_UNIX)
		    connection.sock.settimeout(20)
		    connection.sock.connect(path)
		    for i in range(start, last, 8):
		        connection.request("GET", f"/page{i}")
		        if connection.getresponse().read() != f"/page{i} ".encode() * 2000:
		            bad.append(i)
		threads = [threading.Thread(target=client, args=(first + i,)) for i in range(8)]
		[t.start() for t in threads]
		[t.join() for t in threads]
		sys.exit(1 if bad else 0)
	END
}
counter() {
	varnishstat -n "$work/varnish" -1 -f "$1" | awk '{ print $2; found = 1 } END { exit !found }'
}

fetch 0 1200 || fail "a page is not what was behind it"
fetch 0 1200 || fail "a cached page is not what was behind it"
[ "$(counter MAIN.cache_miss)" = 1200 ] || fail "misses: $(counter MAIN.cache_miss)"
[ "$(counter MAIN.cache_hit)" = 1200 ] || fail "hits: $(counter MAIN.cache_hit)"
held=$(counter SMA.main.g_bytes)
echo "storage: $held bytes in $(counter SMA.main.g_alloc) pieces for 1200 pages"
[ "$held" -gt $((1200 * 2000 * 7)) ] && [ "$held" -le $((32 << 20)) ] || fail "the storage holds $held bytes"

# All is banned and expires; more pages than the storage has room for push each other out.
varnishadm -n "$work/varnish" 'ban req.url ~ .' >/dev/null || fail "ban"
fetch 2000 4500 || fail "a page is not what was behind it"
[ "$(counter MAIN.n_lru_nuked)" -gt 0 ] || fail "nothing was pushed out"
[ "$(counter SMA.main.g_bytes)" -le $((32 << 20)) ] || fail "the storage is larger than allowed"
[ "$(counter MGT.child_panic)" = 0 ] && [ "$(counter MGT.child_died)" = 0 ] || fail "the worker process died"
varnishadm -n "$work/varnish" stop >/dev/null || fail "stop"
panic=$(varnishadm -n "$work/varnish" panic.show 2>&1 || true) # fails when there is none
[[ $panic = *"has not panicked"* ]] || fail "it panicked: $panic"
kill "$server"
wait "$server" || true
server=""
