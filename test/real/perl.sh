#!/bin/bash
# perl: hashes, sorting, substitution, fork; the same output as without the library.
source "$(dirname "$0")/common.bash"
need perl
expect_loaded perl perl -
perl "$here/prog/work.pl" >"$work/plain"
on_ashlar perl "$here/prog/work.pl" "$LIB" >"$work/ashlar"
same "$work/plain" "$work/ashlar"
[ "$(wc -l <"$work/plain")" -eq 7 ] || fail "unexpected output"
