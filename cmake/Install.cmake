# make install: library, headers, compat folder, and the ways to find them. Everything installed finds
# its own prefix, so `cmake --install --prefix` may choose any.

include(CMakePackageConfigHelpers)

set(root ${CMAKE_CURRENT_SOURCE_DIR})
set(docs ${CMAKE_INSTALL_DATADIR}/doc/ashlar)

foreach(header ashlar/ashlar.h ashlar/extent_hooks.h)
	if(EXISTS ${root}/include/${header})
		get_filename_component(folder ${header} DIRECTORY)
		install(FILES ${root}/include/${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/${folder})
	endif()
endforeach()
install(FILES ${ASHLAR_JEMALLOC_H} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/jemalloc)
foreach(page README.md LICENSE CONTRIBUTING.md)
	if(EXISTS ${root}/${page})
		install(FILES ${root}/${page} DESTINATION ${docs})
	endif()
endforeach()
if(IS_DIRECTORY ${root}/doc)
	install(DIRECTORY ${root}/doc/ DESTINATION ${docs} FILES_MATCHING PATTERN "*.md" PATTERN "*.svg")
endif()

# From where each file lies to the prefix.
macro(path_to_prefix variable folder)
	file(RELATIVE_PATH ${variable} /p/${folder} /p)
	string(REGEX REPLACE "/$" "" ${variable} "${${variable}}")
endmacro()
path_to_prefix(PC_TO_PREFIX ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
path_to_prefix(BIN_TO_PREFIX ${CMAKE_INSTALL_BINDIR})
set(GENERATED ${CMAKE_CURRENT_BINARY_DIR}/generated)
configure_file(${root}/cmake/ashlar.pc.in ${GENERATED}/ashlar.pc @ONLY)
configure_file(${root}/cmake/ashlar-config.in ${GENERATED}/ashlar-config @ONLY)
install(PROGRAMS ${GENERATED}/ashlar-config DESTINATION ${CMAKE_INSTALL_BINDIR})

if(ASHLAR_SANITIZE)
	return()
endif()
install(FILES ${GENERATED}/ashlar.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

install(TARGETS ashlar ashlar_static EXPORT ashlar
	LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(CODE "
	set(compat \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}/ashlar/compat\")
	file(MAKE_DIRECTORY \"\${compat}\")
	file(CREATE_LINK ../../libashlar.so.${ASHLAR_SOVERSION} \"\${compat}/libjemalloc.so.2\" SYMBOLIC)
	file(CREATE_LINK libjemalloc.so.2 \"\${compat}/libjemalloc.so\" SYMBOLIC)
	message(STATUS \"Installing: \${compat}\")")

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/ashlar)
install(EXPORT ashlar NAMESPACE ashlar:: DESTINATION ${package} FILE ashlar-targets.cmake)
configure_package_config_file(${root}/cmake/ashlar-config.cmake.in ${GENERATED}/ashlar-config.cmake
	INSTALL_DESTINATION ${package} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${GENERATED}/ashlar-config-version.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${GENERATED}/ashlar-config.cmake ${GENERATED}/ashlar-config-version.cmake DESTINATION ${package})
