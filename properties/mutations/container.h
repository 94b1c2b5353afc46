// A safetensors file that may be wrong: its parts before they become bytes, and their changes.
#ifndef CROSSCHECK_PROPERTIES_MUTATIONS_CONTAINER_H_
#define CROSSCHECK_PROPERTIES_MUTATIONS_CONTAINER_H_

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "properties/mutations/json_mutations.h"
#include "properties/mutations/mutation.h"
#include "reference/tensor.h"

namespace crosscheck {

// kTensor, kTensorDType, kTensorValue, kExtraTensor and kOrder's data and names: still a valid
// file.
void MutateTensors(const Mutation& mutation, std::vector<Tensor>& tensors);

struct HeaderEntry {
  std::string name;
  OrderedJson value;
  std::string text;  // not empty: what is written instead of `value`
};

struct Container {
  std::vector<HeaderEntry> entries;  // in the order of the header
  std::string data;
};
Container ContainerOf(absl::Span<const Tensor> tensors);

// kHeaderEntry, kOffsets, kMetadata and kOrder's header: the header's tree.
void MutateHeader(const Mutation& mutation, Container& container);

// The file, after kHeaderText, kHeaderLength and kFileBytes in the order of the list; the rest of
// the list is not looked at.
std::string EncodeContainer(const Container& container, absl::Span<const Mutation> mutations);

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_MUTATIONS_CONTAINER_H_
