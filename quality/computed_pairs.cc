#include "quality/computed_pairs.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "quality/dump_check.h"
#include "quality/metrics/top_k.h"
#include "quality/sha256.h"

namespace crosscheck::quality {
namespace {

constexpr double kLseTolerance = 1e-6;
constexpr double kRounding = 0x1p-24;  // of a logit that was stored as float32
constexpr double kMostDropped = 1e-6;

absl::Status Wrong(const std::string& where, const std::string& text) {
  return absl::FailedPreconditionError(absl::StrCat(where, ": ", text));
}

std::string Number(double value) { return absl::StrFormat("%.9g", value); }

absl::StatusOr<std::vector<int32_t>> ReadIds(DumpReader& dump, const std::string& track, int item,
                                             const char* what, int vocab, int least) {
  const auto tensor = dump.Read(track, item, what);
  if (!tensor.ok()) return tensor.status();
  const std::string where = absl::StrCat(dump.folder(), ": ", (*tensor)->name);
  if ((*tensor)->dtype != DType::kI32 || (*tensor)->shape.size() != 1) {
    return Wrong(where, "is no I32 vector");
  }
  const auto values = (*tensor)->As<int32_t>();
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] >= least && values[i] < vocab) continue;
    return Wrong(where, absl::StrCat("place ", i, " is ", values[i], ", the vocabulary has ", vocab,
                                     " tokens"));
  }
  return std::vector<int32_t>(values.begin(), values.end());
}

absl::Status CheckSame(const std::string& ours_at, const std::vector<int32_t>& ours,
                       const std::string& theirs_at, const std::vector<int32_t>& theirs,
                       const std::string& name) {
  if (ours == theirs) return absl::OkStatus();
  const auto at =
      std::mismatch(ours.begin(), ours.end(), theirs.begin(), theirs.end()).first - ours.begin();
  const auto value = [at](const std::vector<int32_t>& ids) {
    return static_cast<size_t>(at) < ids.size() ? absl::StrCat(ids[static_cast<size_t>(at)])
                                                : std::string("the end");
  };
  return absl::FailedPreconditionError(absl::StrCat(ours_at, " and ", theirs_at, " differ at ",
                                                    name, ", place ", at, ": ", value(ours),
                                                    " and ", value(theirs)));
}

// An engine may answer what is no logit, and says so; its finding is counted elsewhere.
bool DeclaredNonFinite(const Table& stat, int row) {
  return stat.at(row, kNan) + stat.at(row, kPositiveInfinity) > 0 || stat.at(row, kArgMax) < 0;
}

template <class T>
absl::Span<const T> RowOf(absl::Span<const T> values, int row, int columns) {
  return values.subspan(static_cast<size_t>(row) * columns, static_cast<size_t>(columns));
}

// Ids of one row of topk without the -1 at its end.
absl::Span<const int32_t> Present(absl::Span<const int32_t> ids) {
  return ids.subspan(0, static_cast<size_t>(std::find(ids.begin(), ids.end(), -1) - ids.begin()));
}

}  // namespace

ComputedPairs::ComputedPairs(DumpReader& reference, DumpReader& candidate)
    : reference_{reference, VocabularyOf(reference), ModeOf(reference)},
      candidate_{candidate, VocabularyOf(candidate), ModeOf(candidate)},
      vocab_(std::min(reference_.vocab, candidate_.vocab)),
      recorded_(candidate.manifest().value("reference", Json()) ==
                Sha256(reference.manifest().dump())) {}

absl::StatusOr<PairedItem> ComputedPairs::Read(const std::string& track, int item) {
  auto ours = ReadSide(reference_, track, item);
  if (!ours.ok()) return ours.status();
  auto theirs = ReadSide(candidate_, track, item);
  if (!theirs.ok()) return theirs.status();
  const std::string &a = reference_.dump.folder(), &b = candidate_.dump.folder();
  absl::Status same = CheckSame(a, ours->ids, b, theirs->ids, TensorName(track, item, "ids"));
  if (same.ok()) {
    same = CheckSame(a, ours->targets, b, theirs->targets, TensorName(track, item, "targets"));
  }
  if (!same.ok()) return same;
  for (int row = 0; row < ours->stat.rows(); ++row) {
    if (DeclaredNonFinite(ours->stat, row)) {
      return Wrong(absl::StrCat(a, ": ", TensorName(track, item, "stat")),
                   absl::StrCat("the reference has values that are no logits at position ", row,
                                ": ", ours->stat.at(row, kNan), " NaN, ",
                                ours->stat.at(row, kPositiveInfinity), " +inf"));
    }
  }
  auto metrics = Metrics(track, item, *ours, *theirs);
  if (!metrics.ok()) return metrics.status();
  return PairedItem{std::move(ours->stat), std::move(theirs->stat), *std::move(metrics)};
}

absl::StatusOr<ComputedPairs::Kept> ComputedPairs::ReadSide(const Side& side,
                                                            const std::string& track, int item) {
  Kept kept;
  auto ids = ReadIds(side.dump, track, item, "ids", vocab_, 0);
  if (!ids.ok()) return ids.status();
  kept.ids = *std::move(ids);
  auto targets = ReadIds(side.dump, track, item, "targets", vocab_, -1);
  if (!targets.ok()) return targets.status();
  kept.targets = *std::move(targets);
  auto stat = ReadTable(side.dump, track, item, "stat", kStatColumns);
  if (!stat.ok()) return stat.status();
  kept.stat = *std::move(stat);
  const std::string where = absl::StrCat(side.dump.folder(), ": ", TensorName(track, item, ""));
  const auto rows = static_cast<int64_t>(kept.targets.size());
  if (kept.stat.rows() != rows) {
    return Wrong(where, absl::StrCat("stat has ", kept.stat.rows(), " rows, targets ", rows));
  }
  // Multiple choice keeps no logits in any mode.
  const auto logits = side.dump.Read(track, item, "logits");
  if (side.mode == LogitMode::kFull && (logits.ok() || !track.starts_with("choice"))) {
    if (!logits.ok()) return logits.status();
    if ((*logits)->dtype != DType::kF32 ||
        (*logits)->shape != std::vector<int64_t>{rows, side.vocab}) {
      return Wrong(where, absl::StrCat("logits are no F32 [", rows, ", ", side.vocab, "]"));
    }
    kept.logits = (*logits)->As<float>();
  }
  if (side.mode == LogitMode::kTopK && !track.starts_with("choice")) {
    if (absl::Status s = ReadTopK(side, track, item, kept); !s.ok()) return s;
  }
  for (int row = 0; row < rows; ++row) {
    if (absl::Status s = CheckRow(side, where, row, kept); !s.ok()) return s;
  }
  if (side.vocab > vocab_) {
    if (absl::Status s = Cut(side, where, kept); !s.ok()) return s;
  }
  return kept;
}

absl::Status ComputedPairs::ReadTopK(const Side& side, const std::string& track, int item,
                                     Kept& kept) {
  const auto read = [&](const char* what, DType type,
                        int* columns) -> absl::StatusOr<const Tensor*> {
    auto tensor = side.dump.Read(track, item, what);
    if (!tensor.ok()) return tensor;
    const std::vector<int64_t>& shape = (*tensor)->shape;
    const bool fits = (*tensor)->dtype == type && shape.size() == 2 &&
                      shape[0] == kept.stat.rows() && (*columns < 0 || shape[1] == *columns);
    if (!fits) return Wrong(side.dump.folder(), (*tensor)->name + " has another form");
    *columns = static_cast<int>(shape[1]);
    return tensor;
  };
  kept.top = kept.tail = -1;  // not known yet
  auto top_ids = read("top_ids", DType::kI32, &kept.top);
  if (!top_ids.ok()) return top_ids.status();
  auto top_logits = read("top_logits", DType::kF32, &kept.top);
  if (!top_logits.ok()) return top_logits.status();
  auto tail_ids = read("tail_ids", DType::kI32, &kept.tail);
  if (!tail_ids.ok()) return tail_ids.status();
  auto tail_logits = read("tail_logits", DType::kF32, &kept.tail);
  if (!tail_logits.ok()) return tail_logits.status();
  kept.top_ids = (*top_ids)->As<int32_t>();
  kept.top_logits = (*top_logits)->As<float>();
  kept.tail_ids = (*tail_ids)->As<int32_t>();
  kept.tail_logits = (*tail_logits)->As<float>();
  for (const absl::Span<const int32_t> ids : {kept.top_ids, kept.tail_ids}) {
    const auto outside = [&](int32_t id) { return id < -1 || id >= side.vocab; };
    const auto* const found = std::find_if(ids.begin(), ids.end(), outside);
    if (found == ids.end()) continue;
    return Wrong(side.dump.folder(), absl::StrCat((*top_ids)->name, ": id ", *found,
                                                  ", the vocabulary has ", side.vocab));
  }
  return absl::OkStatus();
}

absl::Status ComputedPairs::CheckRow(const Side& side, const std::string& where, int row,
                                     const Kept& kept) {
  const auto at = [&](int column) { return kept.stat.at(row, column); };
  const std::string position = absl::StrCat(where, "stat, position ", row);
  if (!kept.logits.empty()) {
    const int32_t target = kept.targets[static_cast<size_t>(row)];
    const PositionStat own = StatOf(RowOf(kept.logits, row, side.vocab), target);
    const std::pair<double, double> counts[] = {{at(kNan), own.nan_count},
                                                {at(kPositiveInfinity), own.positive_infinities},
                                                {at(kNegativeInfinity), own.negative_infinities}};
    for (const auto& [stated, counted] : counts) {
      if (stated == counted) continue;
      return Wrong(position, absl::StrCat("counts ", stated, " NaN or infinite logits, of those ",
                                          "that are stored ", counted, " are"));
    }
    const double allowed = kLseTolerance + kRounding * std::abs(own.max);
    for (const auto& [name, stated, counted] :
         {std::tuple("lse", at(kLse), own.lse), std::tuple("max", at(kMax), own.max),
          std::tuple("target_logprob", at(kTarget), own.target_logprob)}) {
      const bool unknown = std::isnan(stated) && std::isnan(counted);
      if (DeclaredNonFinite(kept.stat, row) || unknown || std::abs(stated - counted) <= allowed) {
        continue;
      }
      return Wrong(position, absl::StrCat(name, " is ", Number(stated), ", of the stored logits ",
                                          Number(counted)));
    }
  }
  if (!DeclaredNonFinite(kept.stat, row) && !std::isfinite(at(kLse))) {
    return Wrong(position,
                 absl::StrCat("lse is ", Number(at(kLse)), " with ", at(kNan), " NaN and ",
                              at(kPositiveInfinity), " +inf logits counted"));
  }
  return kept.top > 0 ? CheckTopKRow(side, position, row, kept) : absl::OkStatus();
}

absl::Status ComputedPairs::CheckTopKRow(const Side& side, const std::string& where, int row,
                                         const Kept& kept) {
  if (DeclaredNonFinite(kept.stat, row)) return absl::OkStatus();
  double mass = 0;
  const size_t present = Present(RowOf(kept.top_ids, row, kept.top)).size();
  for (size_t i = 0; i < present; ++i) {
    mass += std::exp(RowOf(kept.top_logits, row, kept.top)[i] - kept.stat.at(row, kLse));
  }
  const double allowed = kLseTolerance + kRounding * std::abs(kept.stat.at(row, kMax));
  const bool whole = present == static_cast<size_t>(side.vocab);
  if (present > 0 && mass <= 1 + allowed && (!whole || mass >= 1 - allowed)) {
    return absl::OkStatus();
  }
  return Wrong(where, absl::StrCat("the ", present, " stored logits have the probability ",
                                   Number(mass), " by its lse ", Number(kept.stat.at(row, kLse))));
}

// The numbers of the first vocab_ logits, and the mass of the others.
absl::Status ComputedPairs::Cut(const Side& side, const std::string& where, Kept& kept) {
  if (kept.logits.empty()) return absl::OkStatus();  // multiple choice: by the whole vocabulary
  std::vector<double> stats;
  for (int row = 0; row < kept.stat.rows(); ++row) {
    const auto logits = RowOf(kept.logits, row, side.vocab);
    const PositionStat cut = StatOf(logits.subspan(0, static_cast<size_t>(vocab_)),
                                    kept.targets[static_cast<size_t>(row)]);
    const double dropped = -std::expm1(cut.lse - kept.stat.at(row, kLse));
    if (dropped > dropped_) {
      dropped_ = dropped;
      dropped_at_ = absl::StrCat(where, "logits, position ", row);
    }
    Append(cut, stats);
  }
  kept.stat.values = std::move(stats);
  return absl::OkStatus();
}

absl::StatusOr<Table> ComputedPairs::Metrics(const std::string& track, int item, const Kept& ours,
                                             const Kept& theirs) {
  const bool stored = theirs.logits.empty() && theirs.top == 0;
  if (stored && recorded_ && !track.starts_with("choice")) {
    auto table = ReadTable(candidate_.dump, track, item, "metrics", kMetricColumns);
    if (table.ok() && table->rows() != ours.stat.rows()) {
      return Wrong(absl::StrCat(candidate_.dump.folder(), ": ", TensorName(track, item, "metrics")),
                   absl::StrCat(table->rows(), " rows, stat has ", ours.stat.rows()));
    }
    return table;
  }
  Table table{.values = {}, .columns = kMetricColumns};
  for (int row = 0; row < ours.stat.rows(); ++row) {
    Append(DeclaredNonFinite(theirs.stat, row) ? UnknownMetrics()
                                               : CompareRow(track, row, ours, theirs),
           table.values);
  }
  return table;
}

PositionMetrics ComputedPairs::CompareRow(const std::string& track, int row, const Kept& ours,
                                          const Kept& theirs) {
  const auto width = static_cast<size_t>(vocab_);
  if (!theirs.logits.empty() && !ours.logits.empty()) {
    return ComparePosition(RowOf(ours.logits, row, reference_.vocab).subspan(0, width),
                           RowOf(theirs.logits, row, candidate_.vocab).subspan(0, width));
  }
  if (ours.top > 0 && !theirs.logits.empty()) {
    return ComparePosition({.lse = ours.stat.at(row, kLse),
                            .top_ids = RowOf(ours.top_ids, row, ours.top),
                            .tail_ids = RowOf(ours.tail_ids, row, ours.tail),
                            .top_logits = RowOf(ours.top_logits, row, ours.top),
                            .tail_logits = RowOf(ours.tail_logits, row, ours.tail)},
                           RowOf(theirs.logits, row, candidate_.vocab).subspan(0, width));
  }
  if (ours.top > 0 && theirs.top > 0) return CompareTopKs(track, row, ours, theirs);
  if (!track.starts_with("choice")) {
    const auto name = [](LogitMode mode) {
      return std::string(kLogitModeNames[static_cast<size_t>(mode)]);
    };
    Skipped(track, absl::StrCat("a dump of mode ", name(candidate_.mode), " against one of mode ",
                                name(reference_.mode), " that it was not recorded against"));
  }
  return UnknownMetrics();
}

// Both keep some logits: the candidate's must be there at every id of the reference.
PositionMetrics ComputedPairs::CompareTopKs(const std::string& track, int row, const Kept& ours,
                                            const Kept& theirs) {
  std::map<int32_t, double> known;
  const auto add = [&](absl::Span<const int32_t> ids, absl::Span<const float> logits) {
    for (size_t i = 0; i < ids.size(); ++i) known[ids[i]] = logits[i];
  };
  add(Present(RowOf(theirs.top_ids, row, theirs.top)), RowOf(theirs.top_logits, row, theirs.top));
  add(Present(RowOf(theirs.tail_ids, row, theirs.tail)),
      RowOf(theirs.tail_logits, row, theirs.tail));
  TopKRow p{.lse = ours.stat.at(row, kLse), .top = {}, .tail = {}};
  TopKRow q{.lse = theirs.stat.at(row, kLse), .top = {}, .tail = {}};
  bool all = true;
  const auto pair = [&](absl::Span<const int32_t> ids, absl::Span<const float> logits,
                        std::vector<double>& ours_out, std::vector<double>& theirs_out) {
    for (size_t i = 0; i < ids.size(); ++i) {
      const auto found = known.find(ids[i]);
      all = all && found != known.end();
      if (!all) return;
      ours_out.push_back(logits[i]);
      theirs_out.push_back(found->second);
    }
  };
  const auto top = Present(RowOf(ours.top_ids, row, ours.top));
  pair(top, RowOf(ours.top_logits, row, ours.top), p.top, q.top);
  pair(Present(RowOf(ours.tail_ids, row, ours.tail)), RowOf(ours.tail_logits, row, ours.tail),
       p.tail, q.tail);
  if (!all) {
    Skipped(track,
            "the candidate's topk lacks ids of the reference's: record its logits at those "
            "ids, or in mode full");
    return UnknownMetrics();
  }
  PositionMetrics metrics = UnknownMetrics();
  metrics.kl = DivergenceOfTopK(p, q).kl;
  const auto chosen = static_cast<int32_t>(theirs.stat.at(row, kArgMax));
  const auto* const place = std::find(top.begin(), top.end(), chosen);
  if (place != top.end()) metrics.gap = p.top[0] - p.top[static_cast<size_t>(place - top.begin())];
  return metrics;
}

void ComputedPairs::Skipped(const std::string& track, const std::string& reason) {
  for (const Skip& skip : skips_) {
    if (skip.track == "KL, " + track) return;
  }
  skips_.push_back({"KL, " + track, reason});
}

std::vector<Finding> ComputedPairs::Findings() const {
  if (dropped_ <= kMostDropped) return {};
  return {{"vocabulary",
           absl::StrCat("cut from ", reference_.vocab, " and ", candidate_.vocab, " to ", vocab_,
                        " tokens, which drops the probability ", Number(dropped_), " at ",
                        dropped_at_, "; at most ", Number(kMostDropped), " is padding")}};
}

}  // namespace crosscheck::quality
