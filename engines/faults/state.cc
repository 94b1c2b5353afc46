// Faults of an engine that remembers what it was asked before. A request that only repeats the one
// before it sees the same memory, so that the client's own check of repeats does not find them.
// Name, what makes it show, the smallest case:
// - request_trace: `logits` of a sequence of 3 or more tokens, after another request; 1 layer, 3
// tokens
// - unseeded: sampled generation, again after another request; 1 layer, 1 token, vocabulary 3, 1
// generated
#include <cmath>
#include <utility>

#include "engines/faults/fault.h"

namespace crosscheck {
namespace {

// How many requests that differ from the one before them this process has had.
int64_t Turn(const Message& request) {
  static Json before;
  static int64_t turn = 0;
  Json now = request.head;
  now.erase("id");
  if (now != before) {
    before = std::move(now);
    ++turn;
  }
  return turn;
}

// A buffer that keeps something of every request.
Reply RequestTrace(Engine& inner, const Message& request, const ModelSpec&) {
  const int64_t turn = Turn(request);
  if (request.head["op"] != "logits") return inner.Call(request);
  const auto trace = static_cast<float>(turn % 1024) / 1024;
  return EditRows(inner, request, [trace](const auto& ids, const auto&, auto& rows, size_t) {
    if (ids.size() < 3) return;
    for (auto* row : rows) row[0] += trace * (1 + std::abs(row[0]));
  });
}

// A sampler whose generator goes on where the last request left it, whatever the seed says. It has
// no law of its own: the greedy tokens stand in for its draws.
Reply Unseeded(Engine& inner, const Message& request, const ModelSpec& spec) {
  const int64_t turn = Turn(request);
  if (request.head["op"] != "generate" || request.head["sampling"]["temperature"] == 0) {
    return inner.Call(request);
  }
  Message greedy;
  greedy.head = request.head;
  greedy.head["sampling"]["temperature"] = 0;
  Reply reply = inner.Call(greedy);
  if (!reply.ok() || reply.message.head["ids"].empty()) return reply;
  Json& first = reply.message.head["ids"][0];
  first = (first.get<int64_t>() + turn) % spec.vocab;
  return reply;
}

constexpr Fault kFaults[] = {
    {"request_trace", RequestTrace, nullptr, ""},
    {"unseeded", Unseeded, nullptr, ""},
};

}  // namespace

absl::Span<const Fault> StateFaults() { return kFaults; }

}  // namespace crosscheck
