#include "fuzz/distil.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iterator>
#include <map>
#include <numeric>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "engines/child_process.h"
#include "engines/scratch_folder.h"
#include "fuzz/feedback.h"
#include "reference/safetensors.h"

namespace crosscheck {
namespace {

constexpr std::chrono::hours kMergeDeadline{6};

// By content, so that libFuzzer's order, which is that of sizes and names, is one order.
std::string NameOf(const std::string& content) {
  return absl::StrFormat("%016x", HashName(content));
}

absl::Status WriteInputs(const std::vector<std::string>& inputs, const std::string& folder) {
  std::error_code error;
  for (const char* part : {"/all", "/none"}) {
    std::filesystem::create_directory(folder + part, error);
    if (error) return absl::UnavailableError(absl::StrCat(folder, part, ": ", error.message()));
  }
  for (const std::string& input : inputs) {
    absl::Status written = WriteFile(absl::StrCat(folder, "/all/", NameOf(input)), input);
    if (!written.ok()) return written;
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<size_t> Distil(const std::vector<DistilInput>& inputs) {
  std::vector<size_t> order(inputs.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const std::string &left = inputs[a].content, &right = inputs[b].content;
    if (left.size() != right.size()) return left.size() < right.size();
    return left != right ? left < right : a < b;
  });
  std::map<uint64_t, size_t> smallest;
  for (const size_t i : order) {
    for (const uint64_t feature : inputs[i].features) smallest.emplace(feature, i);
  }
  std::set<size_t> kept;
  for (const auto& [feature, i] : smallest) kept.insert(i);
  return {kept.begin(), kept.end()};
}

std::vector<uint64_t> ObservedFeatures(const Verdict& verdict, const Case& c) {
  const std::string& property = verdict.signature.property;
  std::vector<uint64_t> features = {
      HashName(absl::StrCat(property, "/stage/", verdict.signature.stage))};
  for (const unsigned bucket : FeedbackBuckets(verdict)) {
    features.push_back(HashName(absl::StrCat(property, "/bucket/", bucket)));
  }
  for (const std::string& label : c.subject().labels(c)) {
    features.push_back(HashName(absl::StrCat(property, "/label/", label)));
  }
  return features;
}

absl::StatusOr<std::vector<std::pair<std::string, std::vector<uint64_t>>>> ReadMergeControl(
    std::string_view text) {
  const std::vector<std::string> lines =
      absl::StrSplit(absl::string_view(text.data(), text.size()), '\n');
  size_t count = 0;
  if (lines.size() < 2 || !absl::SimpleAtoi(lines[0], &count) || count + 2 > lines.size()) {
    return absl::DataLossError("not a control file of libFuzzer's merge");
  }
  std::vector<std::pair<std::string, std::vector<uint64_t>>> files;
  files.reserve(count);
  for (size_t i = 0; i < count; ++i) files.push_back({lines[2 + i], {}});
  for (size_t i = 2 + count; i < lines.size(); ++i) {
    const std::vector<std::string> words = absl::StrSplit(lines[i], ' ', absl::SkipEmpty());
    size_t file = 0;
    if (words.size() < 2 || words[0] != "FT") continue;
    if (!absl::SimpleAtoi(words[1], &file) || file >= count) {
      return absl::DataLossError(absl::StrCat("line ", i + 1, " names no file"));
    }
    for (size_t word = 2; word < words.size(); ++word) {
      uint64_t feature = 0;
      if (!absl::SimpleAtoi(words[word], &feature)) {
        return absl::DataLossError(absl::StrCat("line ", i + 1, ": ", words[word]));
      }
      files[file].second.push_back(feature);
    }
  }
  return files;
}

absl::StatusOr<std::vector<std::vector<uint64_t>>> EdgeFeatures(
    const std::string& target, const std::vector<std::string>& inputs) {
  auto scratch = ScratchFolder::Create();
  if (!scratch.ok()) return scratch.status();
  const std::string& folder = (*scratch)->path();
  absl::Status written = WriteInputs(inputs, folder);
  if (!written.ok()) return written;
  const std::string control = folder + "/control";
  // Set cover: each file's line holds all of its features, not only those that no file before had.
  auto child = ChildProcess::Start(
      {std::filesystem::absolute(target).string(), "-merge=1", "-set_cover_merge=1",
       "-merge_control_file=" + control, absl::StrCat("-artifact_prefix=", folder, "/"),
       folder + "/none", folder + "/all"},
      {});
  if (!child.ok()) return child.status();
  const std::string end = (*child)->Wait(ChildProcess::Clock::now() + kMergeDeadline);
  auto text = ReadFile(control);
  if (end != "exit 0" || !text.ok()) {
    return absl::FailedPreconditionError(absl::StrCat(
        target, " is no libFuzzer target, or ended: ", end, "\n", (*child)->StderrTail()));
  }
  auto files = ReadMergeControl(*text);
  if (!files.ok()) return files.status();
  std::map<std::string, std::vector<uint64_t>> features;
  for (auto& [path, found] : *files) {
    features[std::filesystem::path(path).filename().string()] = std::move(found);
  }
  std::vector<std::vector<uint64_t>> of_inputs;
  of_inputs.reserve(inputs.size());
  for (const std::string& input : inputs) of_inputs.push_back(features[NameOf(input)]);
  return of_inputs;
}

}  // namespace crosscheck
