# The command `ashlar` and, made by it from the library's tables, the manual:
#
#   ashlar                    runs programs on the library, lists options and names, reads heap profiles
#   man/man3/ashlar.3, man/man1/ashlar.1, and the same as HTML in man/html/ where mandoc is installed

file(GLOB tool_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/tool/*.c)
file(RELATIVE_PATH bin_to_lib /p/${CMAKE_INSTALL_BINDIR} /p/${CMAKE_INSTALL_LIBDIR})
add_executable(ashlar_command ${tool_sources})
set_target_properties(ashlar_command PROPERTIES OUTPUT_NAME ashlar RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}
	C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS ON)
target_compile_definitions(ashlar_command PRIVATE _GNU_SOURCE
	ASHLAR_SONAME="libashlar.so.${ASHLAR_SOVERSION}" ASHLAR_BIN_TO_LIB="${bin_to_lib}")
target_include_directories(ashlar_command PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/tool)
target_link_libraries(ashlar_command PRIVATE ashlar_inside)
if(ASHLAR_HAVE_PROFILE)
	target_compile_definitions(ashlar_command PRIVATE ASHLAR_HAVE_PROFILE=1)
	target_link_libraries(ashlar_command PRIVATE ashlar_profile_command)
endif()
add_dependencies(ashlar_command ashlar_version)

find_program(MANDOC mandoc)
set(ASHLAR_MANUAL ${CMAKE_CURRENT_BINARY_DIR}/man)
set(pages "")
# The pages in doc/man/ are filled in by the command's --manual.
foreach(page ashlar.1 ashlar.3)
	string(REGEX REPLACE ".*\\." "man" folder ${page})
	set(source ${CMAKE_CURRENT_SOURCE_DIR}/doc/man/${page}.in)
	set(made ${ASHLAR_MANUAL}/${folder}/${page})
	add_custom_command(OUTPUT ${made}
		COMMAND ${CMAKE_COMMAND} -E make_directory ${ASHLAR_MANUAL}/${folder}
		COMMAND ashlar_command --manual < ${source} > ${made}
		DEPENDS ${source} ashlar_command VERBATIM COMMENT "Manual page ${page}")
	list(APPEND pages ${made})
	if(MANDOC)
		set(html ${ASHLAR_MANUAL}/html/${page}.html)
		add_custom_command(OUTPUT ${html}
			COMMAND ${CMAKE_COMMAND} -E make_directory ${ASHLAR_MANUAL}/html
			COMMAND ${MANDOC} -T html -O man=%N.%S.html ${made} > ${html}
			DEPENDS ${made} VERBATIM COMMENT "Manual page ${page} as HTML")
		list(APPEND pages ${html})
	endif()
endforeach()
add_custom_target(man ALL DEPENDS ${pages})
add_dependencies(library ashlar_command man)
