// Faults in the answers of `program` with `calls`. Name, what makes it show, the smallest case:
// - dirty_refusal: any call that sees the state after a decode that was refused for its prediction;
//   open, prefill, select, refused decode, decode (or select), 1 token
// - half_prefill: a prefill after a cancelled one, prompt of 2 or more tokens; open, cancelled
//   prefill, prefill, select, 2 tokens
// - shared_cache: a select after another sequence was prefilled and selected; 2 sequences of 1
//   token, each open, prefill, select
#include <map>
#include <string>
#include <utility>

#include "engines/faults/fault.h"

namespace crosscheck {
namespace {

bool IsCalls(const Message& request) { return request.head.value("calls", false); }

// The row that step `step` answered, or null.
Tensor* RowOf(Message& answer, size_t step) {
  const std::string name = absl::StrCat("step.", step, ".logits");
  for (Tensor& tensor : answer.tensors) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

// A refused decode of a stale prediction is evaluated all the same: the inner engine is given the
// live prediction instead, and its answer is turned into the refusal.
Reply DirtyRefusal(Engine& inner, const Message& request, const ModelSpec&) {
  Reply honest = inner.Call(request);
  if (!honest.ok() || !IsCalls(request)) return honest;
  Message edited = request;
  std::map<int64_t, int64_t> live;  // the latest select of each sequence
  std::map<size_t, Json> refusals;
  const Json& steps = request.head["steps"];
  for (size_t i = 0; i < steps.size(); ++i) {
    const Json& observation = honest.message.head["steps"][i];
    const int64_t sequence = steps[i]["sequence"];
    if (steps[i]["op"] == "select" && observation["ok"] == true) {
      live[sequence] = static_cast<int64_t>(i);
    }
    const bool stale = steps[i]["op"] == "decode" && observation["ok"] == false &&
                       live.contains(sequence) && steps[i]["prediction"] != live[sequence];
    if (!stale) continue;
    edited.head["steps"][i]["prediction"] = live[sequence];
    refusals[i] = observation;
  }
  if (refusals.empty()) return honest;
  Reply reply = inner.Call(edited);
  if (!reply.ok()) return honest;
  for (const auto& [i, refusal] : refusals) reply.message.head["steps"][i] = refusal;
  return reply;
}

// A cancelled prefill leaves half of its prompt in the cache, in front of what the next one
// evaluates.
Reply HalfPrefill(Engine& inner, const Message& request, const ModelSpec& spec) {
  if (!IsCalls(request)) return inner.Call(request);
  Message edited = request;
  Json& steps = edited.head["steps"];
  std::map<int64_t, size_t> opened;
  std::map<int64_t, int64_t> surplus;
  std::vector<int64_t> longer(steps.size(), 0);  // by how much each answered length is too large
  for (size_t i = 0; i < steps.size(); ++i) {
    const int64_t sequence = steps[i]["sequence"];
    if (steps[i]["op"] == "open") {
      opened[sequence] = i;
      surplus[sequence] = 0;
    }
    const bool prefill = steps[i]["op"] == "prefill";
    const bool cancelled = prefill && steps[i].value("cancelled", false);
    if (prefill && !cancelled) opened.erase(sequence);
    if (cancelled && opened.contains(sequence) && surplus[sequence] == 0) {
      Json& open = steps[opened[sequence]];
      std::vector<int64_t> ids = Ids(open);
      const auto half = static_cast<ptrdiff_t>(ids.size() / 2);
      const int64_t positions =
          static_cast<int64_t>(ids.size()) + half + int64_t{open["max_tokens"]};
      if (half > 0 && positions <= spec.max_positions) {
        const std::vector<int64_t> left(ids.begin(), ids.begin() + half);
        ids.insert(ids.begin(), left.begin(), left.end());
        open["ids"] = ids;
        surplus[sequence] = half;
      }
    }
    longer[i] = surplus[sequence];
  }
  Reply reply = inner.Call(edited);
  if (!reply.ok()) return reply;
  for (size_t i = 0; i < longer.size(); ++i) {
    Json& step = reply.message.head["steps"][i];
    if (step.contains("length") && step["length"] > 0) {
      step["length"] = step["length"].get<int64_t>() - longer[i];
    }
  }
  return reply;
}

// The sessions of all sequences write their logits to one place: a select reads what was evaluated
// last, whoever did it.
Reply SharedCache(Engine& inner, const Message& request, const ModelSpec&) {
  Reply reply = inner.Call(request);
  if (!reply.ok() || !IsCalls(request)) return reply;
  const Json& steps = request.head["steps"];
  std::map<int64_t, std::string> last;  // the bytes that each sequence selected last
  int64_t owner = -1;
  for (size_t i = 0; i < steps.size(); ++i) {
    if (reply.message.head["steps"][i]["ok"] != true) continue;
    const int64_t sequence = steps[i]["sequence"];
    if (steps[i]["op"] == "prefill" || steps[i]["op"] == "decode") owner = sequence;
    Tensor* row = RowOf(reply.message, i);
    if (row == nullptr) continue;
    last[sequence] = row->bytes;
    if (owner != sequence && last.contains(owner)) row->bytes = last[owner];
  }
  return reply;
}

constexpr Fault kFaults[] = {
    {"dirty_refusal", DirtyRefusal, nullptr, "program"},
    {"half_prefill", HalfPrefill, nullptr, "program"},
    {"shared_cache", SharedCache, nullptr, "program"},
};

}  // namespace

absl::Span<const Fault> SessionFaults() { return kFaults; }

}  // namespace crosscheck
