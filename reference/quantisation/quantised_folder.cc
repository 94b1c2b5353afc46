#include "reference/quantisation/quantised_folder.h"

#include <unistd.h>

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "reference/checkpoint_tensors.h"
#include "reference/quantisation/lattice_folder.h"
#include "reference/quantisation/quantised_tensors.h"
#include "reference/safetensors.h"

namespace crosscheck {
namespace {

using nlohmann::json;

bool BelongsToTheModel(const std::string& name) {
  return (absl::StartsWith(name, "model.") && !absl::StartsWith(name, "model.visual.")) ||
         absl::StartsWith(name, "lm_head.");
}

std::string TensorClass(const std::string& name) {
  const auto ends = [&](std::initializer_list<const char*> endings) {
    return std::any_of(endings.begin(), endings.end(),
                       [&](const char* ending) { return absl::EndsWith(name, ending); });
  };
  if (absl::StartsWith(name, "lm_head.")) return "lm_head";
  if (absl::StrContains(name, "embed_tokens")) return "embedding";
  if (ends({"norm.weight"})) return "norms";
  if (ends({".mlp.gate.weight"})) return "routers";
  return ends({"conv1d.weight", ".A_log", ".dt_bias"}) ? "other" : "projections";
}

std::string FormatOf(DType dtype) {
  return dtype == DType::kF32 ? "f32" : dtype == DType::kF16 ? "f16" : "bf16";
}

// What the model's tensors are held in; a format that is not in `encodings` is the dtype's.
void Describe(const ModelSpec& spec, const CheckpointTensors& tensors,
              const std::map<std::string, TensorEncoding>& encodings,
              FolderDescription& description) {
  std::map<std::pair<std::string, std::string>, FormatUse> uses;
  for (const auto& [name, file] : tensors) {
    const bool scale = absl::EndsWith(name, "_scale") || absl::EndsWith(name, "_scale_inv") ||
                       absl::EndsWith(name, "_scale_2") || absl::EndsWith(name, "_scales");
    const bool unused = spec.tied && absl::StartsWith(name, "lm_head.");
    if (scale || unused || !BelongsToTheModel(name)) continue;
    const auto found = encodings.find(name);
    const bool encoded = found != encodings.end();
    const std::string format = encoded ? found->second.format : FormatOf(file.tensor.dtype);
    FormatUse& use = uses[{TensorClass(name), format}];
    use.tensors = TensorClass(name);
    use.format = format;
    use.count += 1;
    use.weights += file.tensor.ElementCount();
    use.bytes += encoded ? found->second.bytes : static_cast<int64_t>(file.tensor.bytes.size());
  }
  for (const auto& [key, use] : uses) {
    description.uses.push_back(use);
    description.weights += use.weights;
    description.bytes += use.bytes;
  }
}

// The object of config.json that holds `key`: the file itself or its text_config. Null: neither.
const json* Lookup(const json& config, const char* key) {
  if (!config.is_object()) return nullptr;
  if (const auto found = config.find(key); found != config.end()) return &*found;
  const auto text = config.find("text_config");
  if (text == config.end() || !text->is_object()) return nullptr;
  const auto found = text->find(key);
  return found == text->end() ? nullptr : &*found;
}

// The shape of a model is the same in any format; a plain reader refuses the key.
json WithoutQuantisation(json config) {
  if (!config.is_object()) return config;
  config.erase("quantization_config");
  const auto text = config.find("text_config");
  if (text != config.end() && text->is_object()) text->erase("quantization_config");
  return config;
}

absl::StatusOr<Fp8Block> BlockSize(const json& config) {
  const json* quantisation = Lookup(config, "quantization_config");
  if (quantisation == nullptr || !quantisation->is_object()) return Fp8Block{};
  const auto size = quantisation->find("weight_block_size");
  if (size == quantisation->end() || size->is_null()) return Fp8Block{};
  const auto extent = [&](size_t i) {
    const json& value = (*size)[i];
    return value.is_number_unsigned() && value.get<uint64_t>() <= 1 << 20 ? value.get<int64_t>()
                                                                          : 0;
  };
  if (!size->is_array() || size->size() != 2 || extent(0) == 0 || extent(1) == 0) {
    return absl::DataLossError(absl::StrCat("weight_block_size is ", size->dump().substr(0, 40),
                                            "; expected two positive integers"));
  }
  return Fp8Block{extent(0), extent(1)};
}

absl::StatusOr<QuantisedFolder> ReadSafetensors(const std::string& folder, const ModelSpec& spec,
                                                const json& config) {
  absl::StatusOr<CheckpointTensors> tensors = ReadCheckpointTensors(folder);
  if (!tensors.ok()) return tensors.status();
  const auto block = BlockSize(config);
  if (!block.ok()) return AtFile(absl::StrCat(folder, "/", kConfigFile), block.status());
  const auto encodings = DecodeQuantisedTensors(*block, *tensors);
  if (!encodings.ok()) return encodings.status();
  FolderDescription description;
  description.kind = encodings->empty() ? "plain" : "quantised safetensors";
  Describe(spec, *tensors, *encodings, description);
  absl::StatusOr<Model> model = AssembleModel(spec, *std::move(tensors), folder);
  const json* quantisation = Lookup(config, "quantization_config");
  if (!model.ok() && encodings->empty() && quantisation != nullptr && quantisation->is_object()) {
    return absl::UnimplementedError(absl::StrCat(
        folder, ": quantised by ",
        quantisation->value("quant_method", json("an unnamed method")).dump().substr(0, 40),
        "; readable are FP8, MXFP4, NVFP4 and lattice's Q4 (",
        std::string(model.status().message()), ")"));
  }
  if (!model.ok()) return model.status();
  return QuantisedFolder{*std::move(model), std::move(description)};
}

// How many blocks of the folder have another bias than symmetric codes.
struct AsymmetricBlocks {
  std::string first;  // the first tensor that has any
  int64_t tensors = 0;
  int64_t blocks = 0;
};

absl::Status ReadLatticeTensor(const std::string& folder, const LatticeIndexEntry& entry,
                               CheckpointTensors& tensors,
                               std::map<std::string, TensorEncoding>& encodings,
                               AsymmetricBlocks& asymmetric) {
  const std::string path = absl::StrCat(folder, "/", entry.file);
  const absl::StatusOr<std::string> bytes = ReadFile(path);
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<LatticeTensor> read = DecodeLatticeFile(*bytes);
  if (!read.ok()) return AtFile(path, read.status());
  if (read->tensor.shape != entry.shape) {
    return AtFile(path,
                  absl::DataLossError(absl::StrCat("shape ", ShapeText(read->tensor.shape),
                                                   "; the index says ", ShapeText(entry.shape))));
  }
  const bool symmetric = read->asymmetric_blocks == 0;
  if (read->quantised) {
    encodings[entry.name] = {symmetric ? "q4_sym" : "q4_asym",
                             read->blocks * static_cast<int64_t>(kLatticeQ4BlockBytes)};
  }
  if (!symmetric) {
    if (asymmetric.tensors++ == 0) asymmetric.first = entry.name;
    asymmetric.blocks += read->asymmetric_blocks;
  }
  read->tensor.name = entry.name;
  tensors[entry.name] = {std::move(read->tensor), path};
  return absl::OkStatus();
}

// The seed of the index and that of config.json (`quarot_rotation_seed`); lattice reads the first
// that is there.
absl::Status ResolveSeed(const LatticeIndex& index, const json& config,
                         FolderDescription& description) {
  description.quarot_seed = index.quarot_seed;
  const json* legacy = Lookup(config, "quarot_rotation_seed");
  if (legacy != nullptr && legacy->is_number_unsigned()) {
    const auto seed = legacy->get<uint64_t>();
    if (!description.quarot_seed.has_value()) description.quarot_seed = seed;
    if (*description.quarot_seed != seed) {
      description.findings.push_back(absl::StrCat("config.json says quarot_rotation_seed ", seed,
                                                  ", the index quarot_seed ", *index.quarot_seed));
    }
  }
  if (index.is_object && !description.quarot_seed.has_value()) {
    return absl::DataLossError(
        "rotated weights (an object) without quarot_seed, and config.json has no "
        "quarot_rotation_seed");
  }
  return absl::OkStatus();
}

absl::StatusOr<QuantisedFolder> ReadLattice(const std::string& folder, const ModelSpec& spec,
                                            const json& config) {
  const std::string path = absl::StrCat(folder, "/", kLatticeIndexFile);
  const absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return text.status();
  const absl::StatusOr<LatticeIndex> index = ParseLatticeIndex(*text);
  if (!index.ok()) return AtFile(path, index.status());
  FolderDescription description;
  if (absl::Status status = ResolveSeed(*index, config, description); !status.ok()) {
    return AtFile(path, status);
  }
  description.kind = description.quarot_seed.has_value() ? "lattice quarot" : "lattice q4";
  CheckpointTensors tensors;
  std::map<std::string, TensorEncoding> encodings;
  AsymmetricBlocks asymmetric;
  for (const LatticeIndexEntry& entry : index->entries) {
    if (!BelongsToTheModel(entry.name)) continue;
    absl::Status status = ReadLatticeTensor(folder, entry, tensors, encodings, asymmetric);
    if (!status.ok()) return status;
  }
  if (description.quarot_seed.has_value() && asymmetric.tensors > 0) {
    description.findings.push_back(absl::StrCat(
        "asymmetric codes after a rotation: quarot_seed is set, and ", asymmetric.blocks,
        " blocks of ", asymmetric.tensors, " tensors (the first is ", asymmetric.first,
        ") have a bias other than -8 times their scale"));
  }
  Describe(spec, tensors, encodings, description);
  absl::StatusOr<Model> model = AssembleModel(spec, std::move(tensors), folder);
  if (!model.ok()) return model.status();
  return QuantisedFolder{*std::move(model), std::move(description)};
}

}  // namespace

double FolderDescription::BitsPerWeight() const {
  return weights == 0 ? 0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(weights);
}

std::string FolderDescription::Text() const {
  std::vector<std::string> parts;
  parts.reserve(uses.size() + 1);
  for (const FormatUse& use : uses) parts.push_back(use.tensors + " " + use.format);
  if (quarot_seed.has_value()) {
    parts.push_back(absl::StrCat("rotated with seed ", *quarot_seed));
  }
  return absl::StrJoin(parts, ", ");
}

absl::StatusOr<QuantisedFolder> ReadQuantisedFolder(const std::string& folder) {
  const std::string path = absl::StrCat(folder, "/", kConfigFile);
  const absl::StatusOr<json> config = ReadJsonFile(path);
  if (!config.ok()) return config.status();
  const absl::StatusOr<ModelSpec> spec = FromHuggingFaceConfig(WithoutQuantisation(*config));
  if (!spec.ok()) return AtFile(path, spec.status());
  const bool lattice = access(absl::StrCat(folder, "/", kLatticeIndexFile).c_str(), F_OK) == 0;
  return lattice ? ReadLattice(folder, *spec, *config) : ReadSafetensors(folder, *spec, *config);
}

}  // namespace crosscheck
