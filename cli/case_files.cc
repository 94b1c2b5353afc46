#include "cli/case_files.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "fuzz/campaign/corpus_file.h"
#include "fuzz/fuzz_target.h"
#include "reference/safetensors.h"

namespace crosscheck {
namespace {

namespace fs = std::filesystem;

// A seed or hand-written case has no header; every property of its subject judges it.
absl::StatusOr<CaseFile> ReadBareCase(const std::string& path, std::string text) {
  auto value = ParseBareCase(text, path);
  if (!value.ok()) return value.status();
  CaseFile file{.path = path, .value = *std::move(value), .content = std::move(text)};
  file.properties = PropertiesOf(file.value.subject());
  return file;
}

absl::StatusOr<CaseFile> ReadEntryFile(const std::string& path, std::string text) {
  auto entry = ParseEntry(text, path);
  if (!entry.ok()) return entry.status();
  const Property* property = FindProperty(entry->signature.property);
  if (property == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": unknown property '", entry->signature.property,
                     "' in the signature; `crosscheck list` shows the known ones"));
  }
  return CaseFile{.path = path,
                  .value = entry->value,
                  .properties = {property},
                  .engine = entry->engine,
                  .signature = entry->signature,
                  .content = std::move(text)};
}

CaseFile ReadTargetInput(const std::string& path, std::string bytes, const TargetInputs& target) {
  const Bytes input(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  return CaseFile{.path = path,
                  .value = CaseOfInput(*target.subject, input, target.limits),
                  .properties = {&PropertyOfInput(*target.subject, input)},
                  .source = CaseSource::kTarget,
                  .content = std::move(bytes)};
}

bool IsCase(const std::string& path) { return absl::EndsWith(path, ".case"); }

bool IsCampaignCorpus(const std::string& path) {
  const std::string name = fs::path(path).filename().string();
  int shard = -1;
  return absl::StartsWith(name, "corpus.") && absl::SimpleAtoi(name.substr(7), &shard) &&
         name == CorpusFileName(shard);
}

absl::Status ReadCampaignCorpus(const std::string& path, CaseFiles& read) {
  auto records = ReadCorpusRecords(path, 0);
  if (!records.ok()) return records.status();
  read.unreadable += records->skipped_bytes > 0 ? 1 : 0;
  for (size_t i = 0; i < records->payloads.size(); ++i) {
    auto input = ParseCorpusInput(records->payloads[i]);
    if (!input.ok()) {
      ++read.unreadable;
      continue;
    }
    read.files.push_back({.path = absl::StrCat(path, "#", i),
                          .value = input->value,
                          .properties = {input->property},
                          .source = CaseSource::kCampaign,
                          .content = std::move(records->payloads[i])});
  }
  return absl::OkStatus();
}

// A file that was named is always one; below a folder its name decides.
absl::StatusOr<std::vector<std::string>> InputsBelow(const std::string& path, bool any_name) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) {
    return absl::NotFoundError(absl::StrCat("there is no file or folder ", path));
  }
  if (!fs::is_directory(status)) return std::vector<std::string>{path};
  std::vector<std::string> files;
  for (fs::recursive_directory_iterator it(path, error), end; !error && it != end;
       it.increment(error)) {
    const std::string file = it->path().string();
    if (!it->is_regular_file()) continue;
    if (any_name || IsCase(file) || IsCampaignCorpus(file)) files.push_back(file);
  }
  if (error) {
    return absl::UnavailableError(absl::StrCat("cannot list ", path, ": ", error.message()));
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

absl::StatusOr<const Subject*> SubjectNamed(const std::string& name) {
  const Subject* subject = FindSubject(name);
  if (subject != nullptr && !PropertiesOf(*subject).empty()) return subject;
  std::vector<std::string> names;
  for (const Subject* known : Subjects()) names.emplace_back(known->name);
  return absl::NotFoundError(
      absl::StrCat("there is no subject '", name, "'; there are: ", absl::StrJoin(names, ", ")));
}

absl::StatusOr<std::optional<TargetInputs>> TargetInputsOf(const std::string& subject,
                                                           const Executor& executor) {
  if (subject.empty()) return std::nullopt;
  auto found = SubjectNamed(subject);
  if (!found.ok()) return found.status();
  return TargetInputs{*found, FuzzLimits(executor.limits())};
}

absl::StatusOr<CaseFile> ReadCaseFile(const std::string& path,
                                      const std::optional<TargetInputs>& target) {
  if (IsCampaignCorpus(path)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " holds many inputs; `crosscheck replay` runs them"));
  }
  auto text = ReadFile(path);
  if (!text.ok()) return text.status();
  if (target && !IsCase(path)) return ReadTargetInput(path, *std::move(text), *target);
  if (absl::StartsWith(*text, "# crosscheck case")) return ReadEntryFile(path, *std::move(text));
  auto bare = ReadBareCase(path, *std::move(text));
  if (bare.ok() || IsCase(path)) return bare;
  return absl::InvalidArgumentError(
      absl::StrCat(std::string(bare.status().message()),
                   "\nif these are the bytes of a fuzz target's input, give --subject"));
}

absl::StatusOr<CaseFiles> ReadCaseFiles(const std::vector<std::string>& paths,
                                        const std::optional<TargetInputs>& target) {
  CaseFiles read;
  for (const std::string& path : paths) {
    auto names = InputsBelow(path, target.has_value());
    if (!names.ok()) return names.status();
    for (const std::string& name : *names) {
      if (IsCampaignCorpus(name)) {
        if (absl::Status status = ReadCampaignCorpus(name, read); !status.ok()) return status;
        continue;
      }
      auto file = ReadCaseFile(name, target);
      if (!file.ok()) return file.status();
      read.files.push_back(*std::move(file));
    }
  }
  return read;
}

absl::StatusOr<OpenedCase> OpenCase(const std::string& path, const std::string& subject,
                                    const std::string& engine, double deadline_seconds) {
  std::optional<CaseFile> file;
  std::string name = engine.empty() ? "lattice" : engine;
  if (subject.empty()) {
    auto read = ReadCaseFile(path);
    if (!read.ok()) return read.status();
    name = read->EngineOr(engine);
    file = *std::move(read);
  }
  auto executor = Executor::Create({.engine = name, .deadline_seconds = deadline_seconds});
  if (!executor.ok()) return executor.status();
  if (!file) {
    auto target = TargetInputsOf(subject, **executor);
    if (!target.ok()) return target.status();
    auto read = ReadCaseFile(path, *target);
    if (!read.ok()) return read.status();
    file = *std::move(read);
  }
  return OpenedCase{*std::move(file), std::move(name), *std::move(executor)};
}

absl::StatusOr<std::vector<KnownIssue>> ReadKnownIssuesOf(const std::string& corpus_folder) {
  if (corpus_folder.empty()) return std::vector<KnownIssue>{};
  if (!fs::is_directory(corpus_folder)) {
    return absl::NotFoundError(
        absl::StrCat("--corpus ", corpus_folder, ": there is no such folder"));
  }
  return ReadKnownIssues((fs::path(corpus_folder) / "known_issues.txt").string());
}

}  // namespace crosscheck
