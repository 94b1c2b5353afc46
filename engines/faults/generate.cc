// Faults in the answers of `generate`. Name, what makes it show, the smallest case:
// - second_token: two or more generated tokens; 1 layer, 1 token, vocabulary 3, 2 generated
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

constexpr Fault kFaults[] = {
    {"second_token", SecondToken, nullptr, "generate"},
};

}  // namespace

absl::Span<const Fault> GenerateFaults() { return kFaults; }

}  // namespace crosscheck
