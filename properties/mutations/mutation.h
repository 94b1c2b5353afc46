// One structured change of a checkpoint: what is changed (kind, target) and how, by names that a
// reviewer reads in a case file. Every combination is legal; a change that finds nothing to change
// (a shard of a file that is not sharded) does nothing.
#ifndef CROSSCHECK_PROPERTIES_MUTATIONS_MUTATION_H_
#define CROSSCHECK_PROPERTIES_MUTATIONS_MUTATION_H_

#include <cstdint>
#include <string_view>

#include "absl/types/span.h"

namespace crosscheck {

enum class MutationKind {
  kConfigValue,  // the value of a key of config.json
  kConfigForm,   // where its parts are, what it says it is
  kConfigText,   // its bytes
  kTensor,       // shape and presence of one tensor, with the data that fits
  kTensorDType,  // one tensor in another dtype, converted or relabelled
  kTensorValue,  // one element of one tensor
  kExtraTensor,  // a tensor that no model has
  kOrder,        // of header entries, of data, prefix of all names
  kHeaderEntry,  // the JSON of one tensor's entry in the header
  kOffsets,      // data_offsets of one tensor
  kMetadata,     // __metadata__ of the header
  kHeaderText,   // the bytes of the header
  kHeaderLength,
  kFileBytes,  // the end of a safetensors file
  kShards,     // several files and an index: no error by itself
  kIndex,      // the index of a sharded checkpoint
  kIndexText,
  kTokenizer,
  kTokenizerText,
  kFile,  // one file of the folder: mode, link, gone
};
inline constexpr std::string_view kMutationKindNames[] = {
    "config_value", "config_form",  "config_text",   "tensor",         "tensor_dtype",
    "tensor_value", "extra_tensor", "order",         "header_entry",   "offsets",
    "metadata",     "header_text",  "header_length", "file_bytes",     "shards",
    "index",        "index_text",   "tokenizer",     "tokenizer_text", "file"};

// The ways of a kind, by name; at least one.
absl::Span<const std::string_view> WaysOf(MutationKind kind);

// Keys of config.json as JSON pointers, for kConfigValue. "*/key": wherever an object has the key.
absl::Span<const std::string_view> ConfigKeys();

struct Mutation {
  MutationKind kind = MutationKind::kConfigValue;
  int way = 0;     // into WaysOf(kind)
  int key = 0;     // into ConfigKeys(); 0 for other kinds
  int target = 0;  // which tensor, file or shard, modulo their number
  bool operator==(const Mutation&) const = default;

  std::string_view Way() const { return WaysOf(kind)[static_cast<size_t>(way)]; }
  bool Is(MutationKind wanted, std::string_view name) const {
    return kind == wanted && Way() == name;
  }
};

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_MUTATIONS_MUTATION_H_
