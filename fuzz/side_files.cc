#include "fuzz/side_files.h"

#include <filesystem>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "fuzz/corpus_store.h"
#include "properties/fields.h"
#include "properties/visitors/write.h"
#include "reference/safetensors.h"

namespace crosscheck {
namespace {

constexpr int kCasesSeen = 200;  // enough for every field of a subject to appear

// Changes nothing and keeps the boundary indices of every scalar field.
class BoundaryVisitor final : public FieldVisitor {
 public:
  const std::map<std::string, std::set<uint64_t>>& boundaries() const { return boundaries_; }

 protected:
  uint64_t Scalar(const ScalarField& field, uint64_t index) override {
    if (field.seed) return index;
    std::set<uint64_t>& boundaries = boundaries_[std::string(field.name)];
    boundaries.insert(field.max_index);
    if (field.max_index > 0) boundaries.insert(field.max_index - 1);
    for (size_t i = 0; i < field.interesting; ++i) {
      const uint64_t interesting = field.InterestingIndex(i);
      if (interesting <= field.max_index) boundaries.insert(interesting);
    }
    return index;
  }
  ListPlan BeginList(const ListField& field) override { return {.length = field.size}; }

 private:
  std::map<std::string, std::set<uint64_t>> boundaries_;
};

// A case file with a header names its property; a bare one is for all that judge its subject.
absl::StatusOr<std::pair<Case, std::string>> ReadSeed(const std::string& path) {
  auto text = ReadFile(path);
  if (!text.ok()) return text.status();
  if (text->rfind("# crosscheck case", 0) == 0) {
    auto entry = ParseEntry(*text, path);
    if (!entry.ok()) return entry.status();
    return std::make_pair(entry->value, entry->signature.property);
  }
  auto bare = ParseBareCase(*std::move(text), path);
  if (!bare.ok()) return bare.status();
  return std::make_pair(*std::move(bare), std::string());
}

}  // namespace

absl::StatusOr<std::vector<std::pair<std::string, std::string>>> SeedFiles(
    const FuzzTarget& target, const std::vector<std::string>& case_files) {
  std::vector<std::pair<std::string, std::string>> seeds;
  const Subject& subject = target.subject();
  const Case simplest = subject.read({}, target.limits());
  for (const Property* property : target.properties()) {
    seeds.emplace_back(absl::StrCat("simplest.", std::string(property->name)),
                       target.BytesOf(*property, simplest));
  }
  for (const std::string& file : case_files) {
    auto seed = ReadSeed(file);
    if (!seed.ok()) return seed.status();
    if (&seed->first.subject() != &subject) continue;
    const std::string stem = std::filesystem::path(file).stem().string();
    for (const Property* property : target.properties()) {
      if (!seed->second.empty() && seed->second != property->name) continue;
      seeds.emplace_back(absl::StrCat(stem, ".", std::string(property->name)),
                         target.BytesOf(*property, seed->first));
    }
  }
  return seeds;
}

std::vector<DictionaryEntry> Dictionary(const Subject& subject, const Limits& limits) {
  BoundaryVisitor visitor;
  for (int i = 0; i < kCasesSeen; ++i) {
    Stream stream(static_cast<uint64_t>(i), "dictionary");
    subject.visit(subject.random(stream, limits), visitor, limits);
  }
  std::vector<DictionaryEntry> entries;
  for (const auto& [field, indices] : visitor.boundaries()) {
    for (const uint64_t index : indices) entries.push_back({field, index, ScalarBytes(index)});
  }
  return entries;
}

std::string DictionaryText(const std::vector<DictionaryEntry>& entries) {
  std::map<std::string, std::string> fields;  // by bytes
  for (const DictionaryEntry& entry : entries) {
    absl::StrAppend(&fields[entry.bytes], fields[entry.bytes].empty() ? "" : ", ", entry.field);
  }
  std::string text;
  for (const auto& [bytes, names] : fields) {
    absl::StrAppend(&text, "# ", names, "\n\"");
    for (const char c : bytes) {
      absl::StrAppend(&text, "\\x", absl::Hex(static_cast<uint8_t>(c), absl::kZeroPad2));
    }
    absl::StrAppend(&text, "\"\n");
  }
  return text;
}

std::string OptionsText() { return "[libfuzzer]\nmax_len = 4096\ntimeout = 25\n"; }

}  // namespace crosscheck
