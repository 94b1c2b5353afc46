#!/bin/sh
# usage: ci/afl_smoke.sh [SECONDS]     AFL++ on the fuzz targets (Debian's package afl++; 30 s by default).
#
# Builds build/afl with clang 19 and AFL's driver objects, runs afl-fuzz on model_run_fuzzer with a planted fault, which has to be
# found, and then with lattice (stability at least 99.9 %, no crash).
set -eu
cd "$(dirname "$0")/.."
seconds="${1:-30}"
afl=/usr/lib/afl
[ -f "$afl/libAFLDriver.a" ] && [ -f "$afl/afl-compiler-rt.o" ] || {
  echo "ci/afl_smoke.sh: AFL++ is missing; apt-get install afl++" >&2; exit 1; }
export AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_NO_UI=1 AFL_NO_AFFINITY=1

folder="$PWD/build/afl"

# build ENGINE: only the target's own file depends on it
build() {
  cmake -S . -B "$folder" -G Ninja -DCMAKE_CXX_COMPILER=clang++-19 -DCMAKE_BUILD_TYPE=Release -DCROSSCHECK_FUZZ=ON \
    -DCROSSCHECK_FUZZ_ENGINE="$1" -DCMAKE_CXX_FLAGS=-fsanitize-coverage=trace-pc-guard \
    "-DCROSSCHECK_LIB_FUZZING_ENGINE=$afl/libAFLDriver.a $afl/afl-compiler-rt.o" >/dev/null
  cmake --build "$folder" --target model_run_fuzzer model_run_fuzzer_files >/dev/null
}

# fuzz: prints some lines of fuzzer_stats
fuzz() {
  work=$(mktemp -d)
  mkdir "$work/in"
  (cd "$work/in" && cmake -E tar xf "$folder/out/model_run_fuzzer_seed_corpus.zip")
  (cd "$work/in" && ls | grep -v '^simplest' | xargs -r rm)
  afl-fuzz -V "$seconds" -t 5000 -m none -i "$work/in" -o "$work/out" -- "$folder/out/model_run_fuzzer" >"$work/log" 2>&1 || {
    tail -n 20 "$work/log" >&2; exit 1; }
  sed -n 's/^\(execs_done\|stability\|saved_crashes\|saved_hangs\) *: /\1 /p' "$work/out/default/fuzzer_stats"
  rm -r "$work"
}

build faulty:token_logit
stats=$(fuzz)
echo "faulty:token_logit:" $stats
echo "$stats" | awk '$1 == "saved_crashes" { if ($2 == 0) { print "the planted fault was not found"; exit 1 } }'
build lattice
stats=$(fuzz)
echo "lattice:" $stats
echo "$stats" | awk '$1 == "stability" { if ($2 + 0 < 99.9) { print "stability below 99.9 %"; exit 1 } }
                     $1 == "saved_crashes" { if ($2 > 0) { print "a crash on lattice"; exit 1 } }'
echo "ci/afl_smoke.sh: ok"
