#include "quality/stop_text.h"

#include <algorithm>
#include <iterator>
#include <vector>

namespace crosscheck::quality {

int32_t EndCode(std::string_view name) {
  const auto* found = std::find(std::begin(kEndNames), std::end(kEndNames), name);
  return static_cast<int32_t>(found - std::begin(kEndNames));
}

std::string_view EndName(int32_t code) {
  const bool known = code >= 0 && code < static_cast<int32_t>(std::size(kEndNames));
  return kEndNames[known ? static_cast<size_t>(code) : 1];
}

absl::Status EndAtStopText(Tokenizer* tokenizer, absl::Span<const std::string> stop,
                           Generated& generated) {
  if (stop.empty() || generated.ids.empty()) return absl::OkStatus();
  if (tokenizer == nullptr) {
    return absl::FailedPreconditionError("\"stop\" needs the model's tokenizer.json");
  }
  std::vector<std::vector<int32_t>> beginnings;
  for (auto end = generated.ids.begin() + 1; end <= generated.ids.end(); ++end) {
    beginnings.emplace_back(generated.ids.begin(), end);
  }
  const auto texts = tokenizer->DecodeAll(beginnings);
  if (!texts.ok()) return texts.status();
  for (size_t i = 0; i < texts->size(); ++i) {
    const bool ends = std::any_of(stop.begin(), stop.end(), [&](const std::string& text) {
      return (*texts)[i].find(text) != std::string::npos;
    });
    if (!ends) continue;
    generated.ids = std::move(beginnings[i]);
    generated.stop = "stop";
    break;
  }
  return absl::OkStatus();
}

}  // namespace crosscheck::quality
