// `crosscheck distil`: of a corpus, the smallest inputs that still show all that it shows.
#include "fuzz/distil.h"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "cli/case_files.h"
#include "cli/executors.h"
#include "cli/verb.h"
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

struct Input {
  std::string path;
  bool is_case = false;
  DistilInput input;
};

// The subject of the files that are bytes of a fuzz target; null when there are none.
absl::StatusOr<const Subject*> SubjectOf(const DistilFlags& flags) {
  std::string name = flags.subject;
  if (name.empty() && !flags.target.empty()) {
    name = std::filesystem::path(flags.target).filename().string();
    name = name.substr(0, name.find(std::string(kTargetSuffix)));
  }
  if (name.empty()) return nullptr;
  const Subject* subject = FindSubject(name);
  if (subject != nullptr) return subject;
  std::vector<std::string> names;
  for (const Subject* known : Subjects()) names.emplace_back(known->name);
  return absl::NotFoundError(
      absl::StrCat("there is no subject '", name, "'; there are: ", absl::StrJoin(names, ", ")));
}

absl::StatusOr<std::vector<std::string>> FilesBelow(const std::vector<std::string>& paths) {
  std::set<std::string> files;
  for (const std::string& path : paths) {
    std::error_code error;
    if (std::filesystem::is_regular_file(path, error)) {
      files.insert(path);
      continue;
    }
    auto entries = std::filesystem::recursive_directory_iterator(path, error);
    if (error) return absl::NotFoundError(absl::StrCat(path, ": ", error.message()));
    for (const auto& entry : entries) {
      if (entry.is_regular_file()) files.insert(entry.path().string());
    }
  }
  return std::vector<std::string>(files.begin(), files.end());
}

// Sorted by path. Without a subject only case files are inputs.
absl::StatusOr<std::vector<Input>> ReadInputs(const DistilFlags& flags, bool bytes_too) {
  auto files = FilesBelow(flags.paths);
  if (!files.ok()) return files.status();
  std::vector<Input> inputs;
  for (const std::string& path : *files) {
    const bool is_case = absl::EndsWith(path, ".case");
    if (!is_case && !bytes_too) continue;
    if (is_case && !flags.target.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          path, ": --target takes the bytes of fuzz targets; distil cases without it"));
    }
    auto content = ReadFile(path);
    if (!content.ok()) return content.status();
    inputs.push_back({path, is_case, {.content = *std::move(content)}});
  }
  if (!inputs.empty()) return inputs;
  return absl::NotFoundError(bytes_too ? "no file in what was given"
                                       : "no *.case file in what was given; bytes of fuzz targets "
                                         "need --subject or --target");
}

Bytes AsBytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

void AddObserved(const Property& property, const Case& c, Executor& executor, DistilInput& input) {
  const std::vector<uint64_t> features = ObservedFeatures(RunCase(property, c, executor), c);
  input.features.insert(input.features.end(), features.begin(), features.end());
}

absl::Status Observe(const DistilFlags& flags, const Subject* subject, std::vector<Input>& inputs) {
  Executors executors(flags.deadline);
  auto executor = executors.Get(flags.engine);
  if (!executor.ok()) return executor.status();
  const Limits limits = FuzzLimits((*executor)->limits());
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (InterruptFlag()) return absl::CancelledError("interrupted; nothing was written");
    if (LiveTerminal()) std::cerr << "\r" << i << " of " << inputs.size() << std::flush;
    Input& input = inputs[i];
    if (!input.is_case) {
      const Bytes bytes = AsBytes(input.input.content);
      const std::vector<const Property*> properties = PropertiesOf(*subject);
      const Property& property = *properties[bytes.empty() ? 0 : bytes[0] % properties.size()];
      const Case c = subject->read(bytes.empty() ? bytes : bytes.subspan(1), limits);
      AddObserved(property, c, **executor, input.input);
      continue;
    }
    auto file = ReadCaseFile(input.path);
    if (!file.ok()) return file.status();
    for (const Property* property : file->properties) {
      AddObserved(*property, file->value, **executor, input.input);
    }
  }
  if (LiveTerminal()) std::cerr << "\r";
  return absl::OkStatus();
}

absl::Status ReadEdges(const std::string& target, std::vector<Input>& inputs) {
  std::vector<std::string> contents;
  contents.reserve(inputs.size());
  for (const Input& input : inputs) contents.push_back(input.input.content);
  auto features = EdgeFeatures(target, contents);
  if (!features.ok()) return features.status();
  for (size_t i = 0; i < inputs.size(); ++i) inputs[i].input.features = std::move((*features)[i]);
  return absl::OkStatus();
}

// Named by content, so that distilled corpora can be merged.
std::string OutputName(const Input& input) {
  const std::string hash = absl::StrFormat("%016x", HashName(input.input.content));
  if (!input.is_case) return hash;
  return absl::StrCat(std::filesystem::path(input.path).stem().string(), ".", hash, ".case");
}

absl::StatusOr<nlohmann::json> DistilAll(const DistilFlags& flags) {
  auto subject = SubjectOf(flags);
  if (!subject.ok()) return subject.status();
  auto inputs = ReadInputs(flags, *subject != nullptr);
  if (!inputs.ok()) return inputs.status();
  absl::Status seen =
      flags.target.empty() ? Observe(flags, *subject, *inputs) : ReadEdges(flags.target, *inputs);
  if (!seen.ok()) return seen;
  std::vector<DistilInput> of_inputs;
  std::set<uint64_t> features;
  int64_t bytes = 0, kept_bytes = 0, without = 0;
  for (const Input& input : *inputs) {
    of_inputs.push_back(input.input);
    features.insert(input.input.features.begin(), input.input.features.end());
    bytes += static_cast<int64_t>(input.input.content.size());
    without += input.input.features.empty() ? 1 : 0;
  }
  if (absl::Status made = PrepareOutputFolder(flags.out); !made.ok()) return made;
  const std::vector<size_t> kept = Distil(of_inputs);
  for (const size_t i : kept) {
    const Input& input = (*inputs)[i];
    absl::Status written =
        WriteFile(absl::StrCat(flags.out, "/", OutputName(input)), input.input.content);
    if (!written.ok()) return written;
    kept_bytes += static_cast<int64_t>(input.input.content.size());
  }
  return nlohmann::json{{"schema", 1},
                        {"command", "distil"},
                        {"inputs", inputs->size()},
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
  }
  const absl::Status written = WriteJson(*json, flags.json);
  return written.ok() ? kExitClean : Fail(written);
}

}  // namespace

void AddDistil(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<DistilFlags>();
  CLI::App* verb =
      app.add_subcommand("distil", "Of a corpus, the smallest inputs that show all that it shows");
  verb->add_option("paths", flags->paths, "Case files, files of a fuzz target, or folders of them")
      ->required();
  verb->add_option("--out", flags->out, "Folder for the inputs that are kept")->required();
  verb->add_option("--target", flags->target,
                   "A libFuzzer target: its edges decide, and files are its bytes");
  verb->add_option("--subject", flags->subject,
                   "Files that are no cases are the bytes of this subject's target");
  verb->add_option("--engine", flags->engine, "The engine whose answers are observed");
  verb->add_option("--deadline", flags->deadline, "Seconds per engine message")
      ->check(CLI::PositiveNumber);
  verb->add_option("--json", flags->json, "Write JSON to a file, '-' for stdout");
  verb->footer(
      "Without --target what a case showed decides: verdict, stage, decades of error and margin,\n"
      "labels of the generator. The order and the names of the inputs do not matter.\nExamples:\n"
      "  crosscheck distil seeds corpus/regressions --out small\n"
      "  crosscheck distil corpus --target build/fuzz/out/model_run_fuzzer --out small\n"
      "  crosscheck distil corpus --subject model_run --engine lattice@0.4.0 --out small");
  verb->callback([flags, &exit_code] { exit_code = RunDistil(*flags); });
}

}  // namespace crosscheck
