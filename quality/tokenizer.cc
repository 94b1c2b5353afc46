#include "quality/tokenizer.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engines/host_client.h"
#include "quality/sha256.h"
#include "quality/utf8.h"
#include "reference/json_input.h"
#include "reference/safetensors.h"

namespace crosscheck::quality {
namespace {

constexpr char kProgram[] = "crosscheck-oracle";
constexpr size_t kMostBytes = 4 << 20;   // of one text: the ids must fit the head of an answer
constexpr size_t kBatchBytes = 1 << 19;  // of several texts in one message
constexpr size_t kBatchIds = 1 << 17;    // of several sequences in one message

// What tokenizers differ on: case, digits, spaces, line ends, scripts, combining marks, bytes.
constexpr std::string_view kFingerprintTexts[] = {
    "The quick brown fox jumps over 13 lazy dogs.",
    "def f(x):\n    return {\"a\": [x, 1_000, 0x1F]}\n\n\n",
    "  two  spaces\tand\ttabs \r\n \n",
    "1234567890 3.14159 1e-9 12:34:56",
    "don't we'll I'VE they'd",
    "naïve café e\xCC\x81 Ångström ﬁ ½",
    "你好，世界。こんにちは 안녕하세요",
    "Привет नमस्ते שלום مرحبا",
    "🙂👩‍👩‍👧‍👦🇩🇪 \xEF\xBF\xBD \xE2\x80\x8B",
    "<s></s><|endoftext|><|im_start|>[INST]<unk>",
};

// Beside this program or, for test programs, one folder up; "" when it was not built.
std::string FindOracle() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  for (const auto& folder : {self, self.parent_path()}) {
    if (std::filesystem::exists(folder / kProgram, error)) return (folder / kProgram).string();
  }
  return "";
}

absl::StatusOr<Message> Ask(Engine& oracle, Json head) {
  Message request;
  request.head = std::move(head);
  Reply reply = oracle.Call(request);
  if (reply.ok()) return std::move(reply.message);
  const auto code = reply.failure->kind == FailureKind::kRefused
                        ? absl::StatusCode::kInvalidArgument
                        : absl::StatusCode::kInternal;
  return absl::Status(
      code, absl::StrCat("tokenizer: ", reply.failure->message, " ", reply.failure->stderr_tail));
}

absl::Status Unexpected(const char* field) {
  return absl::InternalError(
      absl::StrCat("tokenizer: ", kProgram, " answered no proper \"", field, "\""));
}

// The texts or sequences [first, last) of which the sizes add up to at most `most`, one at least.
template <class Items>
size_t BatchEnd(const Items& items, size_t first, size_t most) {
  size_t last = first, total = 0;
  do {
    total += items[last++].size();
  } while (last < items.size() && total + items[last].size() <= most);
  return last;
}

// "eos_token": "text", or {"content": "text", …} as older versions of Transformers wrote it.
std::string TokenText(const Json& config, const char* key) {
  const auto found = config.find(key);
  if (found == config.end()) return "";
  const Json& text =
      found->is_object() && found->contains("content") ? found->at("content") : *found;
  return text.is_string() ? text.get<std::string>() : "";
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> Tokenizer::Load(const std::string& folder) {
  std::error_code error;
  if (!std::filesystem::exists(std::filesystem::path(folder) / "tokenizer.json", error)) {
    return absl::NotFoundError(absl::StrCat(
        folder,
        " has no tokenizer.json: copy it from the model's repository, or give every prompt "
        "as \"ids\" (docs/prompts.md)"));
  }
  const std::string program = FindOracle();
  if (program.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("text needs the program ", kProgram,
                     ", which was not built: install cargo 1.93 or newer "
                     "(rustup.rs), configure again and build, or give every prompt as \"ids\""));
  }
  auto oracle = HostClient::Start({.engine = "cmd:'" + program + "'", .deadline_seconds = 120});
  if (!oracle.ok()) return oracle.status();
  std::unique_ptr<Tokenizer> tokenizer(new Tokenizer(*std::move(oracle)));
  if (absl::Status status = tokenizer->Open(folder); !status.ok()) return status;
  return tokenizer;
}

absl::Status Tokenizer::Open(const std::string& folder) {
  const std::string path = std::filesystem::absolute(folder) / "tokenizer.json";
  absl::StatusOr<std::string> sha256 = Sha256OfFile(path);
  if (!sha256.ok()) return sha256.status();
  sha256_ = *std::move(sha256);
  const auto answer = Ask(*oracle_, {{"op", "load_tokenizer"}, {"path", path}});
  if (!answer.ok()) return answer.status();
  const Json& head = answer->head;
  if (!head.contains("tokenizer") || !head["tokenizer"].is_string()) return Unexpected("tokenizer");
  if (!head.contains("size") || !head["size"].is_number_unsigned()) return Unexpected("size");
  if (!head.contains("added") || !head["added"].is_array()) return Unexpected("added");
  name_ = head["tokenizer"].get<std::string>();
  size_ = head["size"].get<int>();
  for (const Json& token : head["added"]) {
    if (token.value("special", false)) special_[token.value("content", "")] = token.value("id", -1);
  }
  return ReadSpecialTokens(folder);
}

absl::Status Tokenizer::ReadSpecialTokens(const std::string& folder) {
  const std::filesystem::path path = std::filesystem::path(folder) / "tokenizer_config.json";
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return absl::OkStatus();
  const absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return text.status();
  const absl::StatusOr<Json> config = ParseJson(*text);
  if (!config.ok() || !config->is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path.string(), ": ",
                     config.ok() ? "expected an object" : std::string(config.status().message())));
  }
  for (const auto& [key, id] : {std::pair("bos_token", &bos_), std::pair("eos_token", &eos_)}) {
    const auto found = special_.find(TokenText(*config, key));
    if (found != special_.end()) *id = found->second;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::vector<int32_t>>> Tokenizer::EncodeAll(
    absl::Span<const std::string> texts, EncodeOptions options) {
  for (size_t i = 0; i < texts.size(); ++i) {
    absl::Status status = CheckUtf8(texts[i], absl::StrCat("text ", i, " of ", texts.size()));
    if (!status.ok()) return status;
  }
  std::vector<std::vector<int32_t>> all;
  for (size_t first = 0; first < texts.size();) {
    if (texts[first].size() > kMostBytes) {
      return absl::InvalidArgumentError(absl::StrCat("a text of ", texts[first].size(),
                                                     " bytes: at most ", kMostBytes,
                                                     " are tokenised at once; give a shorter one"));
    }
    const size_t last = BatchEnd(texts, first, kBatchBytes);
    const auto answer = Ask(
        *oracle_, {{"op", "encode"},
                   {"tokenizer", name_},
                   {"texts", std::vector<std::string>(texts.begin() + first, texts.begin() + last)},
                   {"special", options.parse_special ? "parsed" : "plain"},
                   {"add_special_tokens", options.add_special_tokens}});
    if (!answer.ok()) return answer.status();
    const auto ids = answer->head.find("ids");
    if (ids == answer->head.end() || ids->size() != last - first) return Unexpected("ids");
    for (const Json& sequence : *ids) {
      const auto whole = [](const Json& id) { return id.is_number_unsigned(); };
      if (!sequence.is_array() || !std::all_of(sequence.begin(), sequence.end(), whole)) {
        return Unexpected("ids");
      }
      all.push_back(sequence.get<std::vector<int32_t>>());
    }
    first = last;
  }
  return all;
}

absl::StatusOr<std::vector<int32_t>> Tokenizer::Encode(const std::string& text,
                                                       EncodeOptions options) {
  auto all = EncodeAll({text}, options);
  if (!all.ok()) return all.status();
  return std::move(all->front());
}

absl::StatusOr<std::vector<std::string>> Tokenizer::DecodeAll(
    absl::Span<const std::vector<int32_t>> sequences) {
  std::vector<std::string> texts;
  for (size_t first = 0; first < sequences.size();) {
    const size_t last = BatchEnd(sequences, first, kBatchIds);
    Json ids = Json::array();
    for (size_t i = first; i < last; ++i) ids.push_back(sequences[i]);
    const auto answer =
        Ask(*oracle_, {{"op", "decode"}, {"tokenizer", name_}, {"ids", std::move(ids)}});
    if (!answer.ok()) return answer.status();
    const auto found = answer->head.find("texts");
    if (found == answer->head.end() || found->size() != last - first) return Unexpected("texts");
    for (const Json& text : *found) {
      if (!text.is_string()) return Unexpected("texts");
      texts.push_back(text.get<std::string>());
    }
    first = last;
  }
  return texts;
}

absl::StatusOr<std::string> Tokenizer::Decode(const std::vector<int32_t>& ids) {
  auto texts = DecodeAll({ids});
  if (!texts.ok()) return texts.status();
  return std::move(texts->front());
}

absl::StatusOr<std::string> Tokenizer::Fingerprint() {
  const std::vector<std::string> texts(std::begin(kFingerprintTexts), std::end(kFingerprintTexts));
  std::string lines;
  for (const EncodeOptions options : {kPlainText, kRenderedText}) {
    const auto all = EncodeAll(texts, options);
    if (!all.ok()) return all.status();
    for (const std::vector<int32_t>& ids : *all) absl::StrAppend(&lines, CommaJoined(ids), "\n");
  }
  return Sha256(lines);
}

std::string CommaJoined(absl::Span<const int32_t> ids) { return absl::StrJoin(ids, ","); }

}  // namespace crosscheck::quality
