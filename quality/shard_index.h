// Whether model.safetensors.index.json tells the truth about its shards.
#ifndef CROSSCHECK_QUALITY_SHARD_INDEX_H_
#define CROSSCHECK_QUALITY_SHARD_INDEX_H_

#include <string>

#include "absl/status/status.h"

namespace crosscheck::quality {

// FailedPrecondition: a tensor is not in the shard that the index names for it; the message says in
// which one it is. Readers that follow the index and readers that take every shard, as Transformers
// does, would then measure different models. Only headers are read. What every reader refuses (a
// broken index or container, a missing file) is left to the reader, as is a folder without an
// index or with a model.safetensors, which goes before it.
absl::Status CheckShardIndex(const std::string& folder);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_SHARD_INDEX_H_
