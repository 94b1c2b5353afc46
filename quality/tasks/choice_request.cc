#include "quality/tasks/choice_request.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace crosscheck::quality {
namespace {

// lm-evaluation-harness parses special strings and adds no special tokens.
constexpr EncodeOptions kTaskText = kRenderedText;

std::string WithoutTrailingSpace(const std::string& context) {
  return std::string(absl::StripTrailingAsciiWhitespace(context));
}

}  // namespace

absl::StatusOr<ChoiceRequest> SplitRequest(const std::vector<int32_t>& context_ids,
                                           const std::vector<int32_t>& whole_ids, int32_t first,
                                           int context) {
  ChoiceRequest request;
  request.ids = whole_ids;
  request.scored = static_cast<int>(whole_ids.size()) - static_cast<int>(context_ids.size());
  request.prefix = context_ids.size() <= whole_ids.size() &&
                   std::equal(context_ids.begin(), context_ids.end(), whole_ids.begin());
  if (request.scored < 1 || request.scored > context) {
    return absl::InvalidArgumentError(absl::StrCat("a choice of ", request.scored,
                                                   " tokens; from 1 to ", context,
                                                   " (the model's context) can be scored"));
  }
  if (context_ids.empty()) {
    if (first < 0) {
      return absl::InvalidArgumentError(
          "the context is empty, and tokenizer_config.json names neither a bos_token nor an "
          "eos_token to stand for it");
    }
    request.ids.insert(request.ids.begin(), first);
  }
  const auto most = static_cast<size_t>(context) + 1;  // the last id is predicted, not read
  request.truncated = request.ids.size() > most;
  if (request.truncated) {
    request.ids.erase(request.ids.begin(), request.ids.end() - static_cast<std::ptrdiff_t>(most));
  }
  return request;
}

absl::StatusOr<std::vector<ChoiceRequest>> TokeniseQuestions(Tokenizer& tokenizer,
                                                             absl::Span<const Question> questions,
                                                             int context) {
  std::vector<std::string> texts;  // of each question the context, then with each choice
  for (const Question& question : questions) {
    texts.push_back(WithoutTrailingSpace(question.context));
    for (const std::string& choice : question.choices) {
      texts.push_back(absl::StrCat(question.context, " ", choice));
    }
  }
  const auto ids = tokenizer.EncodeAll(texts, kTaskText);
  if (!ids.ok()) return ids.status();
  const int32_t first = tokenizer.bos().value_or(tokenizer.eos().value_or(-1));
  std::vector<ChoiceRequest> requests;
  size_t at = 0;
  for (size_t q = 0; q < questions.size(); ++q) {
    const std::vector<int32_t>& context_ids = (*ids)[at++];
    for (size_t c = 0; c < questions[q].choices.size(); ++c) {
      auto request = SplitRequest(context_ids, (*ids)[at++], first, context);
      if (!request.ok()) {
        return absl::InvalidArgumentError(
            absl::StrCat(questions[q].id, ", choice ", c + 1, ": ", request.status().message()));
      }
      request->question = static_cast<int>(q);
      request->choice = static_cast<int>(c);
      requests.push_back(*std::move(request));
    }
  }
  return requests;
}

}  // namespace crosscheck::quality
