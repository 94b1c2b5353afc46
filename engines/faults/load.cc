// Faults in what an engine takes from files. Name, what makes it show, the smallest case:
// - missing_as_zeros: a tensor is missing (zeros instead); 1 layer, 1 change, 1 token
// - bf16_as_f16: a BF16 checkpoint (read as F16); 1 layer, no change, 1 token
// - dies_on_truncation: a header that ends beyond its file; 1 layer, 1 change
// - allocates_by_header: a header that claims a large size; 1 layer, 1 change
// - refuses_extra_tensors: a tensor that the model has not; 1 layer, 1 change
#include <algorithm>
#include <csignal>
#include <cstring>
#include <new>
#include <string>
#include <utility>

#include "engines/faults/fault.h"
#include "reference/checkpoint.h"
#include "reference/json_input.h"

namespace crosscheck {
namespace {

std::string FileOf(const Message& request, const char* name) {
  const auto folder = StringField(request.head, "path");
  return folder.ok() ? ReadFile(absl::StrCat(*folder, "/", name)).value_or("") : "";
}

absl::StatusOr<std::vector<Tensor>> TensorsOf(const Message& request) {
  return DecodeSafetensors(FileOf(request, "model.safetensors"));
}

Reply MissingAsZeros(Engine& inner, const Message& request, const ModelSpec&) {
  Reply reply = inner.Call(request);
  if (reply.ok() || reply.failure->type != "NOT_FOUND") return reply;
  const absl::StatusOr<Json> config = ParseJson(FileOf(request, "config.json"));
  const auto spec = config.ok() ? FromHuggingFaceConfig(*config) : config.status();
  absl::StatusOr<std::vector<Tensor>> tensors = TensorsOf(request);
  if (!spec.ok() || !tensors.ok()) return reply;
  Message filled;
  filled.head = {{"op", "load"}, {"config", *config}};
  filled.tensors = *std::move(tensors);
  for (const TensorInfo& info : Tensors(*spec)) {
    if (filled.Find(info.name) != nullptr) continue;
    Tensor zeros{info.name, DType::kF32, info.shape, ""};
    zeros.bytes.resize(static_cast<size_t>(zeros.ElementCount()) * sizeof(float));
    filled.tensors.push_back(std::move(zeros));
  }
  return inner.Call(filled);
}

void Bf16AsF16(Model& model) {
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    if (StorageOf(model.tensors[i].role, model.storage) != DType::kBF16) continue;
    for (float& value : model.values[i]) value = DecodeF16(EncodeBF16(value));
  }
}

// What the first eight bytes of model.safetensors claim; 0 when there are none.
uint64_t ClaimedHeader(const std::string& file) {
  uint64_t length = 0;
  if (file.size() >= sizeof(length)) std::memcpy(&length, file.data(), sizeof(length));
  return length;
}

Reply DiesOnTruncation(Engine& inner, const Message& request, const ModelSpec&) {
  const std::string file = FileOf(request, "model.safetensors");
  if (ClaimedHeader(file) > file.size()) {
    signal(SIGSEGV, SIG_DFL);  // sanitizers would turn it into an exit
    raise(SIGSEGV);
  }
  return inner.Call(request);
}

Reply AllocatesByHeader(Engine& inner, const Message& request, const ModelSpec&) {
  const uint64_t claimed = ClaimedHeader(FileOf(request, "model.safetensors"));
  // The call form of new: a compiler may leave out a new-expression whose memory is not used.
  ::operator delete(::operator new(static_cast<size_t>(claimed)));
  return inner.Call(request);
}

Reply RefusesExtraTensors(Engine& inner, const Message& request, const ModelSpec&) {
  const auto folder = StringField(request.head, "path");
  const auto model = folder.ok() ? ReadCheckpoint(*folder) : folder.status();
  const auto tensors = TensorsOf(request);
  if (model.ok() && tensors.ok() && tensors->size() > model->tensors.size()) {
    return FailedReply(FailureKind::kRefused, "a tensor that the model does not have", "Extra");
  }
  return inner.Call(request);
}

constexpr Fault kFaults[] = {
    {"missing_as_zeros", MissingAsZeros, nullptr, "load"},
    {"bf16_as_f16", nullptr, Bf16AsF16},
    {"dies_on_truncation", DiesOnTruncation, nullptr, "load"},
    {"allocates_by_header", AllocatesByHeader, nullptr, "load"},
    {"refuses_extra_tensors", RefusesExtraTensors, nullptr, "load"},
};

}  // namespace

absl::Span<const Fault> LoadFaults() { return kFaults; }

}  // namespace crosscheck
