#include "properties/judges/greedy.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "properties/judges/failure.h"
#include "reference/reference_model.h"

namespace crosscheck {

absl::StatusOr<Generated> ReadGenerated(const Message& answer) {
  Generated generated;
  auto ids = answer.head.find("ids");
  if (ids == answer.head.end() || !ids->is_array()) {
    return absl::InvalidArgumentError("\"ids\" is no array");
  }
  for (const Json& id : *ids) {
    if (!id.is_number_integer()) return absl::InvalidArgumentError("an id is no integer");
    int64_t value = id.get<int64_t>();
    generated.ids.push_back(value < INT32_MIN || value > INT32_MAX ? -1
                                                                   : static_cast<int32_t>(value));
  }
  auto stop = answer.head.find("stop");
  if (stop == answer.head.end() || (*stop != "length" && *stop != "eos" && *stop != "stop")) {
    return absl::InvalidArgumentError("\"stop\" is none of length, eos, stop");
  }
  generated.stop = stop->get<std::string>();
  generated.counted = generated.ids.empty() || Counted(answer.head, "generated");
  return generated;
}

std::optional<Verdict> ReadGeneration(const Reply& reply, std::string_view stage,
                                      Generated& generated) {
  if (!reply.ok()) return EngineFailure(*reply.failure, stage);
  auto read = ReadGenerated(reply.message);
  if (!read.ok()) return ProtocolLie(stage, read.status());
  if (!read->counted) return DidNotRun(stage, "generation");
  generated = *std::move(read);
  return std::nullopt;
}

SequenceCase ForcedSequence(const std::vector<int32_t>& prompt, const Generated& generated,
                            const ModelSpec& spec) {
  SequenceCase sequence;
  sequence.ids = prompt;
  sequence.chunks = {static_cast<int32_t>(prompt.size())};
  for (const int32_t id : generated.ids) {
    const bool full = static_cast<int>(sequence.ids.size()) == spec.max_positions;
    if (id < 0 || id >= spec.vocab || full) break;
    sequence.ids.push_back(id);
  }
  return sequence;
}

std::vector<Decision> Decisions(const ModelRunCase& forced, const std::vector<size_t>& prompt_sizes,
                                const std::vector<Generated>& generated,
                                const LogitsAnswer& exact) {
  std::vector<Decision> decisions;
  for (size_t s = 0; s < generated.size(); ++s) {
    std::vector<int32_t> chosen = generated[s].ids;
    if (generated[s].stop == "eos") chosen.push_back(forced.model->spec.eos);
    for (size_t step = 0; step < chosen.size(); ++step) {
      size_t position = prompt_sizes[s] - 1 + step;
      absl::Span<const double> row = exact.sequences[s].row(position);
      int best = ArgMax(row);
      decisions.push_back({.sequence = static_cast<int>(s),
                           .step = static_cast<int>(step),
                           .position = static_cast<int>(position),
                           .token = chosen[step],
                           .best = best,
                           .gap = row[best] - row[chosen[step]]});
    }
  }
  return decisions;
}

LogitsAnswer DecisionRows(const std::vector<Decision>& decisions, size_t sequences) {
  LogitsAnswer rows;
  rows.sequences.resize(sequences);
  for (const Decision& decision : decisions) {
    rows.sequences[decision.sequence].positions.push_back(decision.position);
  }
  return rows;
}

std::string MalformedGeneration(const Generated& generated, int max_tokens, const ModelSpec& spec) {
  size_t count = generated.ids.size();
  if (count > static_cast<size_t>(max_tokens)) {
    return absl::StrCat(count, " tokens where at most ", max_tokens, " were asked for");
  }
  for (int32_t id : generated.ids) {
    if (id < 0 || id >= spec.vocab) {
      return absl::StrCat("token ", id, " outside the vocabulary of ", spec.vocab);
    }
    if (id == spec.eos) return absl::StrCat("generation went on after end of sequence, id ", id);
  }
  if (generated.stop == "stop") return "stopped at a stop id where none was given";
  if (generated.stop == "eos" && spec.eos < 0)
    return "stopped at end of sequence, but there is no such id";
  if (generated.stop == "length" && count < static_cast<size_t>(max_tokens)) {
    return absl::StrCat("ended by length after ", count, " of ", max_tokens, " tokens");
  }
  return "";
}

bool BreaksTieRule(const Decision& decision, absl::Span<const double> own_row) {
  int winner = ArgMax(own_row);  // the lowest index wins
  return own_row[decision.best] == own_row[decision.token] &&
         own_row[winner] == own_row[decision.token] && winner != decision.token;
}

}  // namespace crosscheck
