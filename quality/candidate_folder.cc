#include "quality/candidate_folder.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "quality/sha256.h"
#include "reference/checkpoint.h"
#include "reference/quantisation/decoded_model.h"
#include "reference/quantisation/quantised_folder.h"

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

}  // namespace

absl::StatusOr<std::unique_ptr<CandidateFolder>> CandidateFolder::Make(
    const Configuration& configuration, const std::string& model, const std::string& out) {
  std::unique_ptr<CandidateFolder> folder(new CandidateFolder);
  folder->path_ = configuration.model.empty() ? model : configuration.model;
  auto read = ReadQuantisedFolder(folder->path_);
  if (!read.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(configuration.name, ": ", std::string(read.status().message())));
  }
  folder->bits_per_weight_ = read->description.BitsPerWeight();
  folder->bytes_ = read->description.bytes;
  folder->description_ = read->description.Text();
  folder->findings_ = read->description.findings;
  const bool plain = read->description.kind == "plain";
  if (configuration.weight_format.empty() && plain) return folder;
  if (!configuration.weight_format.empty()) {
    auto formats = ParseModelFormats(configuration.weight_format);
    if (!formats.ok()) return formats.status();
    auto cost = DecodeAs(*formats, read->model);
    if (!cost.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(configuration.name, ": ", std::string(cost.status().message())));
    }
    folder->bits_per_weight_ = cost->BitsPerWeight();
    folder->bytes_ = cost->bytes;
  }
  if (absl::Status s = folder->Write(read->model, configuration.name, model, out); !s.ok())
    return s;
  return folder;
}

// The decoded weights as float32, with the tokenizer of the candidate or, where it has none, of the
// reference.
absl::Status CandidateFolder::Write(const Model& decoded, const std::string& name,
                                    const std::string& reference, const std::string& out) {
  own_ = absl::StrCat(out, "/work/", Sha256(name).substr(0, 12));
  std::error_code error;
  fs::create_directories(own_, error);
  if (error)
    return absl::InternalError(absl::StrCat("cannot create ", own_, ": ", error.message()));
  if (absl::Status s = WriteCheckpoint(decoded, own_); !s.ok()) return s;
  if (absl::Status s = CopyTokenizer(reference, own_); !s.ok()) return s;
  if (absl::Status s = CopyTokenizer(path_, own_); !s.ok()) return s;
  path_ = own_;
  return absl::OkStatus();
}

CandidateFolder::~CandidateFolder() {
  std::error_code ignored;
  if (!own_.empty()) fs::remove_all(own_, ignored);
}

}  // namespace crosscheck::quality
