// Which edges of an engine's library a corpus reaches: `edge_coverage SUBJECT ENGINE FILE…`
// (folders are walked; files are inputs of the subject's fuzz target).
//
// Prints, for each library with clang's coverage tables, "library PATH" and then one line for each
// edge: its address in the library in hexadecimal, "f" for the first of a function or "-", and in
// how many of the inputs it was reached. The last line is "inputs N".
#include <dlfcn.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "fuzz/fuzz_target.h"
#include "reference/safetensors.h"

namespace {

struct Library {
  char *begin = nullptr, *end = nullptr;  // a counter for each edge
  const uintptr_t* table = nullptr;       // address and flags of each edge
  std::vector<uint32_t> reached = {};     // inputs
};

std::vector<Library>& Libraries() {
  static auto& libraries = *new std::vector<Library>();
  return libraries;
}

}  // namespace

#pragma GCC visibility push(default)  // libraries of the build find these in the program
extern "C" {
void __sanitizer_cov_8bit_counters_init(char* begin, char* end) {
  for (const Library& known : Libraries()) {
    if (known.begin == begin) return;
  }
  Libraries().push_back({.begin = begin, .end = end});
}
// Called right after the counters of the same library.
void __sanitizer_cov_pcs_init(const uintptr_t* begin, const uintptr_t* end) {
  Library& last = Libraries().back();
  if (end - begin == 2 * (last.end - last.begin)) last.table = begin;
}
}
#pragma GCC visibility pop

namespace crosscheck {
namespace {

// The program's own edges are of no interest here: llvm-cov shows lines of our code (ci/coverage).
bool IsOfAnEngine(const Library& library, Dl_info& info) {
  static const char kOwn = 0;
  Dl_info own;
  return library.table != nullptr && dladdr(&kOwn, &own) != 0 &&
         dladdr(reinterpret_cast<void*>(library.table[0]), &info) != 0 &&
         info.dli_fbase != own.dli_fbase;
}

void Count(Library& library) {
  const auto edges = static_cast<size_t>(library.end - library.begin);
  library.reached.resize(edges);
  for (size_t i = 0; i < edges; ++i) library.reached[i] += library.begin[i] != 0 ? 1 : 0;
}

void Print(const Library& library) {
  Dl_info info;
  if (!IsOfAnEngine(library, info)) return;
  std::printf("library %s\n", info.dli_fname);
  for (size_t i = 0; i < library.reached.size(); ++i) {
    const uintptr_t address = library.table[2 * i] - reinterpret_cast<uintptr_t>(info.dli_fbase);
    const bool first = (library.table[2 * i + 1] & 1) != 0;
    std::printf("%zx %c %u\n", static_cast<size_t>(address), first ? 'f' : '-', library.reached[i]);
  }
}

std::vector<std::string> FilesBelow(char** first, char** last) {
  std::vector<std::string> files;
  for (; first != last; ++first) {
    std::error_code error;
    if (!std::filesystem::is_directory(*first, error)) {
      files.emplace_back(*first);
      continue;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(*first, error)) {
      if (entry.is_regular_file(error)) files.push_back(entry.path().string());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

int Main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: edge_coverage SUBJECT ENGINE FILE…\n");
    return 1;
  }
  auto target = FuzzTarget::Open({.subject = argv[1], .engine = argv[2]});
  if (!target.ok()) {
    std::fprintf(stderr, "edge_coverage: %s\n", std::string(target.status().message()).c_str());
    return 1;
  }
  const std::vector<std::string> files = FilesBelow(argv + 3, argv + argc);
  for (const std::string& file : files) {
    const auto bytes = ReadFile(file);
    if (!bytes.ok()) {
      std::fprintf(stderr, "edge_coverage: %s\n", std::string(bytes.status().message()).c_str());
      return 1;
    }
    for (const Library& library : Libraries()) std::fill(library.begin, library.end, 0);
    (*target)->Judge({reinterpret_cast<const uint8_t*>(bytes->data()), bytes->size()});
    for (Library& library : Libraries()) Count(library);
  }
  for (const Library& library : Libraries()) Print(library);
  std::printf("inputs %zu\n", files.size());
  return 0;
}

}  // namespace
}  // namespace crosscheck

int main(int argc, char** argv) { return crosscheck::Main(argc, argv); }
