#!/bin/bash
# The library is loaded by dlopen when not even 8 bytes of static TLS are left.
source "$(dirname "$0")/common.bash"
for i in $(seq 100); do
	cp "$BINDIR/tls_big.so" "$work/big$i.so"
	cp "$BINDIR/tls_small.so" "$work/small$i.so"
done
"$BINDIR/prog/late_tls" "$LIB" "$work"/big*.so "$work"/small*.so || fail "loading with nothing left"
