// The files of a checkpoint after structured changes: what a loader is given.
#ifndef CROSSCHECK_PROPERTIES_MUTATIONS_CHECKPOINT_FILES_H_
#define CROSSCHECK_PROPERTIES_MUTATIONS_CHECKPOINT_FILES_H_

#include "absl/types/span.h"
#include "engines/input_files.h"
#include "properties/mutations/mutation.h"
#include "reference/weights.h"

namespace crosscheck {

// Changes are made to tensors, headers, bytes and files in this order, within each in the order of
// the list. Header and byte changes of a sharded checkpoint meet its first file. A function of its
// arguments alone.
InputFiles MutatedCheckpoint(const Model& model, absl::Span<const Mutation> mutations);

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_MUTATIONS_CHECKPOINT_FILES_H_
