#include "reference/checkpoint_tensors.h"

#include <unistd.h>

#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "reference/json_input.h"
#include "reference/safetensors.h"

namespace crosscheck {

using nlohmann::json;

absl::Status AtFile(const std::string& path, const absl::Status& status) {
  return {status.code(), absl::StrCat(path, ": ", std::string(status.message()))};
}

absl::StatusOr<json> ReadJsonFile(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return text.status();
  absl::StatusOr<json> parsed = ParseJson(*text);
  if (parsed.ok()) return parsed;
  return AtFile(path, absl::DataLossError(parsed.status().message()));
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) absl::StrAppend(&text, i == 0 ? "" : ",", shape[i]);
  return text + "]";
}

namespace {

absl::Status ReadTensors(const std::string& path, CheckpointTensors* tensors) {
  absl::StatusOr<std::string> bytes = ReadFile(path);
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<std::vector<Tensor>> decoded = DecodeSafetensors(*bytes);
  if (!decoded.ok()) return AtFile(path, decoded.status());
  for (Tensor& tensor : *decoded) {
    std::string name = tensor.name;
    if (!tensors->try_emplace(name, FileTensor{std::move(tensor), path}).second) {
      return absl::AlreadyExistsError(absl::StrCat(path, ": tensor ", name, " is in two files"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckShardName(const json& name) {
  if (!name.is_string()) return absl::DataLossError("a file name");
  const auto& text = name.get_ref<const std::string&>();
  if (absl::StartsWith(text, "/") || absl::StrContains(text, "..")) {
    return absl::DataLossError("a file name inside the folder");
  }
  if (absl::StrContains(text, '/')) return absl::InvalidArgumentError("a plain file name");
  return absl::OkStatus();
}

// A reader that opens the files it needs never opens that of such a tensor.
bool IsOfNoModel(absl::string_view tensor) {
  return !absl::StartsWith(tensor, "model.") && !absl::StartsWith(tensor, "lm_head.");
}

// The files of an index, each once.
absl::StatusOr<std::set<std::string>> ShardNames(const std::string& path) {
  absl::StatusOr<json> index = ReadJsonFile(path);
  if (!index.ok()) return index.status();
  const json* map =
      index->is_object() && index->contains("weight_map") ? &(*index)["weight_map"] : nullptr;
  if (map == nullptr || !map->is_object()) {
    return absl::DataLossError(absl::StrCat(path, ": expected an object \"weight_map\""));
  }
  std::set<std::string> names;
  for (const auto& [tensor, file] : map->items()) {
    const absl::Status status = CheckShardName(file);
    if (!status.ok()) {
      return AtFile(path,
                    {IsOfNoModel(tensor) ? absl::StatusCode::kInvalidArgument : status.code(),
                     absl::StrCat("weight_map of ", tensor, " holds ", file.dump().substr(0, 60),
                                  "; expected ", std::string(status.message()))});
    }
    names.insert(file.get<std::string>());
  }
  return names;
}

}  // namespace

absl::StatusOr<CheckpointTensors> ReadCheckpointTensors(const std::string& folder) {
  CheckpointTensors tensors;
  const std::string single = absl::StrCat(folder, "/", kWeightsFile);
  const std::string index = absl::StrCat(folder, "/", kIndexFile);
  if (access(single.c_str(), F_OK) == 0) {
    absl::Status status = ReadTensors(single, &tensors);
    if (!status.ok()) return status;
    return tensors;
  }
  if (access(index.c_str(), F_OK) != 0) {
    return absl::NotFoundError(
        absl::StrCat(folder, " holds neither ", kWeightsFile, " nor ", kIndexFile));
  }
  absl::StatusOr<std::set<std::string>> names = ShardNames(index);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    absl::Status status = ReadTensors(absl::StrCat(folder, "/", name), &tensors);
    if (!status.ok()) return status;
  }
  return tensors;
}

}  // namespace crosscheck
