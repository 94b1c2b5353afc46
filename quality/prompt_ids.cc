#include "quality/prompt_ids.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace crosscheck::quality {
namespace {

constexpr size_t kShownPrompts = 5;
constexpr size_t kShownTokens = 6;

// Tokens from the first difference on, each with its text: 1022 "<|im_start|>", 536 "user".
absl::StatusOr<std::string> Shown(Tokenizer& tokenizer, absl::Span<const int32_t> ids, size_t at) {
  std::vector<std::vector<int32_t>> single;
  for (size_t i = at; i < ids.size() && i < at + kShownTokens; ++i) single.push_back({ids[i]});
  if (single.empty()) return std::string("the end");
  const auto texts = tokenizer.DecodeAll(single);
  if (!texts.ok()) return texts.status();
  std::vector<std::string> tokens;
  tokens.reserve(single.size());
  for (size_t i = 0; i < single.size(); ++i) {
    tokens.push_back(absl::StrCat(single[i].front(), " ", Json((*texts)[i]).dump()));
  }
  return absl::StrJoin(tokens, ", ");
}

absl::Status Disagreement(Tokenizer& tokenizer, const Prompt& prompt,
                          const std::vector<int32_t>& made) {
  const auto differs =
      std::mismatch(made.begin(), made.end(), prompt.ids.begin(), prompt.ids.end());
  const auto at = static_cast<size_t>(differs.first - made.begin());
  const auto of_text = Shown(tokenizer, made, at);
  const auto given = Shown(tokenizer, prompt.ids, at);
  if (!of_text.ok()) return of_text.status();
  if (!given.ok()) return given.status();
  return absl::InvalidArgumentError(
      absl::StrCat("prompt \"", prompt.id, "\": its text and its ids differ from token ", at,
                   " on: the tokenizer says ", *of_text, "; the prompt says ", *given,
                   ". Another tokenizer, or \"template\" is not what made the ids"));
}

absl::Status EncodeKind(Tokenizer& tokenizer, PromptTemplate kind, std::vector<Prompt>* prompts) {
  std::vector<std::string> texts;
  std::vector<Prompt*> owners;
  for (Prompt& prompt : *prompts) {
    if (prompt.chat_template != kind || prompt.text.empty()) continue;
    texts.push_back(prompt.text);
    owners.push_back(&prompt);
  }
  auto all =
      tokenizer.EncodeAll(texts, kind == PromptTemplate::kGiven ? kRenderedText : kPlainText);
  if (!all.ok()) return all.status();
  for (size_t i = 0; i < owners.size(); ++i) {
    Prompt& prompt = *owners[i];
    std::vector<int32_t>& ids = (*all)[i];
    if (!prompt.ids.empty() && prompt.ids != ids) return Disagreement(tokenizer, prompt, ids);
    if (ids.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("prompt \"", prompt.id, "\": the tokenizer makes no token of its text"));
    }
    prompt.ids = std::move(ids);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status EncodePrompts(Tokenizer* tokenizer, std::vector<Prompt>* prompts) {
  if (tokenizer == nullptr) {
    for (const Prompt& prompt : *prompts) {
      if (!prompt.ids.empty()) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("prompt \"", prompt.id, "\" has no ids, and there is no tokenizer"));
    }
    return absl::OkStatus();
  }
  for (const PromptTemplate kind : {PromptTemplate::kNone, PromptTemplate::kGiven}) {
    if (absl::Status status = EncodeKind(*tokenizer, kind, prompts); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status FitPrompts(int context, int vocab, bool truncate_left, std::vector<Prompt>* prompts) {
  std::vector<std::string> wrong;
  bool too_long = false;
  for (Prompt& prompt : *prompts) {
    const int64_t room = int64_t{context} - prompt.max_tokens;
    const auto length = static_cast<int64_t>(prompt.ids.size());
    const auto outside = std::find_if(prompt.ids.begin(), prompt.ids.end(),
                                      [&](int32_t id) { return id < 0 || id >= vocab; });
    if (outside != prompt.ids.end()) {
      wrong.push_back(absl::StrCat("\"", prompt.id, "\" has token ", *outside,
                                   ", the model's vocabulary is ", vocab));
    } else if (length > room && truncate_left && room > 0) {
      prompt.ids.erase(prompt.ids.begin(), prompt.ids.end() - room);
      prompt.text.clear();
    } else if (length > room) {
      too_long = true;
      wrong.push_back(absl::StrCat("\"", prompt.id, "\" has ", length, " tokens and asks for ",
                                   prompt.max_tokens, " more, the context is ", context));
    }
  }
  if (wrong.empty()) return absl::OkStatus();
  const size_t shown = std::min(wrong.size(), kShownPrompts);
  return absl::OutOfRangeError(
      absl::StrCat(wrong.size(), " of ", prompts->size(), " prompts do not fit the model: ",
                   absl::StrJoin(wrong.begin(), wrong.begin() + static_cast<int64_t>(shown), "; "),
                   shown < wrong.size() ? "; …" : "",
                   too_long ? ". --truncate-left drops the front of long ones" : ""));
}

}  // namespace crosscheck::quality
