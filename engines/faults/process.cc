// Faults of the whole process, at a `logits` request. Name, what makes it show, the smallest case:
// - crash: a sequence of 5 or more tokens; 1 layer, 5 tokens
// - hang: an id twice in a row; 1 layer, 2 equal tokens
// - allocate: an id of 10 or more; 1 layer, 1 token (id 10), vocabulary 11
// - panic: a model of 2 or more layers; 2 layers, 1 token
// - garbage: an odd number of tokens, at least 3, in a sequence; 1 layer, 3 tokens
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <new>

#include "engines/faults/fault.h"

namespace crosscheck {
namespace {

Reply Crash(Engine& inner, const Message& request, const ModelSpec&) {
  if (!AnySequence(request, [](const auto& ids) { return ids.size() >= 5; })) {
    return inner.Call(request);
  }
  signal(SIGSEGV, SIG_DFL);  // sanitizers would turn it into an exit
  raise(SIGSEGV);
  return Reply();
}

Reply Hang(Engine& inner, const Message& request, const ModelSpec&) {
  const bool twice = AnySequence(request, [](const auto& ids) {
    return std::adjacent_find(ids.begin(), ids.end()) != ids.end();
  });
  if (twice) {
    for (;;) pause();
  }
  return inner.Call(request);
}

// Reserved, not touched: an address-space limit refuses it, a machine without one survives it.
Reply Allocate(Engine& inner, const Message& request, const ModelSpec&) {
  constexpr size_t kBytes = 10ull << 30;
  const bool large = AnySequence(request, [](const auto& ids) {
    return std::any_of(ids.begin(), ids.end(), [](int64_t id) { return id >= 10; });
  });
  // The call form of new: a compiler may leave out a new-expression whose memory is not used.
  if (large) ::operator delete(::operator new(kBytes));
  return inner.Call(request);
}

Reply Panic(Engine& inner, const Message& request, const ModelSpec& spec) {
  if (spec.layers.size() < 2) return inner.Call(request);
  return FailedReply(FailureKind::kInternal,
                     "panicked at 'index out of bounds: the len is 1 but the index is 1'", "panic");
}

// What is no frame travels as it is (EncodeAnswer), so the client reads this text instead of an
// answer.
Reply Garbage(Engine& inner, const Message& request, const ModelSpec&) {
  const bool odd =
      AnySequence(request, [](const auto& ids) { return ids.size() >= 3 && ids.size() % 2 == 1; });
  if (!odd) return inner.Call(request);
  return FailedReply(FailureKind::kProtocol, "loading tokenizer ... done\n");
}

constexpr Fault kFaults[] = {
    {"crash", Crash}, {"hang", Hang},       {"allocate", Allocate},
    {"panic", Panic}, {"garbage", Garbage},
};

}  // namespace

absl::Span<const Fault> ProcessFaults() { return kFaults; }

}  // namespace crosscheck
