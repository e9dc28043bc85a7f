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
# The pages, and every file they lead to, lie as they do here, so that their links hold.
foreach(page README.md LICENSE CONTRIBUTING.md bench/README.md test/api/names.tsv src/ctl/options.def src/ctl/names.def
		src/api/fast.h src/cache/bin.h src/arena/slab.c src/meta/span.h src/page/chunk.c src/page/decay.c src/os/os.h)
	get_filename_component(folder ${page} DIRECTORY)
	install(FILES ${root}/${page} DESTINATION ${docs}/${folder})
endforeach()
install(DIRECTORY ${root}/doc DESTINATION ${docs} FILES_MATCHING PATTERN "*.md" PATTERN "man" EXCLUDE)
install(DIRECTORY ${root}/bench/results DESTINATION ${docs}/bench FILES_MATCHING PATTERN "*.md" PATTERN "*.svg")

# From where each file lies to the prefix.
function(path_to_prefix variable folder)
	file(RELATIVE_PATH path /p/${folder} /p)
	string(REGEX REPLACE "/$" "" path "${path}")
	set(${variable} ${path} PARENT_SCOPE)
endfunction()
set(GENERATED ${CMAKE_CURRENT_BINARY_DIR}/generated)
set(compat ${CMAKE_INSTALL_LIBDIR}/ashlar/compat)

# What tells compilers about the library, once as Ashlar and once, in the compat folder, as jemalloc.
function(install_helpers)
	path_to_prefix(TO_PREFIX ${BINDIR})
	configure_file(${root}/cmake/config.in ${GENERATED}/${NAME}-config @ONLY)
	install(PROGRAMS ${GENERATED}/${NAME}-config DESTINATION ${BINDIR})
	path_to_prefix(TO_PREFIX ${LIBDIR}/pkgconfig)
	set(LIBS "-l${NAME}")
	configure_file(${root}/cmake/library.pc.in ${GENERATED}/${NAME}.pc @ONLY)
	install(FILES ${GENERATED}/${NAME}.pc DESTINATION ${LIBDIR}/pkgconfig)
endfunction()

set(NAME ashlar)
set(CONFIG_USAGE "OPTION ...")
set(CONFIG_OPTIONS 99)
set(BINDIR ${CMAKE_INSTALL_BINDIR})
set(LIBDIR ${CMAKE_INSTALL_LIBDIR})
set(MANDIR ${CMAKE_INSTALL_MANDIR})
set(REVISION ${ASHLAR_SOVERSION})
set(VERSION ${PROJECT_VERSION})
set(VERSION_COMMAND "echo \"${PROJECT_VERSION}\"")
set(LIBS -lashlar)
set(LIBS_MEANING "what to link with")
set(MORE "")
install_helpers()

set(NAME jemalloc)
set(CONFIG_USAGE OPTION)
set(CONFIG_OPTIONS 1)
set(BINDIR ${compat}/bin)
set(LIBDIR ${compat})
set(MANDIR ${compat}/man)
set(REVISION 2)
set(VERSION 5.3.1_0)
# The header has the commit.
set(VERSION_COMMAND
	[[sed -n 's/^#define JEMALLOC_VERSION  *"\(.*\)"/\1/p' "$includedir/jemalloc/jemalloc.h"]])
set(LIBS -lpthread)
set(LIBS_MEANING "what to link with beside -ljemalloc")
set(MORE "install_suffix=\njemalloc_prefix=\n")
install_helpers()
path_to_prefix(TO_PREFIX ${BINDIR})
configure_file(${root}/cmake/jemalloc.sh.in ${GENERATED}/jemalloc.sh @ONLY)
install(PROGRAMS ${GENERATED}/jemalloc.sh DESTINATION ${BINDIR})

if(ASHLAR_SANITIZE)
	return()
endif()
install(TARGETS ashlar_jemalloc LIBRARY DESTINATION ${compat})
install(TARGETS ashlar_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY ${ASHLAR_MANUAL}/man1 ${ASHLAR_MANUAL}/man3 DESTINATION ${CMAKE_INSTALL_MANDIR})
if(MANDOC)
	install(DIRECTORY ${ASHLAR_MANUAL}/html/ DESTINATION ${docs} FILES_MATCHING PATTERN "*.html")
endif()

install(TARGETS ashlar ashlar_static EXPORT ashlar
	LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})

# compat/: the library and its manual under jemalloc's names.
file(RELATIVE_PATH page /p/${compat}/man/man3 /p/${CMAKE_INSTALL_MANDIR}/man3/ashlar.3)
install(CODE "
	set(compat \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${compat}\")
	file(MAKE_DIRECTORY \"\${compat}/man/man3\")
	file(CREATE_LINK ../../libashlar.so.${ASHLAR_SOVERSION} \"\${compat}/libjemalloc.so.2\" SYMBOLIC)
	file(CREATE_LINK ../../libashlar.a \"\${compat}/libjemalloc.a\" SYMBOLIC)
	file(CREATE_LINK libjemalloc.a \"\${compat}/libjemalloc_pic.a\" SYMBOLIC)
	file(CREATE_LINK ${page} \"\${compat}/man/man3/jemalloc.3\" SYMBOLIC)
	message(STATUS \"Installing: \${compat}\")")

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/ashlar)
install(EXPORT ashlar NAMESPACE ashlar:: DESTINATION ${package} FILE ashlar-targets.cmake)
configure_package_config_file(${root}/cmake/ashlar-config.cmake.in ${GENERATED}/ashlar-config.cmake
	INSTALL_DESTINATION ${package} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${GENERATED}/ashlar-config-version.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${GENERATED}/ashlar-config.cmake ${GENERATED}/ashlar-config-version.cmake DESTINATION ${package})
