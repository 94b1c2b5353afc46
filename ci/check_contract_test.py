#!/usr/bin/env python3
"""usage: ci/check_contract_test.py     ci/check_contract.py on one good build of a toy target and on builds that each break one rule."""

import os
import subprocess
import tempfile
import unittest
import zipfile

CHECKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "check_contract.py")
COMPILER = os.environ.get("CXX", "clang++-19")
ENGINE = ["-fsanitize=fuzzer"]

TOY = r"""
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <utility>
volatile int sink;
template <int I> __attribute__((noinline)) void Edge(int x) { if (x == I) sink = I; }
template <int... I> void All(int x, std::integer_sequence<int, I...>) { (Edge<I>(x), ...); }
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  All(size > 0 ? data[0] : 0, std::make_integer_sequence<int, 200>());
%s
  return 0;
}
%s
"""
ARGUMENTS = r"""
extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  for (int i = 1; i < *argc; ++i) if ((*argv)[i][0] == '-' && (*argv)[i][1] == '-') { fprintf(stderr, "unknown flag\n"); exit(1); }
  return 0;
}
"""
PLANTED = '  if (size > 2 && data[0] == 7 && data[1] == 9) { fprintf(stderr, "%s\\n"); abort(); }'
SIGNATURE = "Assertion failure: logit-closeness/toy-exact/session/numeric FuzzerHash=abcdefgh"


def build(folder, name, body="", rest="", flags=(), side_files=("_seed_corpus.zip", ".dict", ".options", ".known")):
    target = os.path.join(folder, name)
    source = target + ".cc"
    with open(source, "w", encoding="utf-8") as file:
        file.write(TOY % (body, rest))
    subprocess.run([COMPILER, "-O1", *(flags or ENGINE), source, "-o", target], check=True)
    os.remove(source)
    for suffix in side_files:
        if suffix == "_seed_corpus.zip":
            with zipfile.ZipFile(target + suffix, "w") as archive:
                archive.writestr("seed", b"abc")
        else:
            with open(target + suffix, "w", encoding="utf-8") as file:
                file.write({".dict": '# a field\n"\\x01\\xff"\n', ".options": "[libfuzzer]\nmax_len = 64\n"}.get(suffix, ""))
    return target


class CheckContractTest(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.TemporaryDirectory()
        self.folder = self.place.name

    def tearDown(self):
        self.place.cleanup()

    def check(self, *arguments):
        result = subprocess.run([CHECKER, self.folder, *arguments], capture_output=True, text=True, check=False)
        return result.returncode, result.stdout

    def expect_broken(self, why, *arguments):
        code, output = self.check(*arguments)
        self.assertEqual(code, 1, output)
        self.assertIn(why, output)

    def test_good(self):
        build(self.folder, "toy_fuzzer")
        code, output = self.check()
        self.assertEqual(code, 0, output)
        self.assertIn("1 of 1 targets keep the contract", output)

    def test_good_with_the_address_sanitizer(self):
        many = "".join("  sink += size > %d ? data[%d] : 0;\n" % (i, i) for i in range(1100))
        build(self.folder, "toy_fuzzer", body=many, flags=["-fsanitize=fuzzer,address"])
        code, output = self.check("--sanitizer", "address")
        self.assertEqual(code, 0, output)

    def test_wrong_sanitizer(self):
        build(self.folder, "toy_fuzzer")
        self.expect_broken("calls of the address sanitizer, expected", "--sanitizer", "address")

    def test_a_sanitizer_that_was_not_asked_for(self):
        build(self.folder, "toy_fuzzer", flags=["-fsanitize=fuzzer,address"])
        self.expect_broken("in a build without it")

    def test_good_with_the_undefined_behaviour_sanitizer(self):
        many = "".join("  sink += sink << %d;\n" % (i % 30) for i in range(300))
        build(self.folder, "toy_fuzzer", body=many, flags=["-fsanitize=fuzzer,signed-integer-overflow"])
        code, output = self.check("--sanitizer", "undefined")
        self.assertEqual(code, 0, output)
        self.expect_broken("calls of the undefined sanitizer in a build without it")

    def test_another_sanitizer_than_undefined_behaviour(self):
        build(self.folder, "toy_fuzzer")
        self.expect_broken("calls of the undefined sanitizer, expected", "--sanitizer", "undefined")

    def test_a_library_that_is_not_beside_it(self):
        library = os.path.join(self.folder, "libforeign.so")
        subprocess.run([COMPILER, "-shared", "-fPIC", "-xc", "/dev/null", "-o", library], check=True)
        linked = ["-Wl,--no-as-needed", library, "-Wl,-rpath,$ORIGIN"]
        build(self.folder, "toy_fuzzer", flags=[*ENGINE, *linked])
        self.expect_broken("libforeign.so, which is not in lib")

    def test_uninstrumented(self):
        runtime = subprocess.run([COMPILER, "-print-file-name=libclang_rt.fuzzer-x86_64.a"], capture_output=True, text=True,
                                 check=True).stdout.strip()
        if not os.path.exists(runtime):
            folder = subprocess.run([COMPILER, "-print-runtime-dir"], capture_output=True, text=True, check=True).stdout.strip()
            runtime = next(path for path in (os.path.join(folder, "libclang_rt.fuzzer-x86_64.a"),
                                             os.path.join(os.path.dirname(folder), "linux", "libclang_rt.fuzzer-x86_64.a"))
                           if os.path.exists(path))
        build(self.folder, "toy_fuzzer", flags=["-xc++", "-Wl,--whole-archive", "-Wl," + runtime, "-Wl,--no-whole-archive", "-lpthread",
                                                "-ldl", "-lm", "-lstdc++"])
        self.expect_broken("is not instrumented")

    def test_libraries_outside_the_folder(self):
        build(self.folder, "toy_fuzzer", flags=[*ENGINE, "-Wl,-rpath,/opt/somewhere"])
        self.expect_broken("searches libraries in /opt/somewhere")

    def test_a_path_of_the_build_machine(self):
        data = os.path.join(self.folder, "data")
        with open(data, "wb"):
            pass
        build(self.folder, "toy_fuzzer", body='  if (FILE* f = fopen("%s.gone", "rb")) fclose(f); else exit(3);' % data)
        self.expect_broken("'-- -seed=1337 -runs=4' ended with")

    def test_argument_parsing(self):
        build(self.folder, "toy_fuzzer", rest=ARGUMENTS)
        self.expect_broken("'-- -seed=1337 -runs=4' ended with 1")

    def test_missing_side_file(self):
        build(self.folder, "toy_fuzzer", side_files=("_seed_corpus.zip", ".dict", ".options"))
        self.expect_broken("toy_fuzzer.known is missing")

    def test_the_empty_input_fails(self):
        build(self.folder, "toy_fuzzer", body="  if (size == 0) exit(1);")
        self.expect_broken("ended with 77")

    def test_a_dictionary_that_cannot_be_parsed(self):
        target = build(self.folder, "toy_fuzzer")
        with open(target + ".dict", "a", encoding="utf-8") as file:
            file.write("no entry\n")
        self.expect_broken(".dict:3 is no entry")

    def test_a_seed_that_fails(self):
        build(self.folder, "toy_fuzzer", body="  if (size == 3 && data[0] == 'a') abort();")
        self.expect_broken("a seed ended with 77")

    def test_planted_bug_and_its_line(self):
        build(self.folder, "planted_fuzzer", body=PLANTED % SIGNATURE)
        code, output = self.check("--planted", "planted_fuzzer")
        self.assertEqual(code, 0, output)

    def test_planted_bug_with_an_illegal_line(self):
        build(self.folder, "planted_fuzzer", body=PLANTED % SIGNATURE.replace("abcdefgh", "12345678"))
        self.expect_broken("no legal signature line", "--planted", "planted_fuzzer")

    def test_an_empty_folder_is_no_success(self):
        code, output = self.check()
        self.assertEqual(code, 1, output)
        self.assertIn("no fuzz target", output)


if __name__ == "__main__":
    unittest.main()
