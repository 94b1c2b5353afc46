#include "reference/golden_recording.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "reference/json_input.h"
#include "reference/safetensors.h"

namespace crosscheck {
namespace {

// Why a tensor is not compared; empty for tensors that are.
std::string SkipReason(const std::string& name) {
  if (absl::EndsWith(name, "_bf16")) return "bfloat16 run: no reference computes in bfloat16";
  if (absl::StrContains(name, ".lora_")) return "LoRA adapters are not implemented";
  if (absl::StrContains(name, ".mtp_")) return "the multi-token-prediction head is not implemented";
  if (absl::EndsWith(name, ".position_ids")) {
    return "input: references derive positions from the mask";
  }
  return "";
}

bool IsNumbered(absl::string_view part, absl::string_view word) {
  return part.size() > word.size() && absl::StartsWith(part, word) &&
         std::all_of(part.begin() + static_cast<int64_t>(word.size()), part.end(),
                     [](char c) { return c >= '0' && c <= '9'; });
}

absl::Status NoSuchTensor(const std::string& name) {
  return absl::NotFoundError(absl::StrCat("expected.safetensors has no tensor ", name));
}

}  // namespace

std::string GoldenKind(std::string_view tensor) {
  absl::string_view name(tensor.data(), tensor.size());
  for (const char* suffix : {"f64", "f32"}) {
    if (absl::EndsWith(name, suffix)) {
      name.remove_suffix(4);  // with the dot or underscore before it
    }
  }
  std::vector<std::string> kept;
  for (const absl::string_view part : absl::StrSplit(name, '.')) {
    if (!IsNumbered(part, "p") && !IsNumbered(part, "layer")) kept.emplace_back(part);
  }
  return absl::StrJoin(kept, ".");
}

absl::StatusOr<GoldenRecording> GoldenRecording::Read(const std::string& path) {
  absl::StatusOr<std::string> bytes = ReadFile(path);
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<std::vector<Tensor>> tensors = DecodeSafetensors(*bytes);
  if (!tensors.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", std::string(tensors.status().message())));
  }
  GoldenRecording recording;
  for (Tensor& tensor : *tensors) {
    std::string name = tensor.name;
    std::string reason = SkipReason(name);
    recording.tensors_[name] = {std::move(tensor), false, std::move(reason)};
  }
  if (absl::Status status = recording.TakeFloat32Errors(); !status.ok()) return status;
  recording.TakeStatedErrors(path.substr(0, path.rfind('/') + 1) + "golden.json");
  return recording;
}

void GoldenRecording::TakeStatedErrors(const std::string& golden_json) {
  const absl::StatusOr<std::string> text = ReadFile(golden_json);
  const absl::StatusOr<nlohmann::json> golden = text.ok() ? ParseJson(*text) : text.status();
  if (!golden.ok() || !golden->is_object() || !golden->contains("errors")) return;
  const nlohmann::json& errors = (*golden)["errors"];
  for (const char* kind : {"logits", "hidden"}) {
    const auto stated =
        errors.is_object() ? errors.find(absl::StrCat(kind, "_f32_vs_f64")) : errors.end();
    if (stated == errors.end() || !stated->is_number()) continue;
    float32_errors_.try_emplace(kind, stated->get<double>());
  }
}

absl::Status GoldenRecording::TakeFloat32Errors() {
  for (auto& [name, entry] : tensors_) {
    if (!absl::EndsWith(name, "f32") || !entry.skip_reason.empty()) continue;
    std::string wide_name = name.substr(0, name.size() - 2) + "64";
    const size_t decode = wide_name.find(".decode_logits");
    if (decode != std::string::npos) wide_name.erase(decode + 1, 7);  // judged against the prefill
    const auto wide = tensors_.find(wide_name);
    if (wide == tensors_.end() || wide->second.tensor.shape != entry.tensor.shape) continue;
    absl::StatusOr<std::vector<double>> a = entry.tensor.ToDoubles();
    absl::StatusOr<std::vector<double>> b = wide->second.tensor.ToDoubles();
    if (!a.ok()) return a.status();
    if (!b.ok()) return b.status();
    double& worst = float32_errors_[GoldenKind(name)];
    for (size_t i = 0; i < a->size(); ++i) {
      if (IsPadding(name, i, a->size())) continue;
      worst = std::max(worst, std::abs((*a)[i] - (*b)[i]));
    }
    entry.used = true;
  }
  return absl::OkStatus();
}

bool GoldenRecording::IsPadding(const std::string& name, size_t element, size_t count) const {
  const auto mask = tensors_.find("pad.attention_mask");
  if (!absl::StartsWith(name, "pad.") || mask == tensors_.end()) return false;
  const absl::Span<const int64_t> positions = mask->second.tensor.As<int64_t>();
  return !positions.empty() && positions.size() <= count &&
         positions[element / (count / positions.size())] == 0;
}

std::vector<std::string> GoldenRecording::Names(std::string_view prefix,
                                                std::string_view suffix) const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : tensors_) {
    const std::string_view view = name;
    if (view.starts_with(prefix) && view.ends_with(suffix)) names.push_back(name);
  }
  return names;
}

absl::StatusOr<std::vector<double>> GoldenRecording::Values(const std::string& name) {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) return NoSuchTensor(name);
  found->second.used = true;
  return found->second.tensor.ToDoubles();
}

absl::StatusOr<std::vector<int32_t>> GoldenRecording::Ids(const std::string& name) {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) return NoSuchTensor(name);
  const Tensor& tensor = found->second.tensor;
  if (tensor.dtype != DType::kI64) {
    return absl::InvalidArgumentError(absl::StrCat("expected.safetensors: ", name, " is not I64"));
  }
  found->second.used = true;
  std::vector<int32_t> ids;
  for (const int64_t id : tensor.As<int64_t>()) {
    if (id < 0 || id > std::numeric_limits<int32_t>::max()) {
      return absl::InvalidArgumentError(
          absl::StrCat("expected.safetensors: ", name, " holds ", id));
    }
    ids.push_back(static_cast<int32_t>(id));
  }
  return ids;
}

const std::vector<int64_t>& GoldenRecording::Shape(const std::string& name) const {
  return tensors_.at(name).tensor.shape;
}

std::optional<double> GoldenRecording::Float32Error(const std::string& kind) const {
  const auto found = float32_errors_.find(kind);
  if (found == float32_errors_.end()) return std::nullopt;
  return found->second;
}

bool GoldenRecording::IsSkipped(const std::string& kind) const {
  return std::none_of(tensors_.begin(), tensors_.end(), [&](const auto& entry) {
    return GoldenKind(entry.first) == kind && entry.second.skip_reason.empty();
  });
}

std::vector<GoldenSkip> GoldenRecording::skipped() const {
  std::vector<GoldenSkip> skipped;
  for (const auto& [name, entry] : tensors_) {
    if (!entry.skip_reason.empty()) skipped.push_back({name, entry.skip_reason});
  }
  return skipped;
}

std::vector<std::string> GoldenRecording::Unaccounted() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : tensors_) {
    if (!entry.used && entry.skip_reason.empty()) names.push_back(name);
  }
  return names;
}

}  // namespace crosscheck
