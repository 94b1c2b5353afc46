#!/usr/bin/env python3
"""usage: ci/engine_counters.py     Coverage counters inside an engine, on the toy of engines/lattice/toy_engine.

Builds the toy with the compiler wrapper of the fuzz builds and without it, and checks that its counters arrive: every step of the
condition that hides its defect shows as further counters, and without the wrapper there are none. Then libFuzzer searches for the
defect through a program that sees nothing but pass or fail: with the counters every seed finds it, without them none does in ten times
the runs that the slowest of those took.
"""

import ctypes
import json
import os
import re
import struct
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOY = os.path.join(ROOT, "engines", "lattice", "toy_engine")
PLANTED = [2, 1, 3, 1, 2, 3, 3, 1, 2, 1, 3, 2]
CALLBACKS = """
#include <stdint.h>
char *begin, *end;
void __sanitizer_cov_8bit_counters_init(char* first, char* last) { begin = first; end = last; }
void __sanitizer_cov_pcs_init(const uintptr_t* first, const uintptr_t* last) {}
void __sanitizer_cov_trace_pc_indir(uintptr_t callee) {}
"""
SEEDS = (1, 2, 3)
MOST_RUNS = 400000
HARNESS = r"""
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
struct arena { void* data; uint64_t size, capacity; void* context; int (*grow)(struct arena*, uint64_t); };
int xck_open(const uint8_t*, uint64_t, void**, struct arena*);
int xck_call(void*, const uint8_t*, uint64_t, struct arena*);

// Ids of the prompt are the bytes of the input, sixteen at most.
int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static void* engine;
  static char frame[512], reply[4096];
  struct arena arena = {reply, 0, sizeof(reply), 0, 0};
  if (engine == 0) xck_open(0, 0, &engine, 0);
  char* head = frame + 16;
  int length = sprintf(head, "{\"id\":1,\"op\":\"logits\",\"sequences\":[{\"ids\":[");
  for (size_t i = 0; i < size && i < 16; ++i) length += sprintf(head + length, i == 0 ? "%d" : ",%d", data[i]);
  length += sprintf(head + length, "]}]}");
  uint32_t head_size = (uint32_t)length;
  memcpy(frame, "XCK1", 4);
  memcpy(frame + 4, &head_size, 4);
  xck_call(engine, (const uint8_t*)frame, 16 + (uint64_t)length, &arena);
  if (memmem(reply, arena.size, "planted", 7) != 0) abort();
  return 0;
}
"""


class Arena(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("size", ctypes.c_uint64), ("capacity", ctypes.c_uint64), ("context", ctypes.c_void_p),
                ("grow", ctypes.c_void_p)]


def build(folder, counters):
    environment = {name: value for name, value in os.environ.items() if name not in ("RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS")}
    environment["CARGO_TARGET_DIR"] = folder
    if counters:
        environment["RUSTC_WRAPPER"] = os.path.join(ROOT, "ci", "cmake", "coverage_rustc.sh")
    subprocess.run(["cargo", "build", "--release", "--locked", "--quiet"], cwd=TOY, env=environment, check=True)
    return os.path.join(folder, "release", "libtoy_engine.so")


class Probe:
    """The toy in this process, with its counters."""

    def __init__(self, folder, library):
        source = os.path.join(folder, "callbacks.c")
        with open(source, "w", encoding="utf-8") as file:
            file.write(CALLBACKS)
        callbacks = os.path.join(folder, "callbacks.so")
        subprocess.run([os.environ.get("CC", "clang-19"), "-shared", "-fPIC", source, "-o", callbacks], check=True)
        self.callbacks = ctypes.CDLL(callbacks, mode=ctypes.RTLD_GLOBAL)
        self.toy = ctypes.CDLL(library)
        self.begin = ctypes.c_void_p.in_dll(self.callbacks, "begin").value
        self.end = ctypes.c_void_p.in_dll(self.callbacks, "end").value
        self.engine = ctypes.c_void_p()
        self.toy.xck_open(None, ctypes.c_uint64(0), ctypes.byref(self.engine), None)

    def counters_of(self, ids):
        """Indices of the counters that a prompt of these ids moves."""
        head = json.dumps({"id": 1, "op": "logits", "sequences": [{"ids": ids}]}).encode()
        frame = b"XCK1" + struct.pack("<IQ", len(head), 0) + head
        room = ctypes.create_string_buffer(1 << 16)
        arena = Arena(ctypes.addressof(room), 0, 1 << 16, None, None)
        ctypes.memset(self.begin, 0, self.end - self.begin)
        self.toy.xck_call(self.engine, frame, ctypes.c_uint64(len(frame)), ctypes.byref(arena))
        return {i for i, count in enumerate(ctypes.string_at(self.begin, self.end - self.begin)) if count}


def check_arrival(folder, with_counters, without):
    symbols = subprocess.run(["nm", "-D", without], capture_output=True, text=True, check=True).stdout
    if "__sanitizer_cov" in symbols:
        return "the plain build has counters too"
    probe = Probe(folder, with_counters)
    seen = set()
    for step in range(len(PLANTED)):
        ids = PLANTED[:step] + [PLANTED[step] + 1] + [0] * (len(PLANTED) - step - 1)
        counters = probe.counters_of(ids)
        if counters <= seen:
            return "step %d of the condition moves no counter of its own" % step
        seen |= counters
    print("%d steps, each with counters of its own" % len(PLANTED))
    return ""


def link(folder, library):
    """The program that searches this build of the toy."""
    source = os.path.join(os.path.dirname(folder), "harness.c")
    with open(source, "w", encoding="utf-8") as file:
        file.write(HARNESS)
    program = os.path.join(folder, "search")
    subprocess.run([os.environ.get("CC", "clang-19"), "-D_GNU_SOURCE", "-O1", "-fsanitize=fuzzer", source, library, "-o", program,
                    "-Wl,-rpath," + os.path.dirname(library), "-Wl,--export-dynamic-symbol=__sanitizer_cov_*"], check=True)
    return program


def runs_until_found(program, seed, most):
    """None when the defect was not found in so many runs."""
    result = subprocess.run([program, "-seed=%d" % seed, "-runs=%d" % most, "-max_len=16", "-artifact_prefix=" + program,
                             "-print_final_stats=1"], capture_output=True, text=True, check=False)
    runs = re.search(r"stat::number_of_executed_units:\s*(\d+)", result.stderr)
    if result.returncode not in (0, 77) or runs is None:
        sys.exit("the search ended with %d: %s" % (result.returncode, result.stderr[-400:]))
    return int(runs.group(1)) if result.returncode == 77 else None


def check_search(folder, with_counters, without):
    counted = link(os.path.join(folder, "counters"), with_counters)
    plain = link(os.path.join(folder, "plain"), without)
    found = [runs_until_found(counted, seed, MOST_RUNS) for seed in SEEDS]
    print("with counters: found after %s runs" % ", ".join(str(runs) for runs in found))
    if None in found:
        return "with counters it was not always found in %d runs" % MOST_RUNS
    most = 10 * max(found)
    blind = [runs_until_found(plain, seed, most) for seed in SEEDS]
    print("without them: %s, in %d runs" % (", ".join("not found" if runs is None else "found" for runs in blind), most))
    return "" if blind == [None] * len(SEEDS) else "without counters it was found as well"


def main():
    if len(sys.argv) > 1:
        print(__doc__.strip())
        return 0 if "--help" in sys.argv else 1
    with tempfile.TemporaryDirectory() as folder:
        with_counters = build(os.path.join(folder, "counters"), True)
        without = build(os.path.join(folder, "plain"), False)
        wrong = check_arrival(folder, with_counters, without) or check_search(folder, with_counters, without)
    print(wrong or "ok")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
