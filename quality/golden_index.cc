#include "quality/golden_index.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "reference/error_bound.h"
#include "reference/json_input.h"
#include "reference/safetensors.h"

namespace crosscheck::quality {
namespace {

std::string PathOf(const std::string& folder) { return folder + "/golden.json"; }

// Whether `json` has the member `key` with the type of `value`, which it then becomes.
template <class T>
bool Take(const Json& json, const char* key, T& value) {
  const auto found = json.find(key);
  if (found == json.end()) return false;
  if constexpr (std::is_same_v<T, std::string>) {
    if (!found->is_string()) return false;
  } else if (!found->is_number()) {
    return false;
  }
  value = found->get<T>();
  return true;
}

bool TakePrompt(const Json& json, GoldenPrompt& prompt) {
  if (!json.is_object() || !Take(json, "id", prompt.id)) return false;
  if (json.contains("text") && !Take(json, "text", prompt.text)) return false;
  const auto errors = json.find("reference_error");
  if (errors == json.end() || !errors->is_object()) return false;
  for (size_t i = 0; i < kGoldenMeasures; ++i) {
    if (!Take(*errors, std::string(kGoldenMeasureNames[i]).c_str(), prompt.reference_error[i])) {
      return false;
    }
  }
  return true;
}

}  // namespace

GoldenDistance GoldenIndex::Allowed(const GoldenPrompt& prompt, double largest) const {
  GoldenDistance allowed{};
  for (size_t i = 0; i < kGoldenMeasures; ++i) {
    allowed[i] = sides() * (kReferenceMultiplier * kLuck * prompt.reference_error[i] +
                            kFloorUlps * Ulp(DType::kF32, largest));
  }
  return allowed;
}

absl::Status WriteGoldenIndex(const GoldenIndex& index, const std::string& folder) {
  Json prompts = Json::array();
  for (const GoldenPrompt& prompt : index.prompts) {
    Json entry = {{"id", prompt.id}, {"reference_error", Json::object()}};
    if (!prompt.text.empty()) entry["text"] = prompt.text;
    for (size_t i = 0; i < kGoldenMeasures; ++i) {
      entry["reference_error"][std::string(kGoldenMeasureNames[i])] = prompt.reference_error[i];
    }
    prompts.push_back(std::move(entry));
  }
  const Json json = {
      {"format", kGoldenFormat},
      {"model", index.model},
      {"engine", index.engine},
      {"reference_error_of", {{"engine", index.error_engine}, {"from", index.exact_engine}}},
      {"prompts", std::move(prompts)}};
  return WriteFile(PathOf(folder), json.dump(1) + "\n");
}

absl::StatusOr<GoldenIndex> ReadGoldenIndex(const std::string& folder) {
  const std::string path = PathOf(folder);
  const auto text = ReadFile(path);
  if (!text.ok()) return absl::NotFoundError(absl::StrCat(folder, " holds no golden.json"));
  const auto json = ParseJson(*text);
  if (!json.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", std::string(json.status().message())));
  }
  GoldenIndex index;
  const auto lacks = [&](const char* what) {
    return absl::InvalidArgumentError(absl::StrCat(path, " has no proper ", what));
  };
  if (!json->is_object() || json->value("format", Json()) != Json(kGoldenFormat)) {
    return lacks("\"format\": it is no recorded golden");
  }
  if (!Take(*json, "model", index.model)) return lacks("\"model\"");
  if (!Take(*json, "engine", index.engine)) return lacks("\"engine\"");
  const Json of = json->value("reference_error_of", Json());
  if (!of.is_object() || !Take(of, "engine", index.error_engine) ||
      !Take(of, "from", index.exact_engine)) {
    return lacks("\"reference_error_of\"");
  }
  const Json prompts = json->value("prompts", Json());
  if (!prompts.is_array() || prompts.empty()) return lacks("\"prompts\"");
  for (const Json& entry : prompts) {
    GoldenPrompt prompt;
    if (!TakePrompt(entry, prompt)) return lacks("prompt");
    index.prompts.push_back(std::move(prompt));
  }
  return index;
}

bool IsRecordedGolden(const std::string& folder) {
  const auto text = ReadFile(PathOf(folder));
  const auto json = text.ok() ? ParseJson(*text) : text.status();
  return json.ok() && json->is_object() && json->value("format", Json()) == Json(kGoldenFormat);
}

}  // namespace crosscheck::quality
