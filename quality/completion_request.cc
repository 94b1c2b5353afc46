#include "quality/completion_request.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "reference/json_input.h"

namespace crosscheck::quality {
namespace {

using Json = nlohmann::json;

constexpr size_t kMostPrompts = 1024;
constexpr int kMostLogprobs = 5;  // the API's own limit
constexpr int kMostDepth = 4;

// Parameters with one value that is served, which is also what absence means.
struct Neutral {
  const char* name;
  Json value;
};
const std::vector<Neutral>& NeutralParameters() {
  static const auto* const parameters = new std::vector<Neutral>{{"n", 1},
                                                                 {"best_of", 1},
                                                                 {"stream", false},
                                                                 {"top_p", 1},
                                                                 {"presence_penalty", 0},
                                                                 {"frequency_penalty", 0},
                                                                 {"logit_bias", Json::object()},
                                                                 {"stop", Json::array()},
                                                                 {"suffix", ""}};
  return *parameters;
}

absl::Status Refused(const char* name, const Json& value, const std::string& served) {
  std::string shown = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (shown.size() > 60) shown = shown.substr(0, 60) + "...";
  return absl::InvalidArgumentError(absl::StrCat("\"", name, "\": ", shown, "; ", served));
}

bool IsTokenId(const Json& value) {
  return value.is_number_integer() && value >= 0 && value <= std::numeric_limits<int32_t>::max();
}

bool IsTokenList(const Json& value) {
  return value.is_array() && !value.empty() && std::all_of(value.begin(), value.end(), IsTokenId);
}

absl::Status ReadPrompt(const Json& value, std::vector<CompletionPrompt>& prompts) {
  constexpr char kServed[] =
      "served are token ids, a list of lists of them, a text, or a list of texts, none empty";
  const auto add = [&](const Json& one) {
    if (one.is_string() && !one.get_ref<const std::string&>().empty()) {
      prompts.emplace_back(one.get<std::string>());
      return true;
    }
    if (IsTokenList(one)) prompts.emplace_back(one.get<std::vector<int32_t>>());
    return IsTokenList(one);
  };
  if (add(value)) return absl::OkStatus();
  if (!value.is_array() || value.empty()) return Refused("prompt", value, kServed);
  if (value.size() > kMostPrompts) {
    return Refused("prompt", value.size(), absl::StrCat("at most ", kMostPrompts, " prompts"));
  }
  for (const Json& one : value) {
    if (!add(one)) return Refused("prompt", one, kServed);
  }
  return absl::OkStatus();
}

// What must be said: OpenAI's defaults are temperature 1 and 16 tokens.
absl::Status CheckGreedyToken(const Json& json) {
  const Json temperature = json.value("temperature", Json());
  if (!temperature.is_number() || temperature != 0) {
    return Refused("temperature", temperature, "only 0 is served, and it must be given");
  }
  const Json tokens = json.value("max_tokens", Json());
  if (!tokens.is_number_integer() || tokens != 1) {
    return Refused("max_tokens", tokens,
                   "only 1 is served, and it must be given: this endpoint "
                   "answers log-likelihoods and generates no text");
  }
  return absl::OkStatus();
}

absl::Status CheckOtherParameter(const std::string& name, const Json& value) {
  const auto& neutral = NeutralParameters();
  const auto found = std::find_if(neutral.begin(), neutral.end(),
                                  [&](const Neutral& parameter) { return parameter.name == name; });
  if (found == neutral.end()) {
    return Refused(name.c_str(), value, "there is no such parameter here");
  }
  if (value.is_null() || value == found->value) return absl::OkStatus();
  return Refused(name.c_str(), value, absl::StrCat("only ", found->value.dump(), " is served"));
}

absl::Status ReadParameter(const std::string& name, const Json& value, CompletionRequest& request) {
  if (name == "prompt") return ReadPrompt(value, request.prompts);
  if (name == "temperature" || name == "max_tokens") return absl::OkStatus();  // checked before
  if (name == "model" || name == "user") {  // there is one model, and greedy has no users
    return value.is_string() ? absl::OkStatus() : Refused(name.c_str(), value, "expected a string");
  }
  if (name == "seed") {
    return value.is_number_integer() || value.is_null()
               ? absl::OkStatus()
               : Refused("seed", value, "expected an integer");
  }
  if (name == "echo") {
    if (!value.is_boolean()) return Refused("echo", value, "expected true or false");
    request.echo = value.get<bool>();
    return absl::OkStatus();
  }
  if (name == "logprobs") {
    if (value.is_null()) return absl::OkStatus();
    if (!value.is_number_integer() || value < 1 || value > kMostLogprobs) {
      return Refused("logprobs", value, absl::StrCat("served are 1 to ", kMostLogprobs));
    }
    request.logprobs = value.get<int>();
    return absl::OkStatus();
  }
  return CheckOtherParameter(name, value);
}

}  // namespace

absl::StatusOr<CompletionRequest> ParseCompletionRequest(std::string_view body) {
  const auto json = ParseJson(body);
  if (!json.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the body is no JSON: ", std::string(json.status().message())));
  }
  if (!json->is_object()) return absl::InvalidArgumentError("the body is no JSON object");
  if (JsonDepth(body) > kMostDepth) return absl::InvalidArgumentError("the body nests too deeply");
  if (HasRepeatedKey(body, *json)) return absl::InvalidArgumentError("a parameter is given twice");
  CompletionRequest request;
  for (const auto& [name, value] : json->items()) {
    if (absl::Status status = ReadParameter(name, value, request); !status.ok()) return status;
  }
  if (absl::Status status = CheckGreedyToken(*json); !status.ok()) return status;
  if (request.prompts.empty()) return Refused("prompt", Json(), "it is missing");
  return request;
}

}  // namespace crosscheck::quality
