#!/bin/bash
# gcc and clang: objects of a C and a C++ source, byte for byte those made without the library.
source "$(dirname "$0")/common.bash"
need gcc g++ clang clang++ as ld
expect_loaded cc1 gcc -x c -S -o /dev/null -
expect_loaded clang clang -x c -c -o /dev/null -

compile() {
	local object=$1
	shift
	"$@" -o "$work/plain.o"
	on_ashlar "$@" -o "$work/ashlar.o"
	same "$work/plain.o" "$work/ashlar.o"
	[ -s "$work/ashlar.o" ] || fail "$object is empty"
}

cd "$here/.."
compile "torture by gcc" gcc -std=c11 -O2 -c race/torture.c
compile "torture by clang" clang -std=c11 -O2 -c race/torture.c
compile "operators by gcc" g++ -std=c++17 -O1 -I "$BUILD/generated/include" -I ../include -c api/operators.cpp
compile "operators by clang" clang++ -std=c++17 -O1 -I "$BUILD/generated/include" -I ../include -c api/operators.cpp
on_ashlar g++ -std=c++17 -O0 -g real/prog/cxx_threads.cpp -o "$work/linked" -pthread || fail "linking"
"$work/linked" | has "^total " || fail "the linked program does not run"
