#include "quality/golden_item.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "quality/position_stat.h"

namespace crosscheck::quality {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

absl::StatusOr<const Tensor*> ReadTensor(DumpReader& dump, const char* track, int index,
                                         const char* what, DType dtype, size_t rank) {
  auto tensor = dump.Read(track, index, what);
  if (!tensor.ok()) return tensor.status();
  if ((*tensor)->dtype != dtype || (*tensor)->shape.size() != rank) {
    return absl::FailedPreconditionError(
        absl::StrCat(dump.folder(), ": ", (*tensor)->name, " has another form"));
  }
  return *tensor;
}

absl::StatusOr<std::vector<int32_t>> ReadIds(DumpReader& dump, const char* track, int index,
                                             const char* what) {
  auto tensor = ReadTensor(dump, track, index, what, DType::kI32, 1);
  if (!tensor.ok()) return tensor.status();
  const auto ids = (*tensor)->As<int32_t>();
  return std::vector<int32_t>(ids.begin(), ids.end());
}

void SetStat(const PositionStat& stat, GoldenPosition& position) {
  position.lse = stat.lse;
  position.entropy = stat.entropy;
  position.max = stat.max;
  position.second = stat.second;
  position.best = static_cast<int>(stat.argmax);
  position.finite = stat.finite();
}

PositionStat StatOfRow(const Rows& rows, int row) {
  return rows.f64.empty() ? StatOf(rows.row(row), -1) : StatOf(rows.exact_row(row), -1);
}

absl::Status ReadStats(DumpReader& dump, int index, std::vector<GoldenPosition>& positions) {
  auto stat = ReadTensor(dump, "forced", index, "stat", DType::kF64, 2);
  if (!stat.ok()) return stat.status();
  if ((*stat)->shape[1] != kStatColumns) {
    return absl::FailedPreconditionError(
        absl::StrCat(dump.folder(), ": ", (*stat)->name, " has another number of columns"));
  }
  const auto values = (*stat)->As<double>();
  positions.resize(static_cast<size_t>((*stat)->shape[0]));
  for (size_t i = 0; i < positions.size(); ++i) {
    const auto row = values.subspan(i * kStatColumns, kStatColumns);
    SetStat({.lse = row[0],
             .max = row[1],
             .second = row[2],
             .argmax = row[3],
             .entropy = row[5],
             .nan_count = row[7],
             .positive_infinities = row[8]},
            positions[i]);
  }
  return absl::OkStatus();
}

// Appends the stored tokens of one pair of tensors to each position.
absl::Status ReadTokens(DumpReader& dump, int index, const char* ids_name, const char* logits_name,
                        std::vector<GoldenPosition>& positions) {
  auto ids = ReadTensor(dump, "forced", index, ids_name, DType::kI32, 2);
  if (!ids.ok()) return ids.status();
  auto logits = ReadTensor(dump, "forced", index, logits_name, DType::kF32, 2);
  if (!logits.ok()) return logits.status();
  if ((*ids)->shape != (*logits)->shape ||
      (*ids)->shape[0] != static_cast<int64_t>(positions.size())) {
    return absl::FailedPreconditionError(
        absl::StrCat(dump.folder(), ": ", (*ids)->name, " has another shape"));
  }
  const auto width = static_cast<size_t>((*ids)->shape[1]);
  for (size_t i = 0; i < positions.size() * width; ++i) {
    const int32_t id = (*ids)->As<int32_t>()[i];
    if (id < 0) continue;  // fewer than there is room for
    positions[i / width].tokens.push_back(id);
    positions[i / width].logits.push_back((*logits)->As<float>()[i]);
  }
  return absl::OkStatus();
}

int32_t LargestToken(const GoldenItem& item) {
  int32_t largest = *std::max_element(item.prompt.begin(), item.prompt.end());
  for (const int32_t id : item.continuation) largest = std::max(largest, id);
  for (const GoldenPosition& position : item.positions) {
    for (const int32_t id : position.tokens) largest = std::max(largest, id);
  }
  return largest;
}

// Calls `visit` with the index of every recorded position and its row.
absl::Status ForEachRow(const GoldenItem& item, Side& side,
                        const std::function<void(size_t, const Rows&, int)>& visit) {
  const Block& scored = item.forced.scored;
  for (const Block& block : side.Blocks(scored.first, scored.last)) {
    auto rows = side.LogitRows(item.forced.ids, block, Evaluation::kDecode);
    if (absl::IsUnimplemented(rows.status())) {  // an engine may answer whole prompts only
      rows = side.LogitRows(item.forced.ids, block, Evaluation::kPrefill);
    }
    if (!rows.ok()) return rows.status();
    for (int i = 0; i < rows->rows(); ++i) {
      visit(static_cast<size_t>(rows->first + i - scored.first), *rows, i);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<GoldenItem> ReadGoldenItem(DumpReader& dump, int index, int vocab) {
  GoldenItem item;
  auto prompt = ReadIds(dump, "greedy", index, "prompt");
  if (!prompt.ok()) return prompt.status();
  auto continuation = ReadIds(dump, "greedy", index, "ids");
  if (!continuation.ok()) return continuation.status();
  auto ended = ReadIds(dump, "greedy", index, "ended");
  if (!ended.ok()) return ended.status();
  item.ended = *ended == std::vector<int32_t>{1};
  if (absl::Status s = ReadStats(dump, index, item.positions); !s.ok()) return s;
  absl::Status status = ReadTokens(dump, index, "top_ids", "top_logits", item.positions);
  if (status.ok()) {
    status = ReadTokens(dump, index, "tail_ids", "tail_logits", item.positions);
  }
  if (!status.ok()) return status;
  item.prompt = *std::move(prompt);
  item.continuation = *std::move(continuation);
  const auto positions = static_cast<int>(item.positions.size());
  if (item.prompt.empty() || positions < 1 ||
      positions > static_cast<int>(item.continuation.size()) + 1) {
    return absl::FailedPreconditionError(
        absl::StrCat(dump.folder(), ": prompt ", index, " and its positions do not fit"));
  }
  item.forced = ForcedItem(item.prompt, item.continuation, positions);
  if (const int32_t largest = LargestToken(item); largest >= vocab) {
    return absl::FailedPreconditionError(absl::StrCat(
        dump.folder(), ": prompt ", index, " has token ", largest, ", the vocabulary is ", vocab));
  }
  return item;
}

absl::StatusOr<GoldenItem> AnsweredBy(const GoldenItem& item, Side& side) {
  GoldenItem answered = item;
  absl::Status status = ForEachRow(item, side, [&](size_t at, const Rows& rows, int row) {
    GoldenPosition& position = answered.positions[at];
    SetStat(StatOfRow(rows, row), position);
    for (size_t i = 0; i < position.tokens.size(); ++i) {
      position.logits[i] = rows.row(row)[static_cast<size_t>(position.tokens[i])];
    }
  });
  if (!status.ok()) return status;
  return answered;
}

GoldenChange ChangeOf(const GoldenPosition& recorded, const GoldenPosition& now) {
  GoldenChange change;
  if (!now.finite) {
    change.distance.fill(kInfinity);
    return change;
  }
  for (size_t i = 0; i < recorded.tokens.size(); ++i) {
    const double difference = (now.logits[i] - now.lse) - (recorded.logits[i] - recorded.lse);
    if (change.token >= 0 && std::abs(difference) <= std::abs(change.change)) continue;
    change.token = recorded.tokens[i];
    change.change = difference;
  }
  change.distance = {std::abs(change.change), std::abs(now.entropy - recorded.entropy)};
  return change;
}

GoldenDistance LargestDistance(const GoldenItem& recorded, const GoldenItem& now) {
  GoldenDistance largest{};
  for (size_t i = 0; i < recorded.positions.size(); ++i) {
    const GoldenChange change = ChangeOf(recorded.positions[i], now.positions[i]);
    for (size_t m = 0; m < kGoldenMeasures; ++m) {
      largest[m] = std::max(largest[m], change.distance[m]);
    }
  }
  return largest;
}

double LargestLogit(const GoldenItem& item) {
  double largest = 0;
  for (const GoldenPosition& position : item.positions) {
    for (const float logit : position.logits) {
      largest = std::max(largest, std::abs(static_cast<double>(logit)));
    }
  }
  return largest;
}

}  // namespace crosscheck::quality
