#include "quality/completions.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "quality/metrics/top_k.h"
#include "quality/position_stat.h"
#include "reference/checkpoint.h"

namespace crosscheck::quality {
namespace {

constexpr int32_t kMostLikely = -1;

absl::StatusOr<Prediction> Predict(const Rows& rows, int row, int32_t token, int top) {
  const bool exact = !rows.f64.empty();
  const auto logit = [&](int32_t id) {
    const auto at = static_cast<size_t>(id);
    return exact ? rows.exact_row(row)[at] : static_cast<double>(rows.row(row)[at]);
  };
  const PositionStat stat = exact ? StatOf(rows.exact_row(row), -1) : StatOf(rows.row(row), -1);
  if (!stat.finite()) {
    return absl::AbortedError(absl::StrCat("the engine's logits of position ", rows.first + row,
                                           " hold values that are no logits"));
  }
  Prediction prediction{.token = token == kMostLikely ? static_cast<int32_t>(stat.argmax) : token,
                        .top = {}};
  prediction.logprob = logit(prediction.token) - stat.lse;
  if (!std::isfinite(prediction.logprob)) {
    return absl::AbortedError(absl::StrCat("the engine gives token ", token, " after position ",
                                           rows.first + row, " probability 0: JSON cannot say so"));
  }
  const std::vector<int32_t> ids =
      exact ? TopKIds(rows.exact_row(row), top) : TopKIds(rows.row(row), top);
  for (const int32_t id : ids) prediction.top.emplace_back(id, logit(id) - stat.lse);
  return prediction;
}

int CodePoints(std::string_view text) {
  return static_cast<int>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Completions>> Completions::Open(const SideOptions& options) {
  std::unique_ptr<Completions> completions(new Completions(options));
  const auto spec = ReadConfig(options.model);
  if (!spec.ok()) return spec.status();
  completions->eos_ = spec->eos;
  if (absl::Status status = completions->Start(); !status.ok()) return status;
  auto tokenizer = Tokenizer::Load(options.model);
  if (tokenizer.ok()) {
    completions->tokenizer_ = *std::move(tokenizer);
  } else if (!absl::IsNotFound(tokenizer.status()) &&
             !absl::IsFailedPrecondition(tokenizer.status())) {
    return tokenizer.status();
  }
  return completions;
}

absl::Status Completions::Start() {
  auto side = Side::Open(options_);
  if (!side.ok()) return side.status();
  side_ = *std::move(side);
  vocab_ = side_->vocab();
  context_ = side_->context();
  return absl::OkStatus();
}

absl::StatusOr<std::vector<int32_t>> Completions::IdsOf(const CompletionPrompt& prompt) {
  std::vector<int32_t> ids;
  if (const auto* given = std::get_if<std::vector<int32_t>>(&prompt)) {
    ids = *given;
  } else if (tokenizer_ == nullptr) {
    return absl::InvalidArgumentError(
        "\"prompt\": a text, and the checkpoint has no tokenizer.json: give token ids");
  } else {
    auto encoded = tokenizer_->Encode(std::get<std::string>(prompt), kCorpusText);
    if (!encoded.ok()) return encoded.status();
    ids = *std::move(encoded);
  }
  const auto outside =
      std::find_if(ids.begin(), ids.end(), [&](int32_t id) { return id < 0 || id >= vocab_; });
  if (outside != ids.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"prompt\": token ", *outside, " is outside the vocabulary of ", vocab_));
  }
  if (ids.empty()) return absl::InvalidArgumentError("\"prompt\": a text without tokens");
  if (ids.size() >= static_cast<size_t>(context_)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"prompt\": ", ids.size(), " tokens and one more are beyond the context of ", context_));
  }
  return ids;
}

absl::Status Completions::LearnTokens(absl::Span<const int32_t> ids) {
  std::vector<std::vector<int32_t>> unknown;
  for (const int32_t id : ids) {
    if (!texts_.contains(id)) unknown.push_back({id});
  }
  if (unknown.empty()) return absl::OkStatus();
  if (tokenizer_ == nullptr) {
    for (const auto& id : unknown) texts_[id[0]] = absl::StrCat("token_id:", id[0]);
    return absl::OkStatus();
  }
  auto texts = tokenizer_->DecodeAll(unknown);
  if (!texts.ok()) return texts.status();
  for (size_t i = 0; i < unknown.size(); ++i) texts_[unknown[i][0]] = std::move((*texts)[i]);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Prediction>> Completions::Predictions(absl::Span<const int32_t> ids,
                                                                 int first, int top) {
  const int size = static_cast<int>(ids.size());
  std::vector<Prediction> predictions;
  for (const Block& block : side_->Blocks(first, size)) {
    const auto rows = side_->LogitRows(ids, block, Evaluation::kPrefill);
    if (!rows.ok()) return rows.status();
    for (int i = 0; i < rows->rows(); ++i) {
      const int next = block.first + i + 1;
      auto prediction =
          Predict(*rows, i, next < size ? ids[static_cast<size_t>(next)] : kMostLikely, top);
      if (!prediction.ok()) return prediction.status();
      predictions.push_back(*std::move(prediction));
    }
  }
  return predictions;
}

Json Completions::Logprobs(absl::Span<const Prediction> predictions, int32_t unpredicted) {
  Json tokens = Json::array(), logprobs = Json::array(), top = Json::array(),
       offsets = Json::array();
  int offset = 0;
  const auto add = [&](int32_t token, Json logprob, Json most_likely) {
    const std::string& text = texts_.at(token);
    tokens.push_back(text);
    logprobs.push_back(std::move(logprob));
    top.push_back(std::move(most_likely));
    offsets.push_back(offset);
    offset += CodePoints(text);
  };
  if (unpredicted >= 0) add(unpredicted, nullptr, nullptr);
  for (const Prediction& prediction : predictions) {
    Json most_likely = Json::object();
    for (const auto& [id, logprob] : prediction.top) {
      most_likely.emplace(texts_.at(id), logprob);  // of tokens of one text the most likely
    }
    add(prediction.token, prediction.logprob, std::move(most_likely));
  }
  return {{"tokens", std::move(tokens)},
          {"token_logprobs", std::move(logprobs)},
          {"top_logprobs", std::move(top)},
          {"text_offset", std::move(offsets)}};
}

absl::StatusOr<Json> Completions::Choice(const std::vector<int32_t>& ids,
                                         const CompletionRequest& request, int index) {
  const bool whole = request.echo && request.logprobs > 0;
  const int first = whole ? 0 : static_cast<int>(ids.size()) - 1;
  const auto predictions = Predictions(ids, first, request.logprobs);
  if (!predictions.ok()) return predictions.status();
  const int32_t next = predictions->back().token;
  std::vector<int32_t> shown = request.echo ? ids : std::vector<int32_t>();
  shown.push_back(next);
  std::vector<int32_t> named = shown;
  for (const Prediction& prediction : *predictions) {
    for (const auto& [id, logprob] : prediction.top) named.push_back(id);
  }
  if (absl::Status status = LearnTokens(named); !status.ok()) return status;
  std::string text;
  if (tokenizer_ != nullptr) {
    auto decoded = tokenizer_->Decode(shown);
    if (!decoded.ok()) return decoded.status();
    text = *std::move(decoded);
  } else {
    for (const int32_t id : shown) text += texts_.at(id);
  }
  Json choice = {{"index", index},
                 {"text", std::move(text)},
                 {"finish_reason", next == eos_ ? "stop" : "length"},
                 {"logprobs", nullptr}};
  if (request.logprobs > 0) choice["logprobs"] = Logprobs(*predictions, whole ? ids[0] : -1);
  return choice;
}

absl::StatusOr<Json> Completions::Answer(std::string_view body) {
  const auto request = ParseCompletionRequest(body);
  if (!request.ok()) return request.status();
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<std::vector<int32_t>> prompts;  // all are checked before the first is answered
  int64_t tokens = 0;
  for (const CompletionPrompt& prompt : request->prompts) {
    auto ids = IdsOf(prompt);
    if (!ids.ok()) return ids.status();
    tokens += static_cast<int64_t>(ids->size());
    prompts.push_back(*std::move(ids));
  }
  if (side_ == nullptr) {
    if (absl::Status status = Start(); !status.ok()) return status;
  }
  Json choices = Json::array();
  for (const std::vector<int32_t>& ids : prompts) {
    auto choice = Choice(ids, *request, static_cast<int>(choices.size()));
    if (absl::IsAborted(choice.status())) side_.reset();
    if (!choice.ok()) return choice.status();
    choices.push_back(*std::move(choice));
  }
  const auto generated = static_cast<int64_t>(prompts.size());
  return Json{{"id", "cmpl-crosscheck"},
              {"object", "text_completion"},
              {"model", options_.model},
              {"choices", std::move(choices)},
              {"usage",
               {{"prompt_tokens", tokens},
                {"completion_tokens", generated},
                {"total_tokens", tokens + generated}}}};
}

}  // namespace crosscheck::quality
