#!/bin/bash
# The library is loaded by dlopen when no module of 64 bytes of static TLS fits any more.
source "$(dirname "$0")/common.bash"
for i in $(seq 100); do
	cp "$BINDIR/tls_big.so" "$work/big$i.so"
done
"$BINDIR/prog/late_tls" "$LIB" "$work"/big*.so || fail "loading late"
