# generated/version.h and, with the commit, generated/include/jemalloc/jemalloc.h: refreshed by every build.
#
#   ASHLAR_BUILD_VERSION  "0.1.0"           ASHLAR_BUILD_MAJOR, _MINOR, _PATCH  0, 1, 0
#   ASHLAR_BUILD_GIT_ID   40 hex digits, or 40 zeros when built outside a checkout

set(ASHLAR_VERSION_H ${CMAKE_CURRENT_BINARY_DIR}/generated/version.h)
set(ASHLAR_JEMALLOC_H ${CMAKE_CURRENT_BINARY_DIR}/generated/include/jemalloc/jemalloc.h)
set(version_command ${CMAKE_COMMAND}
	-D SOURCE=${CMAKE_CURRENT_SOURCE_DIR} -D OUTPUT=${ASHLAR_VERSION_H} -D VERSION=${PROJECT_VERSION}
	-P ${CMAKE_CURRENT_SOURCE_DIR}/cmake/WriteVersion.cmake)
execute_process(COMMAND ${version_command})
add_custom_target(ashlar_version BYPRODUCTS ${ASHLAR_VERSION_H} ${ASHLAR_JEMALLOC_H}
	COMMAND ${version_command} COMMENT "Version" VERBATIM)

set(public_header ${CMAKE_CURRENT_SOURCE_DIR}/include/ashlar/ashlar.h)
if(EXISTS ${public_header})
	set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${public_header})
	foreach(part MAJOR MINOR PATCH)
		file(STRINGS ${public_header} line REGEX "^#[ \t]*define[ \t]+ASHLAR_VERSION_${part}[ \t]+[0-9]+")
		if(line AND NOT line MATCHES "ASHLAR_VERSION_${part}[ \t]+${PROJECT_VERSION_${part}}([^0-9]|$)")
			message(FATAL_ERROR "include/ashlar/ashlar.h says '${line}', CMakeLists.txt ${PROJECT_VERSION}")
		endif()
	endforeach()
endif()
