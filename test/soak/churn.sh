#!/bin/bash
# ctest-timeout: 200
set -eu
exec env LD_PRELOAD="${LIB:?}" "${BINDIR:-$PWD}/prog/churn" 20000
