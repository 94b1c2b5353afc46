#!/usr/bin/env python3
"""usage: ci/check_contract.py FOLDER [--sanitizer none|address|undefined|address,undefined] [--planted TARGET]

Checks every fuzz target of a built folder against the contract of OSS-Fuzz and ClusterFuzz, without their scripts:
the folder is copied to a random place, made read-only, and each `*_fuzzer*` ELF in it is run with an empty environment.
One line per target; ends 1 when a target breaks a rule or there is none. `--planted TARGET` is a target that must stop with exit
code 77 and a legal signature line within 60 s, and is not checked for the rest.
"""

import argparse
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile

MARKER = b"LLVMFuzzerTestOneInput"
LEAST_EDGES = 100
LEAST_CALLS = {"address": 1000, "undefined": 168}  # of the sanitizer's functions, in a build with it
MOST_CALLS = {"address": 0, "undefined": 200}  # and without it
PREFIX = {"address": "__asan_", "undefined": "__ubsan_"}
SYSTEM = re.compile(r"(libc|libm|libdl|libpthread|libresolv|librt|libgcc_s|libstdc\+\+|ld-linux-x86-64)\.so\.\d+$")
SIGNATURE = re.compile(r"^Assertion failure: [a-z/-]+ FuzzerHash=[a-z]{8}$")


def is_target(path):
    name = os.path.basename(path)
    if not re.fullmatch(r"[A-Za-z0-9_-]+_fuzzer[A-Za-z0-9_-]*", name) or not os.access(path, os.X_OK) or os.path.isdir(path):
        return False
    with open(path, "rb") as file:
        return MARKER in file.read()


def run(target, *arguments, cwd, timeout=120):
    """(exit code, output); the environment is empty, so that nothing can hang on it."""
    try:
        result = subprocess.run([target, *arguments], cwd=cwd, env={}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                timeout=timeout)
    except subprocess.TimeoutExpired:
        return -1, "no end within %d s" % timeout
    return result.returncode, result.stdout.decode("utf-8", "replace")


def tool(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout.decode("utf-8", "replace")


def check_elf(target):
    with open(target, "rb") as file:
        if file.read(4) != b"\x7fELF":
            yield "is no ELF"
    dynamic = tool("readelf", "-d", target)
    for match in re.finditer(r"\((?:RUNPATH|RPATH)\).*\[(.*)\]", dynamic):
        for path in match.group(1).split(":"):
            if path and not path.startswith("$ORIGIN"):
                yield "searches libraries in %s, not beside itself" % path
    for name in re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic):
        beside = os.path.join(os.path.dirname(target), "lib", os.path.basename(name))
        if not SYSTEM.match(name) and ("/" in name or not os.path.exists(beside)):
            yield "needs %s, which is not in lib" % name


def check_sanitizer(target, sanitizer):
    code = tool("objdump", "-d", "--no-show-raw-insn", target)
    for name, prefix in PREFIX.items():
        calls = len(re.findall(r"call.*<" + prefix, code))
        if name in sanitizer.split(",") and calls < LEAST_CALLS[name]:
            yield "%d calls of the %s sanitizer, expected at least %d" % (calls, name, LEAST_CALLS[name])
        if name not in sanitizer.split(",") and calls > MOST_CALLS[name]:
            yield "%d calls of the %s sanitizer in a build without it" % (calls, name)


def check_runs(target, cwd):
    code, output = run(target, "--", "-seed=1337", "-runs=4", cwd=cwd)
    if code != 0 or "Done 4 runs" not in output:
        yield "'-- -seed=1337 -runs=4' ended with %d: %s" % (code, output.strip().splitlines()[-1:] or "nothing")
    edges = re.search(r"\((\d+) (?:inline 8-bit counters|guards)\)", output)
    if not edges or int(edges.group(1)) < LEAST_EDGES:
        yield "is not instrumented: %s edges" % (edges.group(1) if edges else "no")
    empty = os.path.join(cwd, "empty")
    open(empty, "wb").close()
    code, output = run(target, empty, cwd=cwd, timeout=25)
    if code != 0:
        yield "the empty input ended with %d: %s" % (code, output.strip().splitlines()[-1:])


def check_side_files(target, cwd):
    for suffix in ("_seed_corpus.zip", ".dict", ".options", ".known"):
        if not os.path.exists(target + suffix):
            yield "%s is missing" % (os.path.basename(target) + suffix)
            return
    entry = re.compile(r'^(#.*|\s*|("?[\w@-]+"?\s*=\s*)?"(\\x[0-9a-f]{2}|\\\\|\\"|[^"\\])+")$')
    with open(target + ".dict", encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not entry.match(line.rstrip("\n")):
                yield ".dict:%d is no entry" % number
    with open(target + ".options", encoding="utf-8") as file:
        if not file.read().startswith("[libfuzzer]\n"):
            yield ".options has no section [libfuzzer]"
    seeds = os.path.join(cwd, "seeds")
    with zipfile.ZipFile(target + "_seed_corpus.zip") as archive:
        archive.extractall(seeds)
    files = [os.path.join(folder, name) for folder, _, names in os.walk(seeds) for name in names]
    if not files:
        yield "the seed corpus is empty"
        return
    code, output = run(target, *files, cwd=cwd, timeout=600)
    if code != 0:
        yield "a seed ended with %d: %s" % (code, output.strip().splitlines()[-1:])


def check_planted(target, cwd):
    code, output = run(target, "-seed=1", "-max_total_time=60", "-artifact_prefix=" + cwd + "/", cwd=cwd, timeout=120)
    lines = [line for line in output.splitlines() if line.startswith("Assertion failure: ")]
    if code != 77:
        yield "the planted bug ended with %d, not with 77" % code
    if len(lines) != 1 or len(lines[0]) > 80 or not SIGNATURE.match(lines[0]):
        yield "the planted bug printed no legal signature line: %s" % lines


def check(target, arguments):
    with tempfile.TemporaryDirectory() as cwd:
        if os.path.basename(target) == arguments.planted:
            return list(check_planted(target, cwd))
        return [*check_elf(target), *check_sanitizer(target, arguments.sanitizer), *check_runs(target, cwd),
                *check_side_files(target, cwd)]


def read_only(folder, writable):
    for path, folders, names in os.walk(folder):
        for name in folders + names:
            full = os.path.join(path, name)
            if not os.path.islink(full):
                mode = os.stat(full).st_mode
                os.chmod(full, mode | stat.S_IWUSR if writable else mode & ~0o222)
        mode = os.stat(path).st_mode
        os.chmod(path, mode | stat.S_IWUSR if writable else mode & ~0o222)


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n", 1)[0][len("usage: "):], description=__doc__.split("\n", 2)[2])
    parser.add_argument("folder")
    parser.add_argument("--sanitizer", choices=["none", "address", "undefined", "address,undefined"], default="none")
    parser.add_argument("--planted")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        moved = os.path.join(place, "out")
        shutil.copytree(arguments.folder, moved)
        read_only(moved, writable=False)
        try:
            targets = sorted(path for path in (os.path.join(moved, name) for name in os.listdir(moved)) if is_target(path))
            broken = 0
            for target in targets:
                problems = check(target, arguments)
                broken += bool(problems)
                print("%s  %s" % ("BROKEN" if problems else "good  ", os.path.basename(target)))
                for problem in problems:
                    print("    " + problem)
        finally:
            read_only(moved, writable=True)
    if not targets:
        print("no fuzz target in %s" % arguments.folder)
    print("%d of %d targets keep the contract" % (len(targets) - broken, len(targets)))
    return 0 if targets and not broken else 1


if __name__ == "__main__":
    sys.exit(main())
