#!/bin/sh
# RUSTC_WRAPPER of the fuzz builds: coverage counters, as clang's fuzzing engines read them, in the crates of the engine only; build
# scripts and third-party crates stay plain. The library keeps its symbols, by which `crosscheck coverage` names functions.
case " $* " in
  *" --crate-name lattice_"* | *" --crate-name toy_engine"*)
    exec "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
      -Cllvm-args=-sanitizer-coverage-pc-table ;;
  *" --crate-name crosscheck_lattice"*) exec "$@" --cfg coverage_counters -Cstrip=none ;;
  *) exec "$@" ;;
esac
