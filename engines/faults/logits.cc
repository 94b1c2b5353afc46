// Faults in the answers of `logits`. Name, what makes it show, the smallest case:
// - token_logit: id 3 occurred at or before the position; 1 layer, 1 token (id 3), vocabulary 4
// - future_leak: path readout, a position that is not the last; 1 layer, 2 tokens
// - stale_state: the 2nd and later sequences of a request; 1 layer, 2 sequences of 1 token
// - first_step: path session, the first step after the prefill; 1 layer, 2 tokens
// - decode_rows: path session, every position after the prefill; 1 layer, 2 tokens, vocabulary 2
// - nan: position 2 is answered; 1 layer, 3 tokens
#include <cmath>
#include <limits>
#include <utility>

#include "engines/faults/fault.h"

namespace crosscheck {
namespace {

Reply TokenLogit(Engine& inner, const Message& request, const ModelSpec&) {
  return EditRows(inner, request, [](const auto& ids, const auto& positions, auto& rows, size_t) {
    const auto first = std::find(ids.begin(), ids.end(), 3) - ids.begin();
    for (size_t i = 0; i < rows.size(); ++i) {
      if (positions[i] >= first) rows[i][0] += 1 + std::abs(rows[i][0]);
    }
  });
}

// An eighth of the next position's logits: what an attention mask that is off by one lets through.
Reply FutureLeak(Engine& inner, const Message& request, const ModelSpec&) {
  if (request.head["path"] != "readout") return inner.Call(request);
  return EditRows(inner, request, [](const auto&, const auto&, auto& rows, size_t vocab) {
    for (size_t i = 0; i + 1 < rows.size(); ++i) {
      for (size_t v = 0; v < vocab; ++v) rows[i][v] += rows[i + 1][v] / 8;
    }
  });
}

// Puts the last id of the previous sequence before each later one.
Message WithStaleToken(const Message& request, const ModelSpec& spec) {
  Message edited;
  edited.head = request.head;
  Json& sequences = edited.head["sequences"];
  for (size_t i = 1; i < sequences.size(); ++i) {
    const std::vector<int64_t> before = Ids(request.head["sequences"][i - 1]);
    std::vector<int64_t> ids = Ids(sequences[i]);
    const bool fits = static_cast<int>(ids.size()) < spec.max_positions;
    if (before.empty() || ids.empty() || !fits || sequences[i].contains("mask")) continue;
    ids.insert(ids.begin(), before.back());
    sequences[i]["ids"] = ids;
    if (sequences[i].contains("chunks")) {
      sequences[i]["chunks"][0] = sequences[i]["chunks"][0].get<int64_t>() + 1;
    }
  }
  return edited;
}

Reply StaleState(Engine& inner, const Message& request, const ModelSpec& spec) {
  if (!AnySequence(request, [](const auto& ids) { return !ids.empty(); })) {
    return inner.Call(request);
  }
  const Message edited = WithStaleToken(request, spec);
  Reply reply = inner.Call(edited);
  if (!reply.ok()) return reply;
  const Json& sequences = request.head["sequences"];
  for (size_t i = 0; i < sequences.size(); ++i) {
    if (edited.head["sequences"][i]["ids"].size() == sequences[i]["ids"].size()) continue;
    std::vector<int64_t> positions;
    for (const Json& position : reply.message.head["positions"][i]) {
      if (position > 0) positions.push_back(position.get<int64_t>() - 1);
    }
    reply.message.head["positions"][i] = positions;
    for (Tensor& tensor : reply.message.tensors) {
      if (tensor.name != absl::StrCat("logits.", i)) continue;
      const auto rows = static_cast<size_t>(tensor.shape[0]);
      tensor.bytes.erase(0, tensor.bytes.size() / rows * (rows - positions.size()));
      tensor.shape[0] = static_cast<int64_t>(positions.size());
    }
  }
  return reply;
}

Reply NotANumber(Engine& inner, const Message& request, const ModelSpec&) {
  return EditRows(inner, request, [](const auto&, const auto& positions, auto& rows, size_t vocab) {
    for (size_t i = 0; i < rows.size(); ++i) {
      if (positions[i] == 2) rows[i][vocab - 1] = std::numeric_limits<float>::quiet_NaN();
    }
  });
}

int64_t PrefilledTokens(const Json& sequence) {
  int64_t prefilled = 0;
  for (const Json& chunk : sequence.value("chunks", Json::array())) {
    prefilled += chunk.get<int64_t>();
  }
  return prefilled;
}

// An eighth of the last prefilled position's logits: a step that finds the cache of one token
// before.
Reply FirstStep(Engine& inner, const Message& request, const ModelSpec&) {
  if (request.head["path"] != "session") return inner.Call(request);
  auto sequence = request.head["sequences"].begin();
  return EditRows(inner, request,
                  [&](const auto&, const auto& positions, auto& rows, size_t vocab) {
                    const int64_t prefilled = PrefilledTokens(*sequence++);
                    for (size_t i = 1; i < rows.size(); ++i) {
                      if (positions[i] != prefilled) continue;
                      for (size_t v = 0; v < vocab; ++v) rows[i][v] += rows[i - 1][v] / 8;
                    }
                  });
}

// The half of the head's rows that a step computes apart is a tenth too small.
Reply DecodeRows(Engine& inner, const Message& request, const ModelSpec&) {
  if (request.head["path"] != "session") return inner.Call(request);
  auto sequence = request.head["sequences"].begin();
  return EditRows(inner, request,
                  [&](const auto&, const auto& positions, auto& rows, size_t vocab) {
                    const int64_t prefilled = PrefilledTokens(*sequence++);
                    for (size_t i = 0; i < rows.size(); ++i) {
                      if (positions[i] < prefilled) continue;
                      for (size_t v = vocab / 2; v < vocab; ++v) rows[i][v] *= 0.9F;
                    }
                  });
}

constexpr Fault kFaults[] = {
    {"token_logit", TokenLogit}, {"future_leak", FutureLeak}, {"stale_state", StaleState},
    {"nan", NotANumber},         {"first_step", FirstStep},   {"decode_rows", DecodeRows},
};

}  // namespace

absl::Span<const Fault> LogitsFaults() { return kFaults; }

}  // namespace crosscheck
