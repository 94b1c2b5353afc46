#include "engines/reference_generate.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engines/reference_program.h"
#include "engines/request_fields.h"
#include "engines/sampler_ops.h"
#include "reference/metrics.h"
#include "reference/weights.h"

namespace crosscheck {
namespace {

struct GenerateRequest {
  std::vector<int32_t> ids;
  int64_t max_tokens = 0;
  std::vector<int64_t> stop;
  SamplingParameters sampling;
  uint64_t seed = 0;
  bool log_probs = false, stream = false;
};

absl::Status ReadSamplingOf(const Json& request, GenerateRequest& wanted) {
  const absl::StatusOr<const Json*> sampling = ObjectField(request, "sampling");
  if (!sampling.ok()) return sampling.status();
  const absl::StatusOr<SamplingParameters> parameters = ReadSampling(**sampling);
  if (!parameters.ok()) return parameters.status();
  const absl::StatusOr<uint64_t> seed = ReadSeed(**sampling);
  if (!seed.ok()) return seed.status();
  wanted.sampling = *parameters;
  wanted.seed = *seed;
  const absl::StatusOr<bool> log_probs = OptionalFlag(request, "logprobs");
  if (!log_probs.ok()) return log_probs.status();
  const absl::StatusOr<bool> stream = OptionalFlag(request, "stream");
  if (!stream.ok()) return stream.status();
  if (FindField(request, "stop_strings") != nullptr) {
    return absl::UnimplementedError("stop_strings: ids in, ids out");
  }
  wanted.log_probs = *log_probs;
  wanted.stream = *stream;
  return absl::OkStatus();
}

absl::StatusOr<GenerateRequest> ReadGenerate(const ModelSpec& spec, const Json& request) {
  GenerateRequest wanted;
  if (absl::Status status = ReadSamplingOf(request, wanted); !status.ok()) return status;
  const absl::StatusOr<std::string> path = StringField(request, "path");
  if (!path.ok()) return path.status();
  if (*path != "session") {
    return absl::UnimplementedError(absl::StrCat("path \"", *path, "\"; served: session"));
  }
  const absl::StatusOr<int64_t> max_tokens = IntegerField(request, "max_tokens");
  if (!max_tokens.ok()) return max_tokens.status();
  if (*max_tokens < 0) {
    return absl::InvalidArgumentError("field \"max_tokens\": expected at least 0");
  }
  wanted.max_tokens = *max_tokens;
  absl::StatusOr<std::vector<int64_t>> stop = IntegersField(request, "stop");
  if (!stop.ok()) return stop.status();
  wanted.stop = *std::move(stop);
  const absl::StatusOr<std::vector<int64_t>> ids = IntegersField(request, "ids");
  if (!ids.ok()) return ids.status();
  absl::StatusOr<std::vector<int32_t>> checked = CheckedIds(*ids, 0, spec);
  if (!checked.ok()) return checked.status();
  wanted.ids = *std::move(checked);
  return wanted;
}

absl::StatusOr<int32_t> NextToken(const ReferenceSampler& sampler, const GenerateRequest& wanted,
                                  absl::Span<const double> logits,
                                  const std::vector<int32_t>& generated) {
  const SamplingParameters& sampling = wanted.sampling;
  if (sampling.temperature == 0 && sampling.repetition_penalty == 1) return ArgMax(logits);
  DrawRequest draw{{logits.begin(), logits.end()}, sampling, wanted.ids, {}};
  draw.history.insert(draw.history.end(), generated.begin(), generated.end());
  const uint64_t step = generated.size();
  const uint64_t seed =
      step == 0 ? wanted.seed : MixBits(wanted.seed + 0x9e3779b97f4a7c15ull * step);
  const absl::StatusOr<std::vector<int32_t>> token = sampler.DrawPerSeed(draw, {seed});
  if (!token.ok()) return token.status();
  return token->at(0);
}

// ln p of the token under softmax(logits / temperature), before penalties and filters; temperature
// 0 counts as 1.
double LogProb(absl::Span<const double> logits, double temperature, int32_t token) {
  std::vector<double> scaled(logits.begin(), logits.end());
  if (temperature > 0) {
    for (double& logit : scaled) logit /= temperature;
  }
  return -NegativeLogLikelihood(scaled, token);
}

}  // namespace

absl::StatusOr<Message> AnswerGenerate(const ReferenceModel& model, const ReferenceSampler& sampler,
                                       DType answers, const Json& request) {
  const ModelSpec& spec = model.spec();
  const absl::StatusOr<GenerateRequest> wanted = ReadGenerate(spec, request);
  if (!wanted.ok()) return wanted.status();
  const std::unique_ptr<ReferenceSession> session = model.NewSession();
  std::vector<int32_t> generated;
  std::vector<double> log_probs;
  int64_t steps = 0, opened = 0;
  std::string stop = "length";
  absl::StatusOr<Logits> logits = session->Extend({.ids = wanted->ids, .all_positions = false});
  while (logits.ok() && static_cast<int64_t>(generated.size()) < wanted->max_tokens) {
    const auto next = NextToken(sampler, *wanted, logits->row(0), generated);
    if (!next.ok()) return next.status();
    ++opened;
    if (*next == spec.eos) stop = "eos";
    if (stop == "length" &&
        std::find(wanted->stop.begin(), wanted->stop.end(), *next) != wanted->stop.end()) {
      stop = "stop";
    }
    if (stop != "length") break;
    generated.push_back(*next);
    log_probs.push_back(LogProb(logits->row(0), wanted->sampling.temperature, *next));
    const bool full = session->length() == spec.max_positions;
    if (full || static_cast<int64_t>(generated.size()) == wanted->max_tokens) break;
    logits = session->Extend({.ids = {&generated.back(), 1}, .all_positions = false});
    ++steps;
  }
  if (!logits.ok()) return logits.status();
  Message answer;
  answer.head = {{"ids", generated},
                 {"stop", stop},
                 {"order", sampler.order().name},
                 {"counters",
                  {{"prefill", wanted->ids.size()},
                   {"step", steps},
                   {"generated", generated.size()},
                   {"opened", opened},
                   {"consumed", steps}}}};
  if (wanted->stream) answer.head["streamed"] = generated;
  if (wanted->log_probs) {
    answer.tensors.push_back(
        MakeAnswerTensor("logprobs", {static_cast<int64_t>(log_probs.size())}, log_probs, answers));
  }
  return answer;
}

}  // namespace crosscheck
