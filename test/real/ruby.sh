#!/bin/bash
# ruby: objects, threads, garbage collection; the same output as without the library.
source "$(dirname "$0")/common.bash"
need ruby
expect_loaded ruby ruby -
ruby "$here/prog/work.rb" >"$work/plain"
on_ashlar ruby "$here/prog/work.rb" "$LIB" >"$work/ashlar"
same "$work/plain" "$work/ashlar"
[ "$(wc -l <"$work/plain")" -eq 5 ] || fail "unexpected output"
