#!/bin/bash -eu
# Builds the fuzz targets into $OUT with the compiler, flags and engine that OSS-Fuzz or ClusterFuzzLite give.
cmake -S . -B "$WORK/build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCROSSCHECK_FUZZ=ON \
  -DCMAKE_CXX_COMPILER="$CXX" -DCMAKE_CXX_FLAGS="$CXXFLAGS" "-DCROSSCHECK_LIB_FUZZING_ENGINE=$LIB_FUZZING_ENGINE"
cmake --build "$WORK/build" --target fuzz_targets
cp -r "$WORK/build/out/lib" "$OUT/"
for target in "$WORK/build/out/"*_fuzzer; do
  cp "$target" "$target".dict "$target".options "$target".known "$target"_seed_corpus.zip "$OUT/"
done
