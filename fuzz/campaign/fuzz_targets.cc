#include "fuzz/campaign/fuzz_targets.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "fuzz/campaign/worker_message.h"
#include "reference/safetensors.h"
#include "reference/weights.h"

namespace crosscheck {
namespace {

namespace fs = std::filesystem;

constexpr size_t kInputsPerSlice = 64;  // looked at by our own driver; the target keeps all

std::string ReadAll(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

std::vector<fs::path> FilesOf(const std::string& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

// The last number after `key` in the text, or 0.
int64_t LastNumberAfter(const std::string& text, const std::string& key) {
  const size_t at = text.rfind(key);
  if (at == std::string::npos) return 0;
  const size_t begin = text.find_first_of("0123456789", at + key.size());
  if (begin == std::string::npos) return 0;
  const size_t end = std::min(text.find_first_not_of("0123456789", begin), text.size());
  int64_t number = 0;
  return absl::SimpleAtoi(text.substr(begin, end - begin), &number) ? number : 0;
}

}  // namespace

absl::StatusOr<FuzzTargets> FuzzTargets::Find(const std::string& folder,
                                              const std::string& own_folder,
                                              const std::set<std::string>& subjects) {
  FuzzTargets targets;
  targets.source_ = folder;
  targets.own_ = own_folder;
  for (const std::string& subject : subjects) {
    const std::string name = subject + "_fuzzer";
    if (!fs::exists(folder + "/" + name)) continue;
    targets.names_.push_back(name);
    targets.subjects_.push_back(subject);
    const int target = static_cast<int>(targets.names_.size()) - 1;
    if (absl::Status copied = targets.Copy(folder + "/" + name, target); !copied.ok()) {
      return copied;
    }
    targets.seen_artifacts_.emplace_back();
    std::set<std::string>& seen = targets.seen_.emplace_back();
    for (const fs::path& file : FilesOf(targets.Folder(target) + "/corpus")) {
      seen.insert(file.filename().string());
    }
  }
  return targets;
}

absl::Status FuzzTargets::Copy(const std::string& from, int target) const {
  const std::string folder = Folder(target);
  std::error_code error, ignored;
  for (const char* part : {"/corpus", "/artifacts"}) {
    fs::create_directories(folder + part, error);
    if (error) break;
  }
  if (!error) {
    fs::copy_file(from, folder + "/target", fs::copy_options::overwrite_existing, error);
  }
  if (error) {
    return absl::PermissionDeniedError(
        absl::StrCat("cannot copy ", from, " to ", folder, ": ", error.message()));
  }
  fs::remove(folder + "/lib", ignored);
  fs::create_directory_symlink(fs::absolute(source_ + "/lib"), folder + "/lib", ignored);
  for (const char* side_file : {".dict", ".known"}) {
    fs::copy_file(from + side_file, folder + "/side" + side_file,
                  fs::copy_options::overwrite_existing, ignored);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> FuzzTargets::Prepare(
    int target, double seconds, const std::vector<std::string>& signatures) {
  const std::string folder = Folder(target);
  std::string known = ReadAll(folder + "/side.known");
  if (!known.empty() && known.back() != '\n') known += '\n';
  for (const std::string& signature : signatures) {
    const std::string family = std::vector<std::string>(absl::StrSplit(signature, '/'))[1];
    absl::StrAppend(&known, signature, " | ", family,
                    " | when always | until | this campaign | -\n");
  }
  if (absl::Status written = WriteFile(folder + "/target.known", known); !written.ok()) {
    return written;
  }
  std::vector<std::string> command = {
      folder + "/target",
      absl::StrFormat("-max_total_time=%d", std::max(1, static_cast<int>(seconds))),
      "-rss_limit_mb=2560",
      "-timeout=25",
      "-max_len=4096",
      "-print_final_stats=1",
      absl::StrCat("-artifact_prefix=", folder, "/artifacts/")};
  if (fs::exists(folder + "/side.dict")) command.push_back("-dict=" + folder + "/side.dict");
  command.push_back(folder + "/corpus");
  return command;
}

absl::Status FuzzTargets::AddSeed(int target, const std::string& bytes) {
  const std::string name = absl::StrFormat("seed-%016x", HashName(bytes));
  if (!seen_[static_cast<size_t>(target)].insert(name).second) return absl::OkStatus();
  return WriteFile(absl::StrCat(Folder(target), "/corpus/", name), bytes);
}

FuzzTargets::SliceResult FuzzTargets::Collect(int target, ChildProcess& process) {
  const std::string end = process.Wait(ChildProcess::Clock::now() + std::chrono::seconds(2));
  const std::string said = process.StderrTail();
  SliceResult result{.executions = LastNumberAfter(said, "stat::number_of_executed_units:"),
                     .new_inputs = LastNumberAfter(said, "stat::new_units_added:"),
                     .edges = LastNumberAfter(said, " cov: ")};
  std::set<std::string>& seen = seen_[static_cast<size_t>(target)];
  for (const fs::path& file : FilesOf(Folder(target) + "/corpus")) {
    if (!seen.insert(file.filename().string()).second) continue;
    if (result.inputs.size() < kInputsPerSlice) result.inputs.push_back(ToHex(ReadAll(file)));
  }
  std::set<std::string>& seen_artifacts = seen_artifacts_[static_cast<size_t>(target)];
  for (const fs::path& file : FilesOf(Folder(target) + "/artifacts")) {
    if (seen_artifacts.insert(file.filename().string()).second) {
      result.artifacts.push_back(file.string());
    }
  }
  if (result.executions == 0 && result.artifacts.empty()) {
    result.problem = absl::StrCat(end.empty() ? "did not end" : end, ": ", said);
  }
  return result;
}

}  // namespace crosscheck
