// Faults of adapters (LoRA). Name, what makes it show, the smallest case:
// - lora_alpha: B is not zero and rank is 2 or more; 1 layer, 1 token
// - lora_module: an update of up_proj with B not zero; 1 layer, 1 token
// - lora_ignored: B is not zero; 1 layer, 1 token
// - lora_stays: a request that does not use the adapter, B not zero; 1 layer, 1 token
#include "reference/adapter.h"

#include <algorithm>
#include <string>

#include "engines/faults/fault.h"

namespace crosscheck {
namespace {

// Puts an edited copy of the adapter beside the one that is to be loaded.
template <class Edit>
void EditAdapter(const Model& model, Json& options, Edit edit) {
  const std::string folder = options.value("adapter", "");
  if (folder.empty()) return;
  auto updates = ReadAdapter(model.spec, folder);
  if (!updates.ok()) return;  // the inner engine's to refuse
  for (LowRankUpdate& update : *updates) edit(update);
  const std::string edited = folder + "-faulty";
  if (WriteAdapter(*updates, edited).ok()) options["adapter"] = edited;
}

// The scale is alpha instead of alpha / rank.
void LoraAlpha(Model& model, Json& options) {
  EditAdapter(model, options, [](LowRankUpdate& update) { update.alpha *= update.rank; });
}

// One projection has no place where the adapter is applied.
void LoraModule(Model& model, Json& options) {
  EditAdapter(model, options, [](LowRankUpdate& update) {
    if (update.name.find("up_proj") == std::string::npos) return;
    std::fill(update.b.begin(), update.b.end(), 0.0F);
  });
}

void LoraIgnored(Model&, Json& options) { options.erase("adapter"); }

Reply LoraStays(Engine& inner, const Message& request, const ModelSpec&) {
  Message edited = request;
  edited.head.erase("adapter");
  return inner.Call(edited);
}

constexpr Fault kFaults[] = {
    {"lora_alpha", nullptr, nullptr, "", LoraAlpha},
    {"lora_module", nullptr, nullptr, "", LoraModule},
    {"lora_ignored", nullptr, nullptr, "", LoraIgnored},
    {"lora_stays", LoraStays},
};

}  // namespace

absl::Span<const Fault> AdapterFaults() { return kFaults; }

}  // namespace crosscheck
