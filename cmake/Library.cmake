# The library, three times from the same objects:
#   libashlar.so.1        exports src/exports.txt and nothing else
#   libashlar.a           one relocatable object with its inner names made local: a program gets all
#                         of malloc's family or none, and cannot collide with our function names; its functions
#                         lie in a section of their own, by whose ends the profiler tells its frames from the program's
#   libashlar-inside.a    plain archive for tests that look inside

file(GLOB ashlar_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/src/*/*.c)
if(NOT ashlar_sources)
	message(FATAL_ERROR "no sources under src/")
endif()
# What most programs never call comes last, so that the rest lies in fewer pages.
set(seldom ${ashlar_sources})
list(FILTER seldom INCLUDE REGEX "/src/(prof/|ctl/[^o]|arena/(manual|reading)|page/(private|extents|huge)|thread/explicit)")
list(REMOVE_ITEM ashlar_sources ${seldom})
list(APPEND ashlar_sources ${seldom})

# The prefixed builds leave the plain names, and so these files, to the sanitizer.
if(ASHLAR_SANITIZE)
	list(FILTER ashlar_sources EXCLUDE REGEX "/src/api/(cxx|libc)\\.c$")
endif()

add_library(ashlar_objects OBJECT ${ashlar_sources})
# Between the program's call and the profiler, frame pointers lead on to the caller. The fast lane calls nothing and has none.
file(GLOB framed CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/src/api/*.c ${CMAKE_CURRENT_SOURCE_DIR}/src/prof/*.c)
set_source_files_properties(${framed} PROPERTIES
	COMPILE_OPTIONS "-fno-omit-frame-pointer;-momit-leaf-frame-pointer")
# A new_handler throws through these frames.
set_property(SOURCE ${CMAKE_CURRENT_SOURCE_DIR}/src/api/cxx.c APPEND PROPERTY COMPILE_OPTIONS -fexceptions)
set_target_properties(ashlar_objects PROPERTIES
	C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS ON POSITION_INDEPENDENT_CODE ON)
target_link_libraries(ashlar_objects PRIVATE ashlar_library_flags)
add_dependencies(ashlar_objects ashlar_version)

add_library(ashlar_inside STATIC $<TARGET_OBJECTS:ashlar_objects>)
set_target_properties(ashlar_inside PROPERTIES OUTPUT_NAME ashlar-inside EXCLUDE_FROM_ALL ON)
target_link_libraries(ashlar_inside INTERFACE ashlar_library_flags)

if(ASHLAR_SANITIZE)
	return()
endif()

# The export list becomes a version script without version names.
set(exports ${CMAKE_CURRENT_SOURCE_DIR}/src/exports.txt)
set(version_script ${CMAKE_CURRENT_BINARY_DIR}/generated/ashlar.map)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${exports})
file(STRINGS ${exports} names REGEX "^[A-Za-z_]")
list(JOIN names ";\n\t" names)
file(CONFIGURE OUTPUT ${version_script} @ONLY CONTENT "{\nglobal:\n\t@names@;\nlocal:\n\t*;\n};\n")

add_library(ashlar SHARED $<TARGET_OBJECTS:ashlar_objects>)
add_library(ashlar::ashlar ALIAS ashlar)
# nodelete: threads that exit after a dlclose still run our exit hook. No fini: the C library's does nothing, and lies
# behind all code, where no exit comes by otherwise.
target_link_options(ashlar PRIVATE
	-Wl,--version-script=${version_script} -Wl,--no-undefined -Wl,--as-needed
	-Wl,-z,nodelete -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,-fini=none)
if(ASHLAR_COVERAGE)
	target_link_options(ashlar PRIVATE --coverage)
endif()
set_target_properties(ashlar PROPERTIES SOVERSION ${ASHLAR_SOVERSION} LINKER_LANGUAGE C LINK_DEPENDS ${version_script})
target_include_directories(ashlar INTERFACE
	$<BUILD_INTERFACE:${CMAKE_CURRENT_BINARY_DIR}/generated/include>
	$<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

set(whole ${CMAKE_CURRENT_BINARY_DIR}/generated/ashlar.o)
add_custom_command(OUTPUT ${whole}
	COMMAND ${CMAKE_C_COMPILER} -r -nostdlib -o ${whole} $<TARGET_OBJECTS:ashlar_objects>
	COMMAND ${CMAKE_OBJCOPY} --localize-hidden --rename-section .text=ashlar_text
		--rename-section .text.unlikely=ashlar_text --rename-section .text.startup=ashlar_text
		--rename-section .text.hot=ashlar_text ${whole}
	DEPENDS ashlar_objects $<TARGET_OBJECTS:ashlar_objects>
	COMMAND_EXPAND_LISTS VERBATIM COMMENT "Joining the objects of libashlar.a")
add_library(ashlar_static STATIC ${whole})
add_library(ashlar::static ALIAS ashlar_static)
set_source_files_properties(${whole} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
set_target_properties(ashlar_static PROPERTIES OUTPUT_NAME ashlar EXPORT_NAME static LINKER_LANGUAGE C)
target_include_directories(ashlar_static INTERFACE
	$<BUILD_INTERFACE:${CMAKE_CURRENT_BINARY_DIR}/generated/include>
	$<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
if(ASHLAR_COVERAGE)
	target_link_options(ashlar_static INTERFACE --coverage)
endif()

# compat/: what programs linked to jemalloc look for, and what new ones are linked with: libjemalloc.so is there for the
# linker only, which takes the name libjemalloc.so.2 from it.
set(ASHLAR_COMPAT ${CMAKE_CURRENT_BINARY_DIR}/compat)
add_library(ashlar_jemalloc SHARED $<TARGET_OBJECTS:ashlar_objects>)
target_link_options(ashlar_jemalloc PRIVATE
	-Wl,--version-script=${version_script} -Wl,-soname,libjemalloc.so.2 -Wl,-s -Wl,-z,nodelete)
set_target_properties(ashlar_jemalloc PROPERTIES OUTPUT_NAME jemalloc NO_SONAME ON LINKER_LANGUAGE C
	LIBRARY_OUTPUT_DIRECTORY ${ASHLAR_COMPAT} LINK_DEPENDS ${version_script})
if(ASHLAR_COVERAGE)
	target_link_options(ashlar_jemalloc PRIVATE --coverage)
endif()
add_custom_command(TARGET ashlar POST_BUILD
	COMMAND ${CMAKE_COMMAND} -E make_directory ${ASHLAR_COMPAT}
	COMMAND ${CMAKE_COMMAND} -E create_symlink ../$<TARGET_SONAME_FILE_NAME:ashlar> ${ASHLAR_COMPAT}/libjemalloc.so.2
	VERBATIM)

add_custom_target(library DEPENDS ashlar ashlar_static ashlar_jemalloc)
