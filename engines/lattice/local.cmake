# lattice@local: the shim against the checkout CROSSCHECK_LATTICE_PATH. Its package is made in the build folder from the manifest of
# the newest supported version that is not newer than the checkout; every package lattice-* of the checkout replaces the released
# one of its name.
cmake_path(ABSOLUTE_PATH CROSSCHECK_LATTICE_PATH BASE_DIRECTORY ${CMAKE_SOURCE_DIR} NORMALIZE OUTPUT_VARIABLE checkout)

# "version" of a manifest, or "" when it has none of its own.
function(read_version manifest result)
  file(STRINGS ${manifest} lines REGEX "^version *= *\"[0-9]")
  list(POP_FRONT lines line)
  string(REGEX REPLACE ".*\"(.*)\".*" "\\1" version "${line}")
  set(${result} ${version} PARENT_SCOPE)
endfunction()

file(GLOB_RECURSE manifests ${checkout}/Cargo.toml)
set(patches "")
foreach(manifest ${manifests})
  if(manifest MATCHES "/target/")
    continue()
  endif()
  file(STRINGS ${manifest} names REGEX "^name *= *\"lattice-[a-z0-9-]*\"")
  if(NOT names)
    continue()
  endif()
  list(GET names 0 name)
  string(REGEX REPLACE ".*\"(.*)\".*" "\\1" name ${name})
  cmake_path(GET manifest PARENT_PATH folder)
  string(APPEND patches "${name} = { path = \"${folder}\" }\n")
  if(name STREQUAL "lattice-inference")
    read_version(${manifest} local_version)
  endif()
endforeach()
if(NOT patches MATCHES "lattice-inference = ")
  message(FATAL_ERROR "CROSSCHECK_LATTICE_PATH: no package lattice-inference below ${checkout}")
endif()
if(NOT local_version AND EXISTS ${checkout}/Cargo.toml)
  read_version(${checkout}/Cargo.toml local_version)  # of the workspace
endif()
if(NOT local_version)
  message(FATAL_ERROR "CROSSCHECK_LATTICE_PATH: neither lattice-inference nor ${checkout}/Cargo.toml states a version")
endif()

# The newest version that is known and not newer than the checkout.
file(STRINGS Cargo.toml pin REGEX "^lattice-inference")
string(REGEX REPLACE ".*\"=([0-9.]+)\".*" "\\1" base_version "${pin}")
set(base ${CMAKE_CURRENT_SOURCE_DIR})
if(local_version VERSION_LESS base_version)
  foreach(version ${known})
    if(NOT local_version VERSION_LESS version)
      set(base_version ${version})
      set(base ${CMAKE_CURRENT_SOURCE_DIR}/versions/${version})
    endif()
  endforeach()
endif()

set(package ${CMAKE_BINARY_DIR}/lattice_local)
file(READ ${base}/Cargo.toml manifest)
string(REGEX REPLACE "\nname = \"crosscheck-lattice[^\"]*\"" "\nname = \"crosscheck-lattice-local\"" manifest "${manifest}")
string(REGEX REPLACE "\nname = \"crosscheck_lattice[^\"]*\"" "\nname = \"crosscheck_lattice_local\"" manifest "${manifest}")
string(REGEX REPLACE "\n(build|path) = [^\n]*" "" manifest "${manifest}")
string(REPLACE "\nedition" "\nbuild = \"${CMAKE_CURRENT_SOURCE_DIR}/build.rs\"\nedition" manifest "${manifest}")
string(REPLACE "\n[lib]\n" "\n[lib]\npath = \"${CMAKE_CURRENT_SOURCE_DIR}/src/lib.rs\"\n" manifest "${manifest}")
string(REPLACE "\"=${base_version}\"" "\"=${local_version}\"" manifest "${manifest}")
# An edit recompiles what it touches; the code is optimised as in a release.
string(REPLACE "\nlto = false" "\nlto = false\nincremental = true" manifest "${manifest}")
string(APPEND manifest "\n[patch.crates-io]\n${patches}")
file(CONFIGURE OUTPUT ${package}/Cargo.toml CONTENT "${manifest}" @ONLY)
if(NOT EXISTS ${package}/Cargo.lock)
  configure_file(${base}/Cargo.lock ${package}/Cargo.lock COPYONLY)
endif()

# Cargo finds out by itself what of the checkout has changed.
set(folder ${CMAKE_BINARY_DIR}/cargo/lattice)
add_custom_target(
  crosscheck_lattice_local ALL
  COMMAND ${CMAKE_COMMAND} -E env ${CARGO_ENVIRONMENT} CARGO_TARGET_DIR=${folder}
          ${CARGO_PROGRAM} build --release --quiet --manifest-path ${package}/Cargo.toml
  COMMAND ${CMAKE_COMMAND} -E copy_if_different ${folder}/release/libcrosscheck_lattice_local.so ${library}_local.so
  BYPRODUCTS ${library}_local.so
  COMMENT "cargo: engine lattice@local, lattice ${local_version} of ${checkout}"
  JOB_POOL cargo
  VERBATIM)
add_dependencies(crosscheck_lattice crosscheck_lattice_local)
