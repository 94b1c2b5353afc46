// Writes what belongs beside a fuzz target: `side_files SUBJECT ENGINE KNOWN_ISSUES STEM CASE…`
// makes STEM.dict, STEM.options, STEM.known and the folder STEM_seed_corpus.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "fuzz/side_files.h"
#include "reference/safetensors.h"

namespace crosscheck {
namespace {

// The lines about properties of the target.
absl::StatusOr<std::string> KnownText(const FuzzTarget& target, const std::string& file) {
  const auto text = ReadFile(file);
  if (!text.ok()) return text.status();
  std::string kept;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    for (const Property* property : target.properties()) {
      const std::string start = absl::StrCat(std::string(property->name), "/");
      if (line.substr(0, start.size()) == start) absl::StrAppend(&kept, line, "\n");
    }
  }
  return kept;
}

absl::Status Write(const FuzzTarget& target, const std::string& known, const std::string& stem,
                   const std::vector<std::string>& cases) {
  auto known_text = KnownText(target, known);
  if (!known_text.ok()) return known_text.status();
  const std::string folder = stem + "_seed_corpus";
  std::error_code error;
  std::filesystem::remove_all(folder, error);
  std::filesystem::create_directories(folder, error);
  auto seeds = SeedFiles(target, cases);
  if (!seeds.ok()) return seeds.status();
  for (const auto& [name, bytes] : *seeds) {
    absl::Status written = WriteFile(absl::StrCat(folder, "/", name), bytes);
    if (!written.ok()) return written;
  }
  const std::pair<std::string, std::string> files[] = {
      {".dict", DictionaryText(Dictionary(target.subject(), target.limits()))},
      {".options", OptionsText()},
      {".known", *std::move(known_text)}};
  for (const auto& [extension, text] : files) {
    absl::Status written = WriteFile(stem + extension, text);
    if (!written.ok()) return written;
  }
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr, "usage: side_files SUBJECT ENGINE KNOWN_ISSUES STEM CASE…\n");
    return 1;
  }
  auto target = FuzzTarget::Open({.subject = argv[1], .engine = argv[2]});
  absl::Status status = target.status();
  if (target.ok()) status = Write(**target, argv[3], argv[4], {argv + 5, argv + argc});
  if (status.ok()) return 0;
  std::fprintf(stderr, "side_files: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace
}  // namespace crosscheck

int main(int argc, char** argv) { return crosscheck::Main(argc, argv); }
