// The hyper-parameters of one model: what a checkpoint's config.json says, in typed form.
//
// Every part of crosscheck that needs the shape of a model reads it from here: the generator draws
// one, the weight generator and the checkpoint files follow from it, both references compute it. It
// holds no weights.
#ifndef CROSSCHECK_REFERENCE_MODEL_SPEC_H_
#define CROSSCHECK_REFERENCE_MODEL_SPEC_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nlohmann/json_fwd.hpp"

namespace crosscheck {

enum class Family { kQwen35, kLlama, kQwen35Moe };
inline constexpr std::string_view kFamilyNames[] = {"qwen3_5", "llama", "qwen3_5_moe"};

enum class LayerKind { kLinearAttention, kFullAttention };
inline constexpr std::string_view kLayerKindNames[] = {"linear", "full"};

// Names of the symbols of spec architectures.md 3.1 in brackets.
struct ModelSpec {
  Family family = Family::kQwen35;
  std::vector<LayerKind> layers;  // one entry per decoder layer [L]
  int vocab = 0;                  // [V]
  int hidden = 0;                 // [d]
  int intermediate = 0;           // [I], of one expert in a mixture
  int heads = 1;                  // [H]
  int kv_heads = 1;               // [Hkv], divides heads
  int head_dim = 0;               // [D]
  int rotary_dim = 0;             // [rot], even, 2..head_dim
  int linear_key_heads = 1;       // [Hk]
  int linear_value_heads = 1;     // [Hv], a multiple of linear_key_heads
  int linear_key_dim = 0;         // [Dk]
  int linear_value_dim = 0;       // [Dv]
  int conv_kernel = 4;            // [K]
  bool tied = false;              // lm_head is the embedding
  double rms_eps = 1e-6;
  double rope_theta = 1e4;
  int max_positions = 512;
  int eos = 0;  // end-of-sequence id; -1: none
  // Mixture of experts; all 0 in a dense model.
  int experts = 0;              // [E]
  int experts_per_token = 0;    // [k], 1..experts
  int shared_intermediate = 0;  // of the shared expert

  int conv_channels() const {  // [C]
    return 2 * linear_key_heads * linear_key_dim + linear_value_heads * linear_value_dim;
  }
  bool operator==(const ModelSpec&) const = default;
};

// What the families of this table have and have not.
struct FamilyTraits {
  bool linear_attention;    // some layers are linear attention
  bool gated_attention;     // full attention has an output gate and norms of q and k
  bool partial_rotary;      // rotary_dim may be less than head_dim
  bool mixture;             // experts in the place of one MLP
  std::string_view prefix;  // of the names of the tensors, lm_head excepted
};
const FamilyTraits& TraitsOf(Family family);

// Says which field is out of range and what would be in range.
absl::Status Validate(const ModelSpec& spec);

// Roles decide how the weight generator scales a tensor and how a checkpoint stores it.
enum class TensorRole {
  kEmbedding,
  kHead,
  kProjection,
  kNorm /* 1 + w */,
  kGatedNorm /* plain w */,
  kPlainNorm /* w */,
  kConv,
  kALog,
  kDtBias,
  kRouter
};

struct TensorInfo {
  std::string name;  // checkpoint name, with the prefix of the family
  std::vector<int64_t> shape;
  TensorRole role;
  int layer;  // -1 outside the layers
};

// Every tensor of the model in checkpoint order (embedding, layers, final norm, lm_head when
// untied).
std::vector<TensorInfo> Tensors(const ModelSpec& spec);

// Hugging Face config.json in both directions. Writing follows the composite form that lattice and
// Transformers both read (lattice.md 3.3), for llama the flat one; reading accepts the composite
// and the flat form and applies Hugging Face's defaults, aliases and precedence
// (architectures.md 3.1, 4). Errors name the key, what it holds and what is expected; a family that
// does not exist here is Unimplemented.
nlohmann::json ToHuggingFaceConfig(const ModelSpec& spec, std::string_view dtype);
absl::StatusOr<ModelSpec> FromHuggingFaceConfig(const nlohmann::json& config);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_MODEL_SPEC_H_
