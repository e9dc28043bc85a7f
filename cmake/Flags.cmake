# Flags as three interface targets: ashlar_flags for everything we compile, ashlar_c_flags for C,
# and ashlar_library_flags for the library itself.

add_library(ashlar_flags INTERFACE)
target_compile_definitions(ashlar_flags INTERFACE ASHLAR_DEBUG=${ASHLAR_DEBUG})
target_compile_options(ashlar_flags INTERFACE -Wall -Wextra -Wshadow -Wundef)
if(ASHLAR_WERROR)
	target_compile_options(ashlar_flags INTERFACE -Werror)
endif()
if(ASHLAR_COVERAGE)
	target_compile_options(ashlar_flags INTERFACE --coverage)
	target_link_options(ashlar_flags INTERFACE --coverage)
endif()
if(ASHLAR_SANITIZE)
	# A sanitizer replaces malloc itself, so ours is reached under the names ashlar_malloc etc.
	target_compile_definitions(ashlar_flags INTERFACE ASHLAR_PREFIXED=1)
	target_compile_options(ashlar_flags INTERFACE
		-fsanitize=${ASHLAR_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
	if(NOT ASHLAR_SANITIZE MATCHES "fuzzer")
		target_link_options(ashlar_flags INTERFACE -fsanitize=${ASHLAR_SANITIZE})
	endif()
endif()

add_library(ashlar_c_flags INTERFACE)
target_link_libraries(ashlar_c_flags INTERFACE ashlar_flags)
target_compile_options(ashlar_c_flags INTERFACE
	-Wconversion -Wcast-qual -Wwrite-strings -Wstrict-prototypes)
if(CMAKE_C_COMPILER_ID MATCHES "Clang")
	target_compile_options(ashlar_c_flags INTERFACE -Wthread-safety)
endif()

add_library(ashlar_library_flags INTERFACE)
target_link_libraries(ashlar_library_flags INTERFACE ashlar_c_flags)
target_include_directories(ashlar_library_flags INTERFACE
	${CMAKE_CURRENT_SOURCE_DIR}/src
	${CMAKE_CURRENT_SOURCE_DIR}/include
	${CMAKE_CURRENT_BINARY_DIR}/generated)
# A compiler that knows what malloc does would turn malloc + memset inside our calloc into calloc.
foreach(name malloc calloc realloc free aligned_alloc memalign posix_memalign valloc)
	target_compile_options(ashlar_library_flags INTERFACE -fno-builtin-${name})
endforeach()
# Unwind tables: a new_handler, or operator new itself, throws through our C frames.
target_compile_options(ashlar_library_flags INTERFACE
	-fvisibility=hidden -fno-semantic-interposition -fasynchronous-unwind-tables)
