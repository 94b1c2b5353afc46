#include "quality/prompts.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "nlohmann/json.hpp"
#include "properties/stream.h"
#include "quality/default_prompts.h"
#include "quality/sha256.h"
#include "reference/json_input.h"
#include "reference/safetensors.h"

namespace crosscheck::quality {
namespace {

using Json = nlohmann::json;

constexpr int kMinTextTokens = 16;
constexpr int kMaxTextTokens = 128;
constexpr int kMostTokens = 1'000'000;  // of a continuation: beyond every context
constexpr char kMessages[] =
    "\"messages\" is not read: render the conversation once with the model's own template, in "
    "Transformers tokenizer.apply_chat_template(messages, tokenize=False, "
    "add_generation_prompt=True), and give the result as \"text\" with \"template\": \"given\"";

absl::Status Wrong(std::string_view what) {
  return absl::InvalidArgumentError(absl::string_view(what.data(), what.size()));
}

absl::Status WrongType(std::string_view key, std::string_view expected) {
  return Wrong(absl::StrCat("\"", std::string(key), "\": expected ", std::string(expected)));
}

absl::Status ReadString(const Json& value, std::string_view key, std::string* out) {
  if (!value.is_string()) return WrongType(key, "a string");
  *out = value.get<std::string>();
  return absl::OkStatus();
}

absl::Status ReadId(const Json& value, Prompt* prompt) {
  if (absl::Status status = ReadString(value, "id", &prompt->id); !status.ok()) return status;
  const bool printable = std::none_of(prompt->id.begin(), prompt->id.end(),
                                      [](unsigned char c) { return absl::ascii_iscntrl(c); });
  return !prompt->id.empty() && printable ? absl::OkStatus()
                                          : WrongType("id", "text without control characters");
}

absl::Status ReadText(const Json& value, Prompt* prompt) {
  if (absl::Status status = ReadString(value, "text", &prompt->text); !status.ok()) return status;
  return prompt->text.empty() ? WrongType("text", "a text that is not empty") : absl::OkStatus();
}

absl::Status ReadIds(const Json& value, Prompt* prompt) {
  if (!value.is_array() || value.empty()) return WrongType("ids", "a list of token ids, not empty");
  for (const Json& id : value) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > std::numeric_limits<int32_t>::max()) {
      return WrongType(
          "ids", absl::StrCat("whole numbers from 0 to ", std::numeric_limits<int32_t>::max()));
    }
    prompt->ids.push_back(id.get<int32_t>());
  }
  return absl::OkStatus();
}

absl::Status ReadMaxTokens(const Json& value, Prompt* prompt) {
  const bool fits = value.is_number_unsigned() && value.get<uint64_t>() >= 1 &&
                    value.get<uint64_t>() <= kMostTokens;
  if (!fits) return WrongType("max_tokens", absl::StrCat("a whole number from 1 to ", kMostTokens));
  prompt->max_tokens = value.get<int>();
  return absl::OkStatus();
}

absl::Status ReadTemplate(const Json& value, Prompt* prompt) {
  const auto* found = std::find(std::begin(kPromptTemplateNames), std::end(kPromptTemplateNames),
                                value.is_string() ? value.get<std::string>() : "");
  if (found == std::end(kPromptTemplateNames)) {
    return WrongType("template", R"("none" (plain text) or "given" (rendered by a template))");
  }
  prompt->chat_template = static_cast<PromptTemplate>(found - std::begin(kPromptTemplateNames));
  return absl::OkStatus();
}

absl::Status ReadStop(const Json& value, Prompt* prompt) {
  const auto text = [](const Json& item) {
    return item.is_string() && !item.get_ref<const std::string&>().empty();
  };
  if (!value.is_array() || !std::all_of(value.begin(), value.end(), text)) {
    return WrongType("stop", "a list of texts that are not empty");
  }
  prompt->stop = value.get<std::vector<std::string>>();
  return absl::OkStatus();
}

struct Field {
  std::string_view key;
  absl::Status (*read)(const Json&, Prompt*);
};
constexpr Field kFields[] = {
    {"id", ReadId},
    {"kind", [](const Json& v, Prompt* p) { return ReadString(v, "kind", &p->kind); }},
    {"text", ReadText},
    {"ids", ReadIds},
    {"max_tokens", ReadMaxTokens},
    {"template", ReadTemplate},
    {"stop", ReadStop},
    {"reference",
     [](const Json& v, Prompt* p) { return ReadString(v, "reference", &p->reference.emplace()); }},
    {"messages", [](const Json&, Prompt*) { return Wrong(kMessages); }},
};

absl::Status UnknownKey(const std::string& key) {
  const auto name = [](std::string* out, const Field& field) { out->append(field.key); };
  return Wrong(absl::StrCat("unknown key \"", key, "\"; known: ",
                            absl::StrJoin(std::begin(kFields), std::end(kFields) - 1, ", ", name)));
}

absl::StatusOr<Prompt> ReadLine(std::string_view line) {
  const absl::StatusOr<Json> json = ParseJson(line);
  if (!json.ok()) return json.status();
  if (!json->is_object()) return Wrong("expected one JSON object a line");
  if (HasRepeatedKey(line, *json)) return Wrong("a key occurs twice");
  Prompt prompt;
  for (const auto& item : json->items()) {
    const auto* field = std::find_if(std::begin(kFields), std::end(kFields),
                                     [&](const Field& f) { return f.key == item.key(); });
    if (field == std::end(kFields)) return UnknownKey(item.key());
    if (absl::Status status = field->read(item.value(), &prompt); !status.ok()) return status;
  }
  if (prompt.id.empty()) return Wrong("there is no \"id\"");
  if (prompt.text.empty() && prompt.ids.empty()) return Wrong("neither \"text\" nor \"ids\"");
  return prompt;
}

}  // namespace

absl::StatusOr<std::vector<Prompt>> ParsePrompts(std::string_view lines, std::string_view source) {
  std::vector<Prompt> prompts;
  std::set<std::string> seen;
  int number = 0;
  for (const absl::string_view piece :
       absl::StrSplit(absl::string_view(lines.data(), lines.size()), '\n')) {
    ++number;
    const absl::string_view line = absl::StripAsciiWhitespace(piece);
    if (line.empty()) continue;
    const auto at = [&](std::string_view what) {
      return Wrong(absl::StrCat(std::string(source), ":", number, ": ", std::string(what)));
    };
    absl::StatusOr<Prompt> prompt = ReadLine(std::string_view(line.data(), line.size()));
    if (!prompt.ok()) return at(std::string(prompt.status().message()));
    if (!seen.insert(prompt->id).second) return at("the id \"" + prompt->id + "\" occurs twice");
    prompts.push_back(*std::move(prompt));
  }
  if (prompts.empty()) {
    return Wrong(absl::StrCat(std::string(source),
                              ": no prompt; expected JSON Lines such as {\"id\": \"a\", \"text\": "
                              "\"Once upon a time\"}"));
  }
  return prompts;
}

absl::StatusOr<std::vector<Prompt>> ReadPrompts(const std::string& path) {
  const absl::StatusOr<std::string> bytes = ReadFile(path);
  if (!bytes.ok()) return bytes.status();
  return ParsePrompts(*bytes, path);
}

std::string_view DefaultPromptLines() { return kDefaultPrompts; }

absl::StatusOr<std::vector<Prompt>> DefaultPrompts() {
  return ParsePrompts(DefaultPromptLines(), "default.jsonl");
}

std::string PromptLine(const Prompt& prompt) {
  nlohmann::ordered_json json = {{"id", prompt.id}, {"kind", prompt.kind}};
  if (!prompt.text.empty()) json["text"] = prompt.text;
  if (!prompt.ids.empty()) json["ids"] = prompt.ids;
  if (prompt.max_tokens > 0) json["max_tokens"] = prompt.max_tokens;
  json["template"] = kPromptTemplateNames[static_cast<size_t>(prompt.chat_template)];
  if (!prompt.stop.empty()) json["stop"] = prompt.stop;
  if (prompt.reference.has_value()) json["reference"] = *prompt.reference;
  return json.dump();
}

std::string PromptLines(absl::Span<const Prompt> prompts) {
  std::string lines;
  for (const Prompt& prompt : prompts) absl::StrAppend(&lines, PromptLine(prompt), "\n");
  return lines;
}

std::string HashOfPrompts(absl::Span<const Prompt> prompts) {
  std::string text;
  for (const Prompt& prompt : prompts) {
    absl::StrAppend(&text, prompt.id, ":", absl::StrJoin(prompt.ids, ","), "\n");
  }
  return Sha256(text);
}

absl::StatusOr<std::vector<Prompt>> TextPrompts(absl::Span<const int32_t> ids, int count,
                                                uint64_t seed) {
  const int64_t places = static_cast<int64_t>(ids.size()) - kMinTextTokens + 1;
  if (places < count) {
    return Wrong(absl::StrCat("a text of ", ids.size(), " tokens has ",
                              std::max<int64_t>(places, 0), " pieces of ", kMinTextTokens,
                              " tokens or more; ", count, " are wanted: give a longer text"));
  }
  std::vector<Prompt> prompts;
  std::set<int64_t> taken;
  Stream stream(seed, "text prompts");
  for (int i = 0; i < count; ++i) {
    int64_t begin = stream.Int(0, places - 1);
    while (!taken.insert(begin).second) begin = (begin + 1) % places;
    const int64_t length = std::min(stream.Int(kMinTextTokens, kMaxTextTokens),
                                    static_cast<int64_t>(ids.size()) - begin);
    const auto piece = ids.subspan(static_cast<size_t>(begin), static_cast<size_t>(length));
    Prompt prompt;
    prompt.id = absl::StrCat("text-", i);
    prompt.kind = "text";
    prompt.ids.assign(piece.begin(), piece.end());
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

}  // namespace crosscheck::quality
