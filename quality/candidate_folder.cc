#include "quality/candidate_folder.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "quality/sha256.h"
#include "reference/checkpoint.h"
#include "reference/quantisation/decoded_model.h"

namespace crosscheck::quality {
namespace {

namespace fs = std::filesystem;

// What an engine needs beside the weights.
absl::Status CopyTokenizer(const std::string& from, const std::string& to) {
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "generation_config.json"}) {
    std::error_code error;
    if (!fs::exists(fs::path(from) / name)) continue;
    fs::copy_file(fs::path(from) / name, fs::path(to) / name, fs::copy_options::overwrite_existing,
                  error);
    if (error) {
      return absl::InternalError(
          absl::StrCat("cannot copy ", name, " to ", to, ": ", error.message()));
    }
  }
  return absl::OkStatus();
}

int64_t WeightCount(const Model& model) {
  int64_t count = 0;
  for (const auto& values : model.values) count += static_cast<int64_t>(values.size());
  return count;
}

}  // namespace

absl::StatusOr<std::unique_ptr<CandidateFolder>> CandidateFolder::Make(
    const Configuration& configuration, const std::string& model, const std::string& out) {
  std::unique_ptr<CandidateFolder> folder(new CandidateFolder);
  folder->path_ = configuration.model.empty() ? model : configuration.model;
  auto weights = ReadCheckpoint(folder->path_);
  if (!weights.ok()) return weights.status();
  if (configuration.weight_format.empty()) {
    folder->bits_per_weight_ = 8.0 * static_cast<double>(SizeOf(weights->storage));
    folder->bytes_ = WeightCount(*weights) * SizeOf(weights->storage);
    return folder;
  }
  auto formats = ParseModelFormats(configuration.weight_format);
  if (!formats.ok()) return formats.status();
  auto cost = DecodeAs(*formats, *weights);
  if (!cost.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(configuration.name, ": ", std::string(cost.status().message())));
  }
  folder->bits_per_weight_ = cost->BitsPerWeight();
  folder->bytes_ = cost->bytes;
  folder->own_ = absl::StrCat(out, "/work/", Sha256(configuration.name).substr(0, 12));
  std::error_code error;
  fs::create_directories(folder->own_, error);
  if (error)
    return absl::InternalError(absl::StrCat("cannot create ", folder->own_, ": ", error.message()));
  if (absl::Status s = WriteCheckpoint(*weights, folder->own_); !s.ok()) return s;
  if (absl::Status s = CopyTokenizer(folder->path_, folder->own_); !s.ok()) return s;
  folder->path_ = folder->own_;
  return folder;
}

CandidateFolder::~CandidateFolder() {
  std::error_code ignored;
  if (!own_.empty()) fs::remove_all(own_, ignored);
}

}  // namespace crosscheck::quality
