# crosscheck_cargo(NAME MINIMUM VERSION ARTIFACT FILE OUTPUT PATH [PACKAGE FOLDER] [CACHE NAME] [SOURCES …]): target
# crosscheck_<NAME>, which builds a Rust package from its committed lock file and copies the artifact to OUTPUT. PACKAGE is the
# package's folder (default: the current one), CACHE names cargo's target folder (default: NAME), which packages with common
# dependencies may share when their artifacts have names of their own, SOURCES are further files or patterns that it is made of.
# Without a cargo of that version there is no target, and a warning says so.
set_property(GLOBAL APPEND PROPERTY JOB_POOLS cargo=1)
# RUSTFLAGS of the caller would rebuild every crate and change what is tested.
set(CARGO_ENVIRONMENT --unset=RUSTFLAGS --unset=CARGO_ENCODED_RUSTFLAGS)
# libFuzzer sees inside the engine; other engines read counters of another kind.
if(CROSSCHECK_FUZZ AND (NOT CROSSCHECK_LIB_FUZZING_ENGINE OR CROSSCHECK_LIB_FUZZING_ENGINE MATCHES "-fsanitize=fuzzer"))
  list(APPEND CARGO_ENVIRONMENT RUSTC_WRAPPER=${CMAKE_SOURCE_DIR}/ci/cmake/coverage_rustc.sh)
endif()

# Sets CARGO_PROGRAM, or warns and clears it when there is none of that version.
function(crosscheck_find_cargo name minimum)
  find_program(CARGO_PROGRAM cargo HINTS $ENV{HOME}/.cargo/bin)
  set(version "none")
  if(CARGO_PROGRAM)
    execute_process(COMMAND ${CARGO_PROGRAM} --version WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}
                    OUTPUT_VARIABLE output ERROR_QUIET)
    if(output MATCHES "cargo ([0-9]+\\.[0-9]+\\.[0-9]+)")
      set(version ${CMAKE_MATCH_1})
    endif()
  endif()
  set(CARGO_FOUND TRUE PARENT_SCOPE)
  if(version STREQUAL "none" OR version VERSION_LESS minimum)
    set(CARGO_FOUND FALSE PARENT_SCOPE)
    message(WARNING "engine ${name} is not built: it needs cargo ${minimum} or newer (found: ${version}). Install "
                    "Rust (rustup.rs), then configure again.")
  endif()
endfunction()

function(crosscheck_cargo name)
  cmake_parse_arguments(ARG "" "MINIMUM;ARTIFACT;OUTPUT;PACKAGE;CACHE" "SOURCES" ${ARGN})
  crosscheck_find_cargo(${name} ${ARG_MINIMUM})
  if(NOT CARGO_FOUND)
    return()
  endif()
  if(NOT ARG_PACKAGE)
    set(ARG_PACKAGE ${CMAKE_CURRENT_SOURCE_DIR})
  endif()
  if(NOT ARG_CACHE)
    set(ARG_CACHE ${name})
  endif()
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${ARG_PACKAGE}/src/*.rs ${ARG_SOURCES})
  set(folder ${CMAKE_BINARY_DIR}/cargo/${ARG_CACHE})
  # A failed build leaves an older artifact of that name behind: the copy runs only after a build that succeeded.
  add_custom_command(
    OUTPUT ${ARG_OUTPUT}
    COMMAND ${CMAKE_COMMAND} -E env ${CARGO_ENVIRONMENT} CARGO_TARGET_DIR=${folder}
            ${CARGO_PROGRAM} build --release --locked --quiet
    COMMAND ${CMAKE_COMMAND} -E copy ${folder}/release/${ARG_ARTIFACT} ${ARG_OUTPUT}
    BYPRODUCTS ${folder}/release/${ARG_ARTIFACT}
    DEPENDS ${sources} ${ARG_PACKAGE}/Cargo.toml ${ARG_PACKAGE}/Cargo.lock
    WORKING_DIRECTORY ${ARG_PACKAGE}
    COMMENT "cargo: engine ${name}"
    JOB_POOL cargo
    VERBATIM)
  add_custom_target(crosscheck_${name} ALL DEPENDS ${ARG_OUTPUT})
endfunction()
