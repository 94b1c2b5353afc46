# crosscheck_cargo(NAME MINIMUM VERSION ARTIFACT FILE OUTPUT PATH): target crosscheck_<NAME>, which builds the Rust
# package of the current folder from its committed lock file and copies the artifact to OUTPUT. Without a cargo of that
# version there is no target, and a warning says so.
set_property(GLOBAL APPEND PROPERTY JOB_POOLS cargo=1)

function(crosscheck_cargo name)
  cmake_parse_arguments(ARG "" "MINIMUM;ARTIFACT;OUTPUT" "" ${ARGN})
  find_program(CARGO_PROGRAM cargo HINTS $ENV{HOME}/.cargo/bin)
  set(version "none")
  if(CARGO_PROGRAM)
    execute_process(COMMAND ${CARGO_PROGRAM} --version WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}
                    OUTPUT_VARIABLE output ERROR_QUIET)
    if(output MATCHES "cargo ([0-9]+\\.[0-9]+\\.[0-9]+)")
      set(version ${CMAKE_MATCH_1})
    endif()
  endif()
  if(version STREQUAL "none" OR version VERSION_LESS ARG_MINIMUM)
    message(WARNING "engine ${name} is not built: it needs cargo ${ARG_MINIMUM} or newer (found: ${version}). Install "
                    "Rust (rustup.rs), then configure again.")
    return()
  endif()

  file(GLOB sources CONFIGURE_DEPENDS src/*.rs build.rs .cargo/config.toml)
  # Packages that ci/use_lattice took from a checkout: cargo has to run when one of their files changes.
  if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/.cargo/config.toml)
    file(STRINGS .cargo/config.toml patches REGEX "path = ")
    foreach(patch ${patches})
      string(REGEX REPLACE ".*path = \"(.*)\".*" "\\1" package "${patch}")
      file(GLOB_RECURSE files CONFIGURE_DEPENDS ${package}/src/*.rs ${package}/build.rs ${package}/Cargo.toml)
      list(APPEND sources ${files})
    endforeach()
  endif()
  set(folder ${CMAKE_BINARY_DIR}/cargo/${name})
  # RUSTFLAGS of the caller would rebuild every crate and change what is tested.
  add_custom_command(
    OUTPUT ${ARG_OUTPUT}
    COMMAND ${CMAKE_COMMAND} -E env --unset=RUSTFLAGS --unset=CARGO_ENCODED_RUSTFLAGS CARGO_TARGET_DIR=${folder}
            ${CARGO_PROGRAM} build --release --locked --quiet
    COMMAND ${CMAKE_COMMAND} -E copy ${folder}/release/${ARG_ARTIFACT} ${ARG_OUTPUT}
    BYPRODUCTS ${folder}/release/${ARG_ARTIFACT}
    DEPENDS ${sources} Cargo.toml Cargo.lock
    WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}
    COMMENT "cargo: engine ${name}"
    JOB_POOL cargo
    VERBATIM)
  add_custom_target(crosscheck_${name} ALL DEPENDS ${ARG_OUTPUT})
endfunction()
