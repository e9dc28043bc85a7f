#!/bin/bash
# sort and xz, both with threads: the same bytes as without the library.
source "$(dirname "$0")/common.bash"
need sort xz awk
expect_loaded sort sort
expect_loaded xz xz -c
awk 'BEGIN { s = 42; for (i = 0; i < 300000; i++) { s = (s * 69069 + 1) % 4294967296; print s, i % 977 } }' >"$work/lines"
export LC_ALL=C
sort "$work/lines" >"$work/plain"
on_ashlar sort --parallel=4 -S 40M "$work/lines" >"$work/ashlar"
same "$work/plain" "$work/ashlar"
on_ashlar sort -S 1M -T "$work" -k2n -k1 "$work/lines" >"$work/ashlar"
sort -k2n -k1 "$work/lines" >"$work/plain"
same "$work/plain" "$work/ashlar"
on_ashlar xz -2 -T4 --block-size=1MiB -c "$work/lines" >"$work/packed"
on_ashlar xz -dc -T4 "$work/packed" >"$work/unpacked"
same "$work/lines" "$work/unpacked"
xz -dc "$work/packed" >"$work/unpacked"
same "$work/lines" "$work/unpacked"
