// Faults in the answers of `generate`. Name, what makes it show, the smallest case:
// - second_token: two or more generated tokens; 1 layer, 1 token, vocabulary 3, 2 generated
// - extra_token: generation that ends by length after at least one token; 1 layer, 1 token, budget
// 1
// - eos_included: generation that ends by end-of-sequence within the budget; 1 layer, 1 token,
//   budget 1
// - shifted_logprobs: log-probs of two or more tokens; 1 layer, 1 token, budget 2
#include "engines/faults/fault.h"

namespace crosscheck {
namespace {

// What a cache that is one step behind does to generation.
Reply SecondToken(Engine& inner, const Message& request, const ModelSpec& spec) {
  Reply reply = inner.Call(request);
  if (!reply.ok() || reply.message.head["ids"].size() < 2) return reply;
  Json& second = reply.message.head["ids"][1];
  const auto next = [&spec](int64_t id) { return (id + 1) % spec.vocab; };
  const int64_t wrong = next(second.get<int64_t>());
  second = wrong == spec.eos ? next(wrong) : wrong;
  return reply;
}

// The check of the budget comes one step late.
Reply ExtraToken(Engine& inner, const Message& request, const ModelSpec&) {
  Reply reply = inner.Call(request);
  if (!reply.ok() || reply.message.head["stop"] != "length") return reply;
  Json& ids = reply.message.head["ids"];
  if (!ids.empty()) ids.push_back(Json(ids.back()));
  return reply;
}

// The id that ends generation is handed out as a token; answers with log-probs are left alone, for
// they would not fit any more.
Reply EosIncluded(Engine& inner, const Message& request, const ModelSpec& spec) {
  Reply reply = inner.Call(request);
  const bool log_probs = request.head.value("logprobs", false);
  if (!reply.ok() || reply.message.head["stop"] != "eos" || log_probs) return reply;
  Json& head = reply.message.head;
  head["ids"].push_back(spec.eos);
  head["counters"]["generated"] = head["ids"].size();
  return reply;
}

// Log-probs one step late: each is that of the token before, the first that of the last.
Reply ShiftedLogProbs(Engine& inner, const Message& request, const ModelSpec&) {
  Reply reply = inner.Call(request);
  if (!reply.ok()) return reply;
  for (Tensor& tensor : reply.message.tensors) {
    if (tensor.name != "logprobs" || tensor.shape[0] < 2) continue;
    const auto size = tensor.bytes.size() / static_cast<size_t>(tensor.shape[0]);
    std::rotate(tensor.bytes.begin(), tensor.bytes.end() - static_cast<ptrdiff_t>(size),
                tensor.bytes.end());
  }
  return reply;
}

constexpr Fault kFaults[] = {
    {"extra_token", ExtraToken, nullptr, "generate"},
    {"eos_included", EosIncluded, nullptr, "generate"},
    {"shifted_logprobs", ShiftedLogProbs, nullptr, "generate"},
    {"second_token", SecondToken, nullptr, "generate"},
};

}  // namespace

absl::Span<const Fault> GenerateFaults() { return kFaults; }

}  // namespace crosscheck
