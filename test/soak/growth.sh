#!/bin/bash
# ctest-timeout: 120
set -eu
exec env LD_PRELOAD="${LIB:?}" "${BINDIR:-$PWD}/prog/growth"
