#include "quality/reference_rows.h"

#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "quality/position_stat.h"

namespace crosscheck::quality {
namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
constexpr PositionMetrics kNoMetrics = {kUnknown, kUnknown, kUnknown, kUnknown, kUnknown,
                                        kUnknown, kUnknown, kUnknown, kUnknown, kUnknown};

PositionMetrics CompareRow(absl::Span<const float> reference, absl::Span<const float> candidate) {
  if (!StatOf(reference, -1).finite() || !StatOf(candidate, -1).finite()) return kNoMetrics;
  return ComparePosition(reference, candidate);
}

class FullDump : public ReferenceRows {
 public:
  explicit FullDump(DumpReader& dump) : dump_(dump) {}

  absl::StatusOr<std::vector<PositionMetrics>> Compare(const Track& track, int index,
                                                       const Rows& candidate) override {
    auto logits = dump_.Read(track.name, index, "logits");
    if (!logits.ok()) return logits.status();
    const Item& item = track.items[static_cast<size_t>(index)];
    const Tensor& tensor = **logits;
    if (tensor.dtype != DType::kF32 ||
        tensor.shape != std::vector<int64_t>{item.scored.rows(), candidate.vocab}) {
      return absl::FailedPreconditionError(absl::StrCat(dump_.folder(), ": ", tensor.name,
                                                        " is no F32 [", item.scored.rows(), ", ",
                                                        candidate.vocab, "]"));
    }
    const absl::Span<const float> values = tensor.As<float>();
    std::vector<PositionMetrics> result;
    for (int i = 0; i < candidate.rows(); ++i) {
      const size_t row = static_cast<size_t>(candidate.first + i - item.scored.first);
      const auto width = static_cast<size_t>(candidate.vocab);
      result.push_back(CompareRow(values.subspan(row * width, width), candidate.row(i)));
    }
    return result;
  }

 private:
  DumpReader& dump_;
};

class Live : public ReferenceRows {
 public:
  explicit Live(Side& side) : side_(side) {}

  absl::StatusOr<std::vector<PositionMetrics>> Compare(const Track& track, int index,
                                                       const Rows& candidate) override {
    const Item& item = track.items[static_cast<size_t>(index)];
    auto rows = side_.LogitRows(item.ids, {candidate.first, candidate.first + candidate.rows()},
                                track.evaluation);
    if (!rows.ok()) return rows.status();
    std::vector<PositionMetrics> result;
    result.reserve(static_cast<size_t>(candidate.rows()));
    for (int i = 0; i < candidate.rows(); ++i) {
      result.push_back(CompareRow(rows->row(i), candidate.row(i)));
    }
    return result;
  }

 private:
  Side& side_;
};

}  // namespace

std::unique_ptr<ReferenceRows> StoredReference(DumpReader& dump) {
  return std::make_unique<FullDump>(dump);
}

std::unique_ptr<ReferenceRows> LiveReference(Side& side) { return std::make_unique<Live>(side); }

}  // namespace crosscheck::quality
