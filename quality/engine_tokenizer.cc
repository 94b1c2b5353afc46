#include "quality/engine_tokenizer.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "reference/safetensors.h"

namespace crosscheck::quality {
namespace {

constexpr size_t kBatchBytes = 1 << 19;  // of texts in one message
constexpr size_t kMostBytes = 4 << 20;   // of one text: its ids must fit the head of an answer
constexpr size_t kShownIds = 8, kShownBytes = 60;

std::string Shown(const std::vector<int32_t>& ids, size_t at) {
  const size_t first = std::min(at, ids.size()), last = std::min(ids.size(), at + kShownIds);
  return absl::StrCat("[", CommaJoined(absl::MakeConstSpan(ids).subspan(first, last - first)),
                      last < ids.size() ? ",…]" : "]");
}

class Splits {
 public:
  explicit Splits(Side& side) : side_(side) {}

  // Texts of one kind, in messages of bounded size.
  absl::Status Add(std::vector<TwoSplits> texts, EncodeOptions options) {
    size_t most = kBatchBytes;
    for (size_t first = 0; first < texts.size();) {
      std::vector<std::string> batch;
      size_t bytes = 0, last = first;
      while (last < texts.size() && (batch.empty() || bytes + texts[last].text.size() < most)) {
        bytes += texts[last].text.size();
        batch.push_back(texts[last++].text);
      }
      auto ids = side_.Encode(batch, options);
      if (absl::IsUnimplemented(ids.status()) && batch.size() > 1) {
        most = 0;  // one of these texts is not served: ask for each alone
        continue;
      }
      if (!ids.ok() && !absl::IsUnimplemented(ids.status())) return ids.status();
      for (size_t i = 0; ids.ok() && i < batch.size(); ++i) {
        texts[first + i].engine = std::move((*ids)[i]);
        all_.push_back(std::move(texts[first + i]));
      }
      if (!ids.ok()) unserved_ = std::string(ids.status().message());
      first = last;
    }
    return absl::OkStatus();
  }

  const std::vector<TwoSplits>& all() const { return all_; }
  const std::string& unserved() const { return unserved_; }  // why a text has no ids; "": all have

 private:
  Side& side_;
  std::vector<TwoSplits> all_;
  std::string unserved_;
};

absl::Status AskAll(const Inputs& inputs, const std::string& text_file, Splits& splits) {
  for (const PromptTemplate kind : {PromptTemplate::kNone, PromptTemplate::kGiven}) {
    std::vector<TwoSplits> texts;
    for (const Prompt& prompt : inputs.prompts) {
      if (prompt.text.empty() || prompt.chat_template != kind) continue;
      texts.push_back({absl::StrCat("prompt \"", prompt.id, "\""), prompt.text, prompt.ids, {}});
    }
    absl::Status asked =
        splits.Add(std::move(texts), kind == PromptTemplate::kGiven ? kRenderedText : kPlainText);
    if (!asked.ok()) return asked;
  }
  if (text_file.empty()) return absl::OkStatus();
  auto text = ReadFile(text_file);
  if (!text.ok()) return text.status();
  if (text->size() > kMostBytes) {
    return absl::UnimplementedError("the text is too long for one message");
  }
  return splits.Add({{"the text", *std::move(text), inputs.text, {}}}, kCorpusText);
}

}  // namespace

std::vector<Finding> FindingsOfSplits(const std::vector<TwoSplits>& splits) {
  int different = 0;
  std::string first;
  for (const TwoSplits& split : splits) {
    // A comparison may use the beginning of a text.
    const bool text = split.name == "the text" && split.engine.size() > split.reference.size();
    const auto end = text ? split.engine.begin() + static_cast<ptrdiff_t>(split.reference.size())
                          : split.engine.end();
    const auto [ours, theirs] =
        std::mismatch(split.reference.begin(), split.reference.end(), split.engine.begin(), end);
    if (ours == split.reference.end() && theirs == end) continue;
    if (different++ > 0) continue;
    const auto at = static_cast<size_t>(ours - split.reference.begin());
    first = absl::StrCat(split.name, ", ",
                         Json(split.text.substr(0, kShownBytes))
                             .dump(-1, ' ', false, Json::error_handler_t::replace),
                         ", from token ", at, " on ", Shown(split.reference, at), " and ",
                         Shown(split.engine, at));
  }
  if (different == 0) return {};
  return {{"tokenizer", absl::StrCat("the engine's tokenizer makes other ids of ", different,
                                     " of ", splits.size(), " texts; the first: ", first)}};
}

absl::Status CompareTokenizers(Side& side, const Inputs& inputs, const std::string& text_file,
                               ConfigurationResult& result) {
  if (inputs.decoder == nullptr) return absl::OkStatus();  // ids alone: nothing to make
  Splits splits(side);
  absl::Status asked = AskAll(inputs, text_file, splits);
  std::string unserved = splits.unserved();
  if (absl::IsUnimplemented(asked)) unserved = std::string(asked.message());
  if (!asked.ok() && !absl::IsUnimplemented(asked)) return asked;
  if (!unserved.empty()) {
    result.skips.push_back(
        {absl::StrCat("the engine's tokenizer beside ", splits.all().size(), " texts"), unserved});
  }
  for (Finding& finding : FindingsOfSplits(splits.all())) {
    result.findings.push_back(std::move(finding));
  }
  return absl::OkStatus();
}

}  // namespace crosscheck::quality
