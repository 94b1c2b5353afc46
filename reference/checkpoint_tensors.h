// The tensors of a checkpoint folder before a model is made of them: what ReadCheckpoint and the
// reader of quantised folders (quantisation/quantised_folder.h) share.
#ifndef CROSSCHECK_REFERENCE_CHECKPOINT_TENSORS_H_
#define CROSSCHECK_REFERENCE_CHECKPOINT_TENSORS_H_

#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"
#include "reference/tensor.h"
#include "reference/weights.h"

namespace crosscheck {

inline constexpr char kConfigFile[] = "config.json";
inline constexpr char kWeightsFile[] = "model.safetensors";
inline constexpr char kIndexFile[] = "model.safetensors.index.json";

struct FileTensor {
  Tensor tensor;
  std::string path;  // of its file
};
using CheckpointTensors = absl::flat_hash_map<std::string, FileTensor>;

// Every tensor of model.safetensors, or of the shards of its index. Errors as ReadCheckpoint.
absl::StatusOr<CheckpointTensors> ReadCheckpointTensors(const std::string& folder);

// A model of `spec` from the tensors that it needs; others are ignored. The bytes of each are freed
// as soon as they are read, so that a large model is in memory once. Errors as ReadCheckpoint.
absl::StatusOr<Model> AssembleModel(const ModelSpec& spec, CheckpointTensors tensors,
                                    const std::string& folder);

// `status` with the path in front.
absl::Status AtFile(const std::string& path, const absl::Status& status);
// kDataLoss where the file is no JSON.
absl::StatusOr<nlohmann::json> ReadJsonFile(const std::string& path);

// "[2,3]".
std::string ShapeText(const std::vector<int64_t>& shape);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_CHECKPOINT_TENSORS_H_
