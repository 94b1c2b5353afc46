#!/usr/bin/env python3
"""usage: ci/engine_counters.py     Coverage counters inside an engine, on the toy of engines/lattice/toy_engine.

Builds the toy with the compiler wrapper of the fuzz builds and without it, and checks that its counters arrive: every step of the
condition that hides its defect shows as further counters, and without the wrapper there are none.
"""

import ctypes
import json
import os
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


def main():
    if len(sys.argv) > 1:
        print(__doc__.strip())
        return 0 if "--help" in sys.argv else 1
    with tempfile.TemporaryDirectory() as folder:
        with_counters = build(os.path.join(folder, "counters"), True)
        without = build(os.path.join(folder, "plain"), False)
        wrong = check_arrival(folder, with_counters, without)
    print(wrong or "ok")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
