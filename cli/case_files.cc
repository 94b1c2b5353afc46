#include "cli/case_files.h"

#include <filesystem>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "reference/safetensors.h"

namespace crosscheck {
namespace {

// A seed or hand-written case has no header; every property of its subject judges it.
absl::StatusOr<CaseFile> ReadBareCase(const std::string& path, std::string text) {
  auto value = ParseBareCase(std::move(text), path);
  if (!value.ok()) return value.status();
  CaseFile file{path, *std::move(value), {}, "", {}};
  for (const Property* property : Properties()) {
    if (property->subject == &file.value.subject()) file.properties.push_back(property);
  }
  return file;
}

}  // namespace

absl::StatusOr<CaseFile> ReadCaseFile(const std::string& path) {
  auto text = ReadFile(path);
  if (!text.ok()) return text.status();
  if (!absl::StartsWith(*text, "# crosscheck case")) return ReadBareCase(path, *text);
  auto entry = ParseEntry(*text, path);
  if (!entry.ok()) return entry.status();
  const Property* property = FindProperty(entry->signature.property);
  if (property == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": unknown property '", entry->signature.property,
                     "' in the signature; `crosscheck list` shows the known ones"));
  }
  return CaseFile{path, entry->value, {property}, entry->engine, entry->signature};
}

absl::StatusOr<std::vector<CaseFile>> ReadCaseFiles(const std::vector<std::string>& paths) {
  std::vector<CaseFile> files;
  for (const std::string& path : paths) {
    auto names = ListCaseFiles(path);
    if (!names.ok()) return names.status();
    for (const std::string& name : *names) {
      auto file = ReadCaseFile(name);
      if (!file.ok()) return file.status();
      files.push_back(*std::move(file));
    }
  }
  return files;
}

absl::StatusOr<std::vector<KnownIssue>> ReadKnownIssuesOf(const std::string& corpus_folder) {
  if (corpus_folder.empty()) return std::vector<KnownIssue>{};
  if (!std::filesystem::is_directory(corpus_folder)) {
    return absl::NotFoundError(
        absl::StrCat("--corpus ", corpus_folder, ": there is no such folder"));
  }
  return ReadKnownIssues((std::filesystem::path(corpus_folder) / "known_issues.txt").string());
}

}  // namespace crosscheck
