#include "fuzz/request_prompts.h"

#include <map>
#include <string>
#include <utility>

namespace crosscheck {
namespace {

std::vector<int32_t> IdsOf(const Json& holder) {
  const auto ids = holder.find("ids");
  std::vector<int32_t> kept;
  if (ids == holder.end() || !ids->is_array()) return kept;
  const Json mask = holder.value("mask", Json::array());
  for (size_t i = 0; i < ids->size(); ++i) {
    const bool masked = i < mask.size() && mask[i] == 0;
    if (!masked && (*ids)[i].is_number_integer()) kept.push_back((*ids)[i].get<int32_t>());
  }
  return kept;
}

}  // namespace

std::vector<RequestPrompt> PromptsOf(const Json& head) {
  std::vector<RequestPrompt> prompts;
  const auto add = [&prompts](std::vector<int32_t> ids, int generate) {
    if (!ids.empty()) prompts.push_back({std::move(ids), generate});
  };
  for (const Json& sequence : head.value("sequences", Json::array())) add(IdsOf(sequence), 0);
  const Json limit = head.value("max_tokens", Json(0));
  add(IdsOf(head), limit.is_number_integer() ? limit.get<int>() : 0);
  std::map<std::string, std::vector<int32_t>> fed;
  for (const Json& step : head.value("steps", Json::array())) {
    if (!step.is_object()) continue;
    std::vector<int32_t>& ids = fed[step.value("sequence", Json()).dump()];
    const std::vector<int32_t> more = IdsOf(step);
    ids.insert(ids.end(), more.begin(), more.end());
    if (const auto id = step.find("id"); id != step.end() && id->is_number_integer()) {
      ids.push_back(id->get<int32_t>());
    }
  }
  for (auto& [sequence, ids] : fed) add(std::move(ids), 0);
  return prompts;
}

}  // namespace crosscheck
