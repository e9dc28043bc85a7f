#!/bin/bash
# python3: dicts, json and threads; the same output as without the library, with and without its own arenas.
source "$(dirname "$0")/common.bash"
need python3
expect_loaded python3 python3 -
python3 "$here/prog/work.py" >"$work/plain"
on_ashlar python3 "$here/prog/work.py" "$LIB" >"$work/ashlar"
same "$work/plain" "$work/ashlar"
PYTHONMALLOC=malloc on_ashlar python3 "$here/prog/work.py" "$LIB" >"$work/all"
same "$work/plain" "$work/all"
[ "$(wc -l <"$work/plain")" -eq 17 ] || fail "unexpected output"
