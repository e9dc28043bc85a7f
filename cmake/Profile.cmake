# What `ashlar profile` is made of.
#
#   ashlar_profile          reading, adding up, showing: the C library is enough; fuzz programs and tests link it
#   ashlar_profile_command  the rest, where elfutils' libdw and zlib are there; ASHLAR_HAVE_PROFILE says whether

set(place ${CMAKE_CURRENT_SOURCE_DIR}/tool/profile)
set(flame_page ${CMAKE_CURRENT_BINARY_DIR}/generated/flame_page.c)
set(flame_sources ${place}/flame/page.html ${place}/flame/style.css ${place}/flame/script.js)
set(write_page ${CMAKE_CURRENT_SOURCE_DIR}/cmake/WritePage.cmake)
add_custom_command(OUTPUT ${flame_page}
	COMMAND ${CMAKE_COMMAND} -D SOURCE=${place}/flame -D OUTPUT=${flame_page} -P ${write_page}
	DEPENDS ${flame_sources} ${write_page} VERBATIM COMMENT "Page of the flame graph")

function(add_profile_library target)
	add_library(${target} STATIC EXCLUDE_FROM_ALL ${ARGN})
	set_target_properties(${target} PROPERTIES C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS ON)
	target_include_directories(${target} PUBLIC ${place})
	target_compile_definitions(${target} PRIVATE _GNU_SOURCE)
	target_link_libraries(${target} PUBLIC ashlar_c_flags m)
endfunction()

file(GLOB profile_sources CONFIGURE_DEPENDS ${place}/*.c)
set(command_sources ${profile_sources})
list(FILTER command_sources INCLUDE REGEX "/(command|gzip|symbolize|demangle|elf_file)\\.c$")
list(REMOVE_ITEM profile_sources ${command_sources})
add_profile_library(ashlar_profile ${profile_sources} ${flame_page})

if(ASHLAR_SANITIZE)
	return()
endif()

include(CheckCSourceCompiles)
if(NOT ASHLAR_HAVE_PROFILE)
	unset(ASHLAR_HAVE_PROFILE CACHE) # what was missing last time may be there now
endif()
set(CMAKE_REQUIRED_LIBRARIES dw elf z)
set(CMAKE_REQUIRED_QUIET ON)
check_c_source_compiles("
	#include <elfutils/libdwelf.h>
	#include <elfutils/libdwfl.h>
	#include <zlib.h>
	int main(void) { return dwfl_begin(0) != 0 || zlibVersion() == 0; }" ASHLAR_HAVE_PROFILE)
unset(CMAKE_REQUIRED_LIBRARIES)
unset(CMAKE_REQUIRED_QUIET)
if(ASHLAR_HAVE_PROFILE)
	add_profile_library(ashlar_profile_command ${command_sources})
	target_include_directories(ashlar_profile_command PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/tool)
	target_link_libraries(ashlar_profile_command PRIVATE ashlar_library_flags PUBLIC ashlar_profile dw elf z ${CMAKE_DL_LIBS})
else()
	message(STATUS "no libdw or no zlib (Debian: libdw-dev, zlib1g-dev): the command is built without `ashlar profile`")
endif()
