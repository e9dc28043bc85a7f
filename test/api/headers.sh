# The public headers: every macro and type is there, with its value, in every dialect, without a warning.
# ctest-timeout: 300
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
flags="-Wall -Wextra -Wpedantic -Werror -fsyntax-only -I$BUILD/generated/include -I$SOURCE/include -I$SOURCE/test/api"
tried=0
failed=0

# try <compiler> <words>: compiles; a compiler that is not there, or a dialect it does not know, is left out.
try() {
	command -v "$1" >/dev/null || return 0
	echo 'int main(void) { return 0; }' >"$folder/empty.c"
	cp "$folder/empty.c" "$folder/empty.cpp"
	local language=${*: -1}
	language=.${language##*.}
	"${@:1:$#-1}" -fsyntax-only "$folder/empty$language" 2>/dev/null || return 0
	tried=$((tried + 1))
	"${@:1:$#-1}" $flags "${@: -1}" || {
		echo "FAILED: $*"
		failed=$((failed + 1))
	}
}

for define in NOTHING JEMALLOC_MANGLE JEMALLOC_NO_DEMANGLE JEMALLOC_NO_RENAME; do
	for compiler in gcc clang; do
		for dialect in c99 c11 gnu17 c2x; do
			try $compiler -std=$dialect -D$define "$SOURCE/test/api/headers/program.c"
		done
	done
	for compiler in g++ clang++; do
		for dialect in c++11 c++14 c++17 c++20 gnu++20; do
			try $compiler -std=$dialect -D$define "$SOURCE/test/api/headers/program.cpp"
		done
	done
done
for header in "$SOURCE"/include/*/*.h; do
	for compiler in gcc clang; do
		printf '#include "%s"\n#include "%s"\nint main(void) { return 0; }\n' "$header" "$header" >"$folder/alone.c"
		cp "$folder/alone.c" "$folder/alone.cpp"
		for dialect in c99 c11; do
			try $compiler -std=$dialect "$folder/alone.c"
		done
		for dialect in c++11 c++20; do
			try $(if [ $compiler = gcc ]; then echo g++; else echo clang++; fi) -std=$dialect "$folder/alone.cpp"
		done
	done
done
echo "$tried compilations, $failed failures"
[ "$tried" -ge 30 ] && [ "$failed" = 0 ]
