// `crosscheck distil`: of a corpus, the smallest inputs that still show all that it shows.
#include "fuzz/distil.h"

#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/case_files.h"
#include "cli/executors.h"
#include "cli/verb.h"
#include "fuzz/campaign/corpus_file.h"
#include "fuzz/fuzz_target.h"
#include "fuzz/run_case.h"
#include "reference/safetensors.h"

namespace crosscheck {
namespace {

constexpr absl::string_view kTargetSuffix = "_fuzzer";

struct DistilFlags {
  std::vector<std::string> paths;
  std::string out, target, subject, json;
  std::string engine = "lattice";
  double deadline = 10;
};

// Of --subject, or of the target's name; "" when neither is given.
std::string SubjectOf(const DistilFlags& flags) {
  if (!flags.subject.empty() || flags.target.empty()) return flags.subject;
  const std::string name = std::filesystem::path(flags.target).filename().string();
  return name.substr(0, name.find(std::string(kTargetSuffix)));
}

// Everything as the bytes of the target; what is of another subject is left out.
void MakeTargetInputs(const TargetInputs& target, CaseFiles& read) {
  std::vector<CaseFile> files;
  for (const CaseFile& file : read.files) {
    for (const Property* property : file.properties) {
      if (property->subject != target.subject) continue;
      CaseFile& made = files.emplace_back(file);
      if (file.source == CaseSource::kTarget) continue;
      made.source = CaseSource::kTarget;
      made.content = TargetBytes(*property, file.value, target.limits);
    }
  }
  read.files = std::move(files);
}

absl::StatusOr<CaseFiles> ReadInputs(const DistilFlags& flags, const Executor& executor) {
  auto target = TargetInputsOf(SubjectOf(flags), executor);
  if (!target.ok()) return target.status();
  auto read = ReadCaseFiles(flags.paths, *target);
  if (!read.ok()) return read;
  if (!flags.target.empty()) MakeTargetInputs(**target, *read);
  if (!read->files.empty()) return read;
  return absl::NotFoundError(
      "no input in what was given: *.case and corpus.%06d are, and with --subject or --target any "
      "file");
}

// What each input showed.
absl::StatusOr<std::vector<std::vector<uint64_t>>> Observe(const std::vector<CaseFile>& files,
                                                           Executor& executor) {
  std::vector<std::vector<uint64_t>> features(files.size());
  for (size_t i = 0; i < files.size(); ++i) {
    if (InterruptFlag()) return absl::CancelledError("interrupted; nothing was written");
    if (LiveTerminal()) std::cerr << "\r" << i << " of " << files.size() << std::flush;
    for (const Property* property : files[i].properties) {
      const Verdict verdict = RunCase(*property, files[i].value, executor);
      for (const uint64_t feature : ObservedFeatures(verdict, files[i].value)) {
        features[i].push_back(feature);
      }
    }
  }
  if (LiveTerminal()) std::cerr << "\r";
  return features;
}

absl::StatusOr<std::vector<DistilInput>> FeaturesOf(const DistilFlags& flags,
                                                    const std::vector<CaseFile>& files,
                                                    Executor& executor) {
  std::vector<DistilInput> inputs;
  std::vector<std::string> contents;
  inputs.reserve(files.size());
  contents.reserve(files.size());
  for (const CaseFile& file : files) contents.push_back(file.content);
  auto features =
      flags.target.empty() ? Observe(files, executor) : EdgeFeatures(flags.target, contents);
  if (!features.ok()) return features.status();
  for (size_t i = 0; i < files.size(); ++i) {
    inputs.push_back({std::move(contents[i]), std::move((*features)[i])});
  }
  return inputs;
}

// Files are named by content, so that distilled corpora can be merged. Inputs of campaigns become
// the corpus file of one, from which a campaign can start.
absl::Status Write(const std::string& folder, const std::vector<CaseFile>& kept) {
  const std::string campaign = absl::StrCat(folder, "/", CorpusFileName(0));
  if (std::filesystem::exists(campaign)) {
    return absl::AlreadyExistsError(campaign + " exists already; name a new folder");
  }
  std::optional<CorpusWriter> writer;
  for (const CaseFile& file : kept) {
    absl::Status written;
    const std::string hash = absl::StrFormat("%016x", HashName(file.content));
    const std::string stem = std::filesystem::path(file.path).stem().string();
    switch (file.source) {
      case CaseSource::kCase:
        written = WriteFile(absl::StrCat(folder, "/", stem, ".", hash, ".case"), file.content);
        break;
      case CaseSource::kTarget:
        written = WriteFile(absl::StrCat(folder, "/", hash), file.content);
        break;
      case CaseSource::kCampaign:
        if (!writer) {
          auto opened = CorpusWriter::Open(campaign);
          if (!opened.ok()) return opened.status();
          writer.emplace(*std::move(opened));
        }
        written = writer->Append(file.content);
    }
    if (!written.ok()) return written;
  }
  return absl::OkStatus();
}

absl::StatusOr<nlohmann::json> DistilAll(const DistilFlags& flags) {
  Executors executors(flags.deadline);
  auto executor = executors.Get(flags.engine);
  if (!executor.ok()) return executor.status();
  auto read = ReadInputs(flags, **executor);
  if (!read.ok()) return read.status();
  auto inputs = FeaturesOf(flags, read->files, **executor);
  if (!inputs.ok()) return inputs.status();
  std::set<uint64_t> features;
  int64_t bytes = 0, kept_bytes = 0, without = 0;
  for (const DistilInput& input : *inputs) {
    features.insert(input.features.begin(), input.features.end());
    bytes += static_cast<int64_t>(input.content.size());
    without += input.features.empty() ? 1 : 0;
  }
  std::vector<CaseFile> kept;
  for (const size_t i : Distil(*inputs)) {
    kept.push_back(read->files[i]);
    kept_bytes += static_cast<int64_t>(kept.back().content.size());
  }
  if (absl::Status made = PrepareOutputFolder(flags.out); !made.ok()) return made;
  if (absl::Status written = Write(flags.out, kept); !written.ok()) return written;
  return nlohmann::json{{"schema", 1},
                        {"command", "distil"},
                        {"inputs", inputs->size()},
                        {"unreadable", read->unreadable},
                        {"kept", kept.size()},
                        {"bytes", bytes},
                        {"kept_bytes", kept_bytes},
                        {"features", features.size()},
                        {"ended_the_target", without},
                        {"out", flags.out}};
}

int RunDistil(const DistilFlags& flags) {
  const auto json = DistilAll(flags);
  if (!json.ok()) return Fail(json.status());
  if (flags.json != "-") {
    std::cout << (*json)["kept"] << " of " << (*json)["inputs"] << " inputs show all "
              << (*json)["features"] << " features; they are in " << flags.out << "\n";
    if ((*json)["ended_the_target"] > 0) {
      std::cout << (*json)["ended_the_target"]
                << " inputs end the target: findings, which are not kept\n";
    }
    if ((*json)["unreadable"] > 0) {
      std::cout << (*json)["unreadable"] << " inputs of campaigns cannot be read by this build\n";
    }
  }
  const absl::Status written = WriteJson(*json, flags.json);
  return written.ok() ? kExitClean : Fail(written);
}

}  // namespace

void AddDistil(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<DistilFlags>();
  CLI::App* verb =
      app.add_subcommand("distil", "Of a corpus, the smallest inputs that show all that it shows");
  verb->add_option(
          "paths", flags->paths,
          "Case files, corpus.%06d of campaigns, inputs of a fuzz target, or folders of them")
      ->required();
  verb->add_option("--out", flags->out, "Folder for the inputs that are kept")->required();
  verb->add_option("--target", flags->target,
                   "A libFuzzer target: its edges decide, and its inputs are written");
  verb->add_option("--subject", flags->subject, kSubjectHelp);
  verb->add_option("--engine", flags->engine,
                   "The engine whose answers are observed, or for which the target was built");
  verb->add_option("--deadline", flags->deadline, "Seconds per engine message")
      ->check(CLI::PositiveNumber);
  verb->add_option("--json", flags->json, "Write JSON to a file, '-' for stdout");
  verb->footer(
      "Without --target what a case showed decides: verdict, stage, decades of error and margin,\n"
      "labels of the generator. The order and the names of the inputs do not matter.\nExamples:\n"
      "  crosscheck distil seeds corpus/regressions --out small\n"
      "  crosscheck distil campaign --out small && crosscheck fuzz --workdir small\n"
      "  crosscheck distil corpus --target build/fuzz/out/model_run_fuzzer --out small\n"
      "  crosscheck distil corpus --subject model_run --engine lattice@0.4.0 --out small");
  verb->callback([flags, &exit_code] { exit_code = RunDistil(*flags); });
}

}  // namespace crosscheck
