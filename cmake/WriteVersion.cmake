# cmake -D SOURCE=dir -D OUTPUT=file -D VERSION=a.b.c -P WriteVersion.cmake
#
# Beside the output, include/jemalloc/jemalloc.h gets the commit where the source has 40 zeros.
string(REPEAT "0" 40 id)
find_program(GIT git)
if(GIT AND EXISTS ${SOURCE}/.git)
	execute_process(COMMAND ${GIT} -c safe.directory=* -C ${SOURCE} rev-parse --verify -q HEAD
		OUTPUT_VARIABLE head ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
	if(head MATCHES "^[0-9a-f]+$")
		set(id ${head})
	endif()
endif()
string(REPLACE "." ";" parts ${VERSION})
list(GET parts 0 major)
list(GET parts 1 minor)
list(GET parts 2 patch)
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT [=[
/* Written by cmake/WriteVersion.cmake. */
#ifndef ASHLAR_BUILD_VERSION_H
#define ASHLAR_BUILD_VERSION_H

#define ASHLAR_BUILD_VERSION "@VERSION@"
#define ASHLAR_BUILD_MAJOR @major@
#define ASHLAR_BUILD_MINOR @minor@
#define ASHLAR_BUILD_PATCH @patch@
#define ASHLAR_BUILD_GIT_ID "@id@"

#endif
]=])

set(header include/jemalloc/jemalloc.h)
get_filename_component(folder ${OUTPUT} DIRECTORY)
string(REPEAT "0" 40 zeros)
file(READ ${SOURCE}/${header} text)
string(REPLACE "${zeros}" "${id}" text "${text}")
file(CONFIGURE OUTPUT ${folder}/${header} @ONLY CONTENT "${text}")
