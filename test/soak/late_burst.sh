#!/bin/bash
# The helper sleeps when a burst comes that is freed at once: it stays awake long enough to see it.
# ctest-timeout: 120
set -eu
exec env LD_PRELOAD="${LIB:?}" "${BINDIR:-$PWD}/prog/late_burst"
