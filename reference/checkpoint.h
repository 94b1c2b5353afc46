// Hugging Face checkpoint folders: config.json, model.safetensors (or shards with an index),
// minimal tokenizer.json.
#ifndef CROSSCHECK_REFERENCE_CHECKPOINT_H_
#define CROSSCHECK_REFERENCE_CHECKPOINT_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "reference/safetensors.h"
#include "reference/weights.h"

namespace crosscheck {

// How files hold the experts of a mixture; both forms are in use and both are read.
enum class ExpertLayout {
  kFused,     // experts.gate_up_proj [E, 2I, d], experts.down_proj [E, d, I]
  kPerExpert  // experts.<e>.{gate,up,down}_proj.weight
};

struct CheckpointOptions {
  int shards = 1;  // > 1 writes model-0000i-of-0000n.safetensors and the index
  WriteMode mode = WriteMode::kAtomic;
  ExpertLayout experts = ExpertLayout::kFused;
};

// Creates `folder` if needed (mode 0755, files 0644, as lattice's ownership rule wants them) and
// replaces files in it.
absl::Status WriteCheckpoint(const Model& model, const std::string& folder,
                             const CheckpointOptions& options = {});

// The shape of the model from config.json alone; the folder needs no weights.
absl::StatusOr<ModelSpec> ReadConfig(const std::string& folder);

// Exact shapes and names are required; extra tensors (mtp.*, model.visual.*) are ignored; a missing
// lm_head is an error unless tied. Accepts the prefixes `model.language_model.` and `model.`, never
// a mixture.
//
// Unknown keys, further tensors, the index's total and which tensor it says is in which shard are
// ignored, as Transformers does; tokenizer.json is not looked at. Errors name file, tensor and
// reason. kDataLoss and kNotFound: no reader can take these files (broken JSON or container, a
// tensor of another shape than config.json says, a file or tensor that is missing, a shard outside
// the folder). Other codes: this reader does not (a value, dtype or feature that it does not know;
// names that occur twice).
absl::StatusOr<Model> ReadCheckpoint(const std::string& folder);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_CHECKPOINT_H_
