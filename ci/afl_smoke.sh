#!/bin/sh
# usage: ci/afl_smoke.sh [--full] [SECONDS]     AFL++ on fuzz targets (Debian's package afl++; 30 s for each by default).
#
# afl-fuzz searches generation_afl of the release build, a target with a planted fault that is linked with AFL's driver: stability has to be
# at least 99.9 %, the fault has to be found, and what AFL kept has to stop the target with its signature line. --full builds all of our
# code with clang 19 and AFL's coverage as well (build/afl, many minutes) and does the same with model_run_fuzzer on lattice, where nothing
# may crash.
set -eu
cd "$(dirname "$0")/.."
full=false
[ "${1:-}" != --full ] || { full=true; shift; }
seconds="${1:-30}"
afl=/usr/lib/afl
[ -f "$afl/libAFLDriver.a" ] && [ -f "$afl/afl-compiler-rt.o" ] || {
  echo "ci/afl_smoke.sh: AFL++ is missing; apt-get install afl++" >&2; exit 1; }
export AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_NO_UI=1 AFL_NO_AFFINITY=1 AFL_SKIP_CRASHES=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# fuzz PROGRAM: searches from the seeds in $work/in; sets the numbers of fuzzer_stats that count here
fuzz() {
  afl-fuzz -V "$seconds" -t 10000 -m none -i "$work/in" -o "$work/out" -- "$1" >"$work/log" 2>&1 || {
    tail -n 20 "$work/log" >&2; echo "ci/afl_smoke.sh: afl-fuzz did not run on $1" >&2; exit 1; }
  eval "$(sed -n 's/^\(execs_done\|stability\|saved_crashes\|total_edges\) *: \([0-9.]*\).*/\1=\2/p' "$work/out/default/fuzzer_stats")"
  echo "$(basename "$1"): $execs_done runs in $seconds s, $total_edges edges, stability $stability %, $saved_crashes crashes kept"
  awk "BEGIN { exit !($stability >= 99.9) }" || { echo "stability below 99.9 %"; exit 1; }
}

target=build/release/tests/targets/generation_afl
cmake --preset release >/dev/null
cmake --build --preset release --target generation_afl faulty_exact >/dev/null
mkdir "$work/in"
printf '\0\0\0\0' >"$work/in/simplest"
fuzz "$target"
[ "$saved_crashes" != 0 ] || { echo "the planted fault was not found"; exit 1; }
found=$(ls "$work/out/default/crashes/id:"* | head -n 1)
! "$target" "$found" >"$work/log" 2>&1
grep -a 'Assertion failure: .* FuzzerHash=' "$work/log" || { echo "the crash has no signature line"; exit 1; }

if $full; then
  tree="$PWD/build/afl"
  cmake -S . -B "$tree" -G Ninja -DCMAKE_CXX_COMPILER=clang++-19 -DCMAKE_BUILD_TYPE=Release -DCROSSCHECK_FUZZ=ON \
    -DCMAKE_CXX_FLAGS=-fsanitize-coverage=trace-pc-guard "-DCROSSCHECK_LIB_FUZZING_ENGINE=$afl/libAFLDriver.a $afl/afl-compiler-rt.o" >/dev/null
  cmake --build "$tree" --target model_run_fuzzer model_run_fuzzer_files >/dev/null
  rm -r "$work/in" "$work/out"
  mkdir "$work/in"
  (cd "$work/in" && cmake -E tar xf "$tree/out/model_run_fuzzer_seed_corpus.zip" && ls | grep -v '^simplest' | xargs -r rm)
  fuzz "$tree/out/model_run_fuzzer"
  [ "$saved_crashes" = 0 ] || { echo "a crash on lattice"; exit 1; }
fi
echo "ci/afl_smoke.sh: ok"
