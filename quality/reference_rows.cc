#include "quality/reference_rows.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "quality/position_stat.h"

namespace crosscheck::quality {
namespace {

PositionMetrics CompareRow(absl::Span<const float> reference, absl::Span<const float> candidate) {
  if (!StatOf(reference, -1).finite() || !StatOf(candidate, -1).finite()) return UnknownMetrics();
  return ComparePosition(reference, candidate);
}

class FullDump : public ReferenceRows {
 public:
  explicit FullDump(DumpReader& dump) : dump_(dump) {}

  absl::StatusOr<std::vector<PositionMetrics>> Compare(const Track& track, int index,
                                                       const Rows& candidate,
                                                       TimeShare& share) override {
    auto logits = [&] {
      const Timed timed(share, Work::kReference);
      return dump_.Read(track.name, index, "logits");
    }();
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
    const Timed timed(share, Work::kComparison);
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

class TopKDump : public ReferenceRows {
 public:
  explicit TopKDump(DumpReader& dump) : dump_(dump) {}

  absl::StatusOr<std::vector<PositionMetrics>> Compare(const Track& track, int index,
                                                       const Rows& candidate,
                                                       TimeShare& share) override {
    std::array<const Tensor*, 5> tensors{};
    constexpr const char* kNames[] = {"top_ids", "top_logits", "tail_ids", "tail_logits", "stat"};
    constexpr DType kTypes[] = {DType::kI32, DType::kF32, DType::kI32, DType::kF32, DType::kF64};
    const Item& item = track.items[static_cast<size_t>(index)];
    for (size_t i = 0; i < tensors.size(); ++i) {
      auto tensor = dump_.Read(track.name, index, kNames[i]);
      if (!tensor.ok()) return tensor.status();
      tensors[i] = *tensor;
      if (tensors[i]->dtype != kTypes[i] || tensors[i]->shape.size() != 2 ||
          tensors[i]->shape[0] != item.scored.rows() || tensors[i]->shape[1] < 1) {
        return absl::FailedPreconditionError(
            absl::StrCat(dump_.folder(), ": ", tensors[i]->name, " has another form"));
      }
    }
    for (const size_t ids : {0, 2}) {  // each with its logits
      if (tensors[ids]->shape == tensors[ids + 1]->shape) continue;
      return absl::FailedPreconditionError(absl::StrCat(dump_.folder(), ": ", tensors[ids]->name,
                                                        " and its logits have other shapes"));
    }
    const auto row_of = [&](auto values, size_t which, size_t row) {
      const auto width = static_cast<size_t>(tensors[which]->shape[1]);
      return values.subspan(row * width, width);
    };
    const Timed timed(share, Work::kComparison);
    std::vector<PositionMetrics> result;
    result.reserve(static_cast<size_t>(candidate.rows()));
    for (int i = 0; i < candidate.rows(); ++i) {
      const auto row = static_cast<size_t>(candidate.first - item.scored.first) + i;
      const StoredTopK stored{.lse = row_of(tensors[4]->As<double>(), 4, row)[0],
                              .top_ids = row_of(tensors[0]->As<int32_t>(), 0, row),
                              .tail_ids = row_of(tensors[2]->As<int32_t>(), 2, row),
                              .top_logits = row_of(tensors[1]->As<float>(), 1, row),
                              .tail_logits = row_of(tensors[3]->As<float>(), 3, row)};
      const auto outside = [&](int32_t id) { return id >= candidate.vocab || id < -1; };
      if (std::any_of(stored.top_ids.begin(), stored.top_ids.end(), outside) ||
          std::any_of(stored.tail_ids.begin(), stored.tail_ids.end(), outside)) {
        return absl::FailedPreconditionError(absl::StrCat(dump_.folder(), ": ", tensors[0]->name,
                                                          " holds an id outside the vocabulary"));
      }
      const bool usable = StatOf(candidate.row(i), -1).finite() && stored.top_ids[0] >= 0;
      result.push_back(usable ? ComparePosition(stored, candidate.row(i)) : UnknownMetrics());
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
                                                       const Rows& candidate,
                                                       TimeShare& share) override {
    const Item& item = track.items[static_cast<size_t>(index)];
    auto rows = [&] {
      const Timed timed(share, Work::kReference);
      return side_.LogitRows(item.ids, {candidate.first, candidate.first + candidate.rows()},
                             track.evaluation);
    }();
    if (!rows.ok()) return rows.status();
    const Timed timed(share, Work::kComparison);
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
  if (dump.manifest().value("mode", "") == "topk") return std::make_unique<TopKDump>(dump);
  return std::make_unique<FullDump>(dump);
}

std::unique_ptr<ReferenceRows> LiveReference(Side& side) { return std::make_unique<Live>(side); }

}  // namespace crosscheck::quality
