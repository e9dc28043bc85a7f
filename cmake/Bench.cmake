# The workloads of bench/ are plain programs that know nothing of the library: bench/run preloads one
# allocator after the other. Only the target bench_programs builds them.

add_custom_target(bench_programs)
if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/bench/CMakeLists.txt)
	add_subdirectory(bench EXCLUDE_FROM_ALL)
	get_property(programs DIRECTORY bench PROPERTY BUILDSYSTEM_TARGETS)
	if(programs)
		add_dependencies(bench_programs ${programs})
	endif()
endif()
