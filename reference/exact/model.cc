#include "reference/exact/model.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "reference/exact/decoder.h"
#include "reference/exact/family_list.h"

namespace crosscheck {
namespace exact {
namespace {

absl::Status CheckTensors(const Model& model) {
  const std::vector<TensorInfo> expected = Tensors(model.spec);
  if (model.tensors.size() != expected.size() || model.values.size() != expected.size()) {
    return absl::InvalidArgumentError(absl::StrCat("model has ", model.tensors.size(),
                                                   " tensors and ", model.values.size(),
                                                   " values, its spec asks for ", expected.size()));
  }
  for (size_t i = 0; i < expected.size(); ++i) {
    const TensorInfo& tensor = model.tensors[i];
    if (tensor.name != expected[i].name || tensor.shape != expected[i].shape) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", i, " is ", tensor.name, " [", absl::StrJoin(tensor.shape, ","),
                       "], its spec asks for ", expected[i].name, " [",
                       absl::StrJoin(expected[i].shape, ","), "]"));
    }
    size_t elements = 1;
    for (const int64_t dimension : expected[i].shape) elements *= static_cast<size_t>(dimension);
    if (model.values[i].size() != elements) {
      return absl::InvalidArgumentError(absl::StrCat(tensor.name, " has ", model.values[i].size(),
                                                     " values, its shape asks for ", elements));
    }
  }
  return absl::OkStatus();
}

}  // namespace

template <class N>
absl::StatusOr<std::unique_ptr<ReferenceModel>> MakeModel(std::shared_ptr<const Model> model,
                                                          DeltaRule rule) {
  if (model == nullptr) return absl::InvalidArgumentError("no model given");
  if (absl::Status status = Validate(model->spec); !status.ok()) return status;
  if (absl::Status status = CheckTensors(*model); !status.ok()) return status;
  const std::string_view name = kFamilyNames[static_cast<size_t>(model->spec.family)];
  for (const auto& family : kListedFamilies) {
    if (family.name == name) return MakeDecoder<N>(std::move(model), rule, family.blocks());
  }
  return absl::UnimplementedError(
      absl::StrCat("the exact model has no family ", std::string(name)));
}

template absl::StatusOr<std::unique_ptr<ReferenceModel>> MakeModel<Fp64>(
    std::shared_ptr<const Model>, DeltaRule);
template absl::StatusOr<std::unique_ptr<ReferenceModel>> MakeModel<Fp64Reversed>(
    std::shared_ptr<const Model>, DeltaRule);
template absl::StatusOr<std::unique_ptr<ReferenceModel>> MakeModel<Fp64Pairwise>(
    std::shared_ptr<const Model>, DeltaRule);
template absl::StatusOr<std::unique_ptr<ReferenceModel>> MakeModel<Fp32>(
    std::shared_ptr<const Model>, DeltaRule);
template absl::StatusOr<std::unique_ptr<ReferenceModel>> MakeModel<Fp32Reversed>(
    std::shared_ptr<const Model>, DeltaRule);
template absl::StatusOr<std::unique_ptr<ReferenceModel>> MakeModel<Fp32Pairwise>(
    std::shared_ptr<const Model>, DeltaRule);

}  // namespace exact

absl::StatusOr<std::unique_ptr<ReferenceModel>> MakeExactModel(std::shared_ptr<const Model> model,
                                                               ExactVariant variant) {
  switch (variant) {
    case ExactVariant::kFp64:
      return exact::MakeModel<exact::Fp64>(std::move(model), exact::DeltaRule::kRecurrent);
    case ExactVariant::kFp32Recurrent:
      return exact::MakeModel<exact::Fp32>(std::move(model), exact::DeltaRule::kRecurrent);
    case ExactVariant::kFp32ChunkedReversed:
      return exact::MakeModel<exact::Fp32Reversed>(std::move(model), exact::DeltaRule::kChunked);
    case ExactVariant::kFp32ChunkedPairwise:
      return exact::MakeModel<exact::Fp32Pairwise>(std::move(model), exact::DeltaRule::kChunked);
    case ExactVariant::kFp64ChunkedReversed:
      return exact::MakeModel<exact::Fp64Reversed>(std::move(model), exact::DeltaRule::kChunked);
    case ExactVariant::kFp64ChunkedPairwise:
      return exact::MakeModel<exact::Fp64Pairwise>(std::move(model), exact::DeltaRule::kChunked);
  }
  return absl::InvalidArgumentError("unknown variant of the exact model");
}

}  // namespace crosscheck
