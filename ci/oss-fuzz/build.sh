#!/bin/bash -eu
# Builds the fuzz targets into $OUT with the compiler, flags and engine that OSS-Fuzz or ClusterFuzzLite give; a build
# type would add flags of its own.
# Debian's and Ubuntu's libraries have the interface of GNU's C++ library, so that LLVM's cannot be used beside them.
flags="${CXXFLAGS//-stdlib=libc++/}"
cmake -S . -B "$WORK/build" -G Ninja -DCMAKE_BUILD_TYPE= -DCROSSCHECK_FUZZ=ON \
  -DCMAKE_CXX_COMPILER="$CXX" -DCMAKE_CXX_FLAGS="$flags" "-DCROSSCHECK_LIB_FUZZING_ENGINE=$LIB_FUZZING_ENGINE"
cmake --build "$WORK/build" --target fuzz_targets
cp -r "$WORK/build/out/lib" "$OUT/"
for library in libstdc++.so.6 libgcc_s.so.1; do  # of this compiler; where targets run there may be none
  cp "$("$CXX" -print-file-name="$library")" "$OUT/lib/"
done
for target in "$WORK/build/out/"*_fuzzer; do
  cp "$target" "$target".dict "$target".options "$target".known "$target"_seed_corpus.zip "$OUT/"
done
