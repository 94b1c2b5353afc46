#include "reference/checkpoint.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "reference/checkpoint_tensors.h"
#include "reference/safetensors.h"
#include "reference/tokenizer_json.h"

namespace crosscheck {
namespace {

using nlohmann::json;

// ---- experts of a mixture

// All experts of a layer in one tensor: [E, 2I, d] or [E, d, I].
bool IsFusedExperts(const TensorInfo& info) {
  return absl::EndsWith(info.name, ".experts.gate_up_proj") ||
         absl::EndsWith(info.name, ".experts.down_proj");
}

// The matrices of expert `e` that make up a fused tensor, with their names in files of one tensor
// per matrix: `….experts.3.gate_proj.weight` and then `….experts.3.up_proj.weight`.
std::vector<TensorInfo> ExpertMatrices(const TensorInfo& fused, const std::string& name,
                                       int64_t expert) {
  const size_t dot = name.rfind('.');
  const std::string stem = absl::StrCat(name.substr(0, dot + 1), expert, ".");
  const int64_t rows = fused.shape[1];
  const int64_t columns = fused.shape[2];
  if (name.substr(dot) == ".down_proj") {
    return {{stem + "down_proj.weight", {rows, columns}, fused.role, fused.layer}};
  }
  return {{stem + "gate_proj.weight", {rows / 2, columns}, fused.role, fused.layer},
          {stem + "up_proj.weight", {rows / 2, columns}, fused.role, fused.layer}};
}

// ---- writing

// Mode 0755 whatever the umask adds to it less: engines refuse folders that others may write.
absl::Status MakeFolder(const std::string& folder) {
  for (size_t at = folder.find('/', 1); at != std::string::npos; at = folder.find('/', at + 1)) {
    mkdir(folder.substr(0, at).c_str(), 0755);  // the last mkdir reports what went wrong
  }
  if (mkdir(folder.c_str(), 0755) == 0 || errno == EEXIST) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat("cannot create folder ", folder, ": ", std::strerror(errno)));
}

std::string_view HuggingFaceDType(DType storage) {
  return storage == DType::kBF16 ? "bfloat16" : storage == DType::kF16 ? "float16" : "float32";
}

template <uint16_t (*Encode)(float)>
std::string Narrow(const std::vector<float>& values) {
  std::string bytes(values.size() * sizeof(uint16_t), '\0');
  auto* out = reinterpret_cast<uint16_t*>(bytes.data());
  for (size_t i = 0; i < values.size(); ++i) out[i] = Encode(values[i]);
  return bytes;
}

// The bytes of values; `narrowed` keeps them where they are not those of the values.
std::string_view Encode(const std::vector<float>& values, DType dtype, std::string& narrowed) {
  if (dtype == DType::kBF16) return narrowed = Narrow<EncodeBF16>(values);
  if (dtype == DType::kF16) return narrowed = Narrow<EncodeF16>(values);
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

int64_t ElementCount(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t dimension : shape) count *= dimension;
  return count;
}

// The tensors of a file that take their bytes from tensor `info`: itself, or its experts one by
// one.
std::vector<TensorInfo> FileTensors(const TensorInfo& info, ExpertLayout layout) {
  if (layout == ExpertLayout::kFused || !IsFusedExperts(info)) return {info};
  std::vector<TensorInfo> matrices;
  for (int64_t e = 0; e < info.shape[0]; ++e) {
    for (TensorInfo& matrix : ExpertMatrices(info, info.name, e)) {
      matrices.push_back(std::move(matrix));
    }
  }
  return matrices;
}

// One file image of tensors [first, last).
std::string EncodeShard(const Model& model, size_t first, size_t last, ExpertLayout layout) {
  std::vector<std::string> narrowed(last - first);
  std::vector<TensorInfo> infos;  // own the names that views borrow
  std::vector<std::pair<DType, std::string_view>> contents;
  for (size_t i = first; i < last; ++i) {
    const DType dtype = StorageOf(model.tensors[i].role, model.storage);
    std::string_view rest = Encode(model.values[i], dtype, narrowed[i - first]);
    for (TensorInfo& info : FileTensors(model.tensors[i], layout)) {
      const auto size = static_cast<size_t>(ElementCount(info.shape) * SizeOf(dtype));
      contents.emplace_back(dtype, rest.substr(0, size));
      rest.remove_prefix(size);
      infos.push_back(std::move(info));
    }
  }
  std::vector<TensorView> views;
  views.reserve(infos.size());
  for (size_t i = 0; i < infos.size(); ++i) {
    views.push_back({infos[i].name, contents[i].first, infos[i].shape, contents[i].second});
  }
  return EncodeSafetensors(absl::MakeConstSpan(views));
}

absl::Status WriteShards(const Model& model, const std::string& folder,
                         const CheckpointOptions& options) {
  const size_t count = model.tensors.size();
  const size_t shards = std::min(static_cast<size_t>(options.shards), count);
  json weight_map = json::object();
  int64_t total = 0;
  for (size_t s = 0; s < shards; ++s) {
    const std::string name = absl::StrFormat("model-%05d-of-%05d.safetensors", s + 1, shards);
    const size_t first = s * count / shards;
    const size_t last = (s + 1) * count / shards;
    const std::string image = EncodeShard(model, first, last, options.experts);
    if (absl::Status status = WriteFile(absl::StrCat(folder, "/", name), image, options.mode);
        !status.ok()) {
      return status;
    }
    for (size_t i = first; i < last; ++i) {
      for (const TensorInfo& info : FileTensors(model.tensors[i], options.experts)) {
        weight_map[info.name] = name;
      }
      total += static_cast<int64_t>(model.values[i].size()) *
               SizeOf(StorageOf(model.tensors[i].role, model.storage));
    }
  }
  const json index = {{"metadata", {{"total_size", total}}}, {"weight_map", std::move(weight_map)}};
  unlink(absl::StrCat(folder, "/", kWeightsFile).c_str());  // loaders prefer it to the index
  return WriteFile(absl::StrCat(folder, "/", kIndexFile), index.dump(1), options.mode);
}

// ---- reading

// "model.language_model." (composite) or "model." (text-only class).
absl::StatusOr<std::string> FindPrefix(const CheckpointTensors& tensors) {
  bool composite = false;
  bool flat = false;
  for (const auto& [name, unused] : tensors) {
    if (absl::StartsWith(name, "model.language_model.")) composite = true;
    for (const char* part : {"model.layers.", "model.embed_tokens.", "model.norm."}) {
      if (absl::StartsWith(name, part)) flat = true;
    }
  }
  if (composite && flat) {
    return absl::InvalidArgumentError(
        "tensor names mix the prefixes model.language_model. and model.");
  }
  return std::string(flat ? "model." : "model.language_model.");
}

// Of F32, BF16 and F16, exactly.
std::vector<float> FloatsOf(const Tensor& tensor) {
  if (tensor.dtype == DType::kF32) {
    const auto values = tensor.As<float>();
    return {values.begin(), values.end()};
  }
  std::vector<float> values;
  values.reserve(static_cast<size_t>(tensor.ElementCount()));
  const auto decode = tensor.dtype == DType::kBF16 ? DecodeBF16 : DecodeF16;
  for (const uint16_t bits : tensor.As<uint16_t>()) values.push_back(decode(bits));
  return values;
}

absl::StatusOr<std::vector<float>> WeightValues(const Tensor& tensor, const TensorInfo& info) {
  if (tensor.shape != info.shape) {
    return absl::DataLossError(absl::StrCat("tensor ", tensor.name, " has shape ",
                                            ShapeText(tensor.shape), "; config.json wants ",
                                            ShapeText(info.shape)));
  }
  if (tensor.dtype != DType::kF32 && tensor.dtype != DType::kBF16 && tensor.dtype != DType::kF16) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor ", tensor.name, " has dtype ",
                     std::string(kDTypeNames[static_cast<size_t>(tensor.dtype)]),
                     "; expected F32, BF16 or F16"));
  }
  std::vector<float> values = FloatsOf(tensor);
  if (!std::all_of(values.begin(), values.end(), [](float x) { return std::isfinite(x); })) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor ", tensor.name, " holds NaN or infinity"));
  }
  return values;
}

// The storage that writes these tensors back without loss; one entry for each tensor of the model.
DType CommonStorage(const std::vector<DType>& stored, const Model& model) {
  DType storage = stored.front();
  for (size_t i = 0; i < stored.size(); ++i) {
    const bool free = StorageOf(model.tensors[i].role, DType::kBF16) != DType::kF32;
    if (free && stored[i] != storage) storage = DType::kF32;
  }
  return storage;
}

// Fuses the experts of a file that holds them one by one.
absl::StatusOr<std::vector<float>> MergeExperts(const CheckpointTensors& tensors,
                                                const std::string& folder, const std::string& name,
                                                const TensorInfo& info,
                                                std::vector<DType>* stored) {
  std::vector<float> merged;
  DType dtype = DType::kF32;
  for (int64_t e = 0; e < info.shape[0]; ++e) {
    for (const TensorInfo& matrix : ExpertMatrices(info, name, e)) {
      const auto found = tensors.find(matrix.name);
      if (found == tensors.end()) {
        return absl::NotFoundError(
            absl::StrCat(folder, ": tensor ",
                         e == 0 ? name + " (or " + matrix.name + ")" : matrix.name, " is missing"));
      }
      const auto& [tensor, path] = found->second;
      absl::StatusOr<std::vector<float>> values = WeightValues(tensor, matrix);
      if (!values.ok()) return AtFile(path, values.status());
      dtype = merged.empty() || tensor.dtype == dtype ? tensor.dtype : DType::kF32;
      merged.insert(merged.end(), values->begin(), values->end());
    }
  }
  stored->push_back(dtype);
  return merged;
}

// The name of a tensor in files with this prefix.
std::string FileName(const TensorInfo& info, std::string_view own, const std::string& prefix) {
  const std::string_view name = info.name;
  return name.starts_with(own) ? prefix + std::string(name.substr(own.size())) : info.name;
}

absl::Status Missing(const std::string& folder, const std::string& name, TensorRole role) {
  const bool head = role == TensorRole::kHead;
  return absl::NotFoundError(absl::StrCat(folder, ": tensor ", name, " is missing",
                                          head ? " and tie_word_embeddings is false" : ""));
}

}  // namespace

absl::StatusOr<Model> AssembleModel(const ModelSpec& spec, CheckpointTensors tensors,
                                    const std::string& folder) {
  absl::StatusOr<std::string> prefix = FindPrefix(tensors);
  if (!prefix.ok()) return AtFile(folder, prefix.status());
  const std::string_view own = TraitsOf(spec.family).prefix;
  if (own == "model.") *prefix = own;  // a family without a composite form
  Model model{spec, DType::kF32, Tensors(spec), {}};
  std::vector<DType> stored;
  for (const TensorInfo& info : model.tensors) {
    const std::string name = FileName(info, own, *prefix);
    const auto found = tensors.find(name);
    absl::StatusOr<std::vector<float>> values = Missing(folder, name, info.role);
    if (found != tensors.end()) {
      auto& [tensor, path] = found->second;
      values = WeightValues(tensor, info);
      if (!values.ok()) return AtFile(path, values.status());
      stored.push_back(tensor.dtype);
      tensor.bytes = std::string();
    } else if (IsFusedExperts(info)) {
      values = MergeExperts(tensors, folder, name, info, &stored);
    }
    if (!values.ok()) return values.status();
    model.values.push_back(*std::move(values));
  }
  model.storage = CommonStorage(stored, model);
  return model;
}

absl::Status WriteCheckpoint(const Model& model, const std::string& folder,
                             const CheckpointOptions& options) {
  if (absl::Status status = MakeFolder(folder); !status.ok()) return status;
  absl::Status status =
      options.shards > 1
          ? WriteShards(model, folder, options)
          : WriteFile(absl::StrCat(folder, "/", kWeightsFile),
                      EncodeShard(model, 0, model.tensors.size(), options.experts), options.mode);
  if (!status.ok()) return status;
  status = WriteFile(absl::StrCat(folder, "/tokenizer.json"), TokenizerJson(model.spec.vocab),
                     options.mode);
  if (!status.ok()) return status;
  const json config = ToHuggingFaceConfig(model.spec, HuggingFaceDType(model.storage));
  return WriteFile(absl::StrCat(folder, "/", kConfigFile), config.dump(), options.mode);
}

absl::StatusOr<ModelSpec> ReadConfig(const std::string& folder) {
  absl::StatusOr<json> config = ReadJsonFile(absl::StrCat(folder, "/", kConfigFile));
  if (!config.ok()) return config.status();
  absl::StatusOr<ModelSpec> spec = FromHuggingFaceConfig(*config);
  return spec.ok() ? std::move(spec) : AtFile(folder, spec.status());
}

absl::StatusOr<Model> ReadCheckpoint(const std::string& folder) {
  absl::StatusOr<ModelSpec> spec = ReadConfig(folder);
  if (!spec.ok()) return spec.status();
  absl::StatusOr<CheckpointTensors> tensors = ReadCheckpointTensors(folder);
  if (!tensors.ok()) return tensors.status();
  for (const auto& [name, file] : *tensors) {
    if (file.tensor.dtype != DType::kF8E4M3) continue;
    return absl::UnimplementedError(
        absl::StrCat(file.path, ": tensor ", name, " has dtype F8_E4M3: a quantised checkpoint"));
  }
  return AssembleModel(*spec, *std::move(tensors), folder);
}

}  // namespace crosscheck
