# Compiler settings and the three helper functions that every folder uses.

find_package(absl REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(simdjson REQUIRED)

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE_PROGRAM})
endif()

add_library(crosscheck_flags INTERFACE)
target_include_directories(crosscheck_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(crosscheck_flags INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Werror -fno-omit-frame-pointer)
target_link_options(crosscheck_flags INTERFACE -fuse-ld=lld)
if(CROSSCHECK_ASAN)
  # UBSan on Eigen's and torch's headers costs a factor of ten and reports nothing of ours.
  file(WRITE ${CMAKE_BINARY_DIR}/sanitize_ignore.txt "src:/usr/include/*\nfun:*Eigen*\n")
  set(sanitizers -fsanitize=address,undefined -fno-sanitize-recover=undefined
      -fsanitize-ignorelist=${CMAKE_BINARY_DIR}/sanitize_ignore.txt)
  target_compile_options(crosscheck_flags INTERFACE ${sanitizers} -O1 -g1)
  target_link_options(crosscheck_flags INTERFACE -fsanitize=address,undefined)
endif()

if(CROSSCHECK_FUZZ)
  if(NOT CROSSCHECK_LIB_FUZZING_ENGINE)
    target_compile_options(crosscheck_flags INTERFACE -fsanitize=fuzzer-no-link)
  endif()
endif()

# One precompiled header for every library and one, with GoogleTest, for the tests. Position-independent code throughout, so
# that programs can use them too.
target_compile_options(crosscheck_flags INTERFACE -fPIC "SHELL:-Xclang -fno-pch-timestamp")
set(pch_sources ${CMAKE_CURRENT_LIST_DIR}/precompiled.cc)
add_library(crosscheck_precompiled STATIC ${pch_sources})
target_link_libraries(crosscheck_precompiled PUBLIC crosscheck_flags absl::status absl::statusor absl::strings absl::span
                      nlohmann_json::nlohmann_json)
target_precompile_headers(crosscheck_precompiled PRIVATE ${CMAKE_CURRENT_LIST_DIR}/precompiled.h)
target_compile_options(crosscheck_precompiled PRIVATE "SHELL:-Xclang -fpch-instantiate-templates")

# crosscheck_library(NAME SOURCES … [DEPENDS …]): a static library whose headers are included from the repository root.
function(crosscheck_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC crosscheck_flags ${ARG_DEPENDS})
  # The exact model has floating-point options of its own and parses no JSON.
  if(NOT name STREQUAL crosscheck_exact)
    target_precompile_headers(${name} REUSE_FROM crosscheck_precompiled)
  endif()
endfunction()

# crosscheck_fast_malloc(TARGET): a tenth more cases per second (bench/run) for the harness, libtorch and the exact model. Not for
# crosscheck-host: an engine keeps the allocator that it ships with; nor beside the address sanitizer, which has its own.
find_library(CROSSCHECK_TCMALLOC NAMES tcmalloc_minimal libtcmalloc_minimal.so.4)
function(crosscheck_fast_malloc target)
  if(CROSSCHECK_TCMALLOC AND NOT CROSSCHECK_ASAN)
    target_link_libraries(${target} PRIVATE -Wl,--push-state,--no-as-needed,${CROSSCHECK_TCMALLOC},--pop-state)
  endif()
endfunction()

# crosscheck_test(FILE [DEPENDS …] [LOADS …]): one GoogleTest program per test file, registered with ctest under its path.
# LOADS names targets that it needs at run time.
function(crosscheck_test file)
  cmake_parse_arguments(ARG "" "" "DEPENDS;LOADS" ${ARGN})
  file(RELATIVE_PATH path ${CMAKE_SOURCE_DIR}/tests ${file})
  string(REGEX REPLACE "\\.cc$" "" test_name ${path})
  string(REPLACE "/" "." target ${test_name})
  add_executable(${target} ${file})
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(${target} PRIVATE ${ARG_DEPENDS} crosscheck_test_main)
  target_precompile_headers(${target} REUSE_FROM crosscheck_test_main)
  add_test(NAME ${test_name} COMMAND ${target} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${test_name} PROPERTIES TIMEOUT 900)
  if(ARG_LOADS)
    add_dependencies(${target} ${ARG_LOADS})
  endif()
endfunction()
