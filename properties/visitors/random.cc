#include "properties/visitors/random.h"

#include <algorithm>

namespace crosscheck {

uint64_t RandomVisitor::Scalar(const ScalarField& field, uint64_t /*index*/) {
  if (field.seed) {
    if (!stream_->OneIn(64)) return stream_->Next();
    return stream_->OneIn(2) ? 0 : field.max_index;
  }
  if (field.max_index == 0) return 0;
  const size_t bounds = field.ordered ? 2 : 0;
  if (bounds + field.interesting > 0 && Special()) {
    const uint64_t pick = Uniform(bounds + field.interesting - 1);
    if (pick < bounds) return pick == 0 ? 0 : field.max_index;
    const uint64_t index = field.InterestingIndex(pick - bounds);
    if (index <= field.max_index) return index;
  }
  return Uniform(field.typical_index);
}

size_t RandomVisitor::Length(const ListRange& range) {
  const size_t max = std::max(range.min, range.max);
  if (max == range.min) return max;
  if (Special()) {
    const uint64_t pick = Uniform(range.interesting.size() + 1);
    if (pick == 0) return range.min;
    if (pick == 1) return max;
    const size_t length = range.interesting.begin()[pick - 2];
    if (length >= range.min && length <= max) return length;
  }
  const size_t typical = std::clamp(range.typical, range.min, max);
  return range.min + Uniform(typical - range.min);
}

ListPlan RandomVisitor::BeginList(const ListField& field) {
  ListPlan plan{.length = Length(field.range)};
  if (field.range.repeats && plan.length >= 2 && stream_->OneIn(4)) {
    plan.period = 1 + Uniform(std::min<size_t>(plan.length / 2, 8) - 1);
    plan.repeat_from = plan.period + Uniform(plan.length - plan.period);
  }
  return plan;
}

void RandomVisitor::BeginGroup(std::string_view name, bool shared) {
  outer_.push_back(stream_);
  if (!shared) return;
  shared_.push_back(std::make_unique<Stream>(stream_->Shared(name)));
  stream_ = shared_.back().get();
}

void RandomVisitor::EndGroup() {
  stream_ = outer_.back();
  outer_.pop_back();
}

}  // namespace crosscheck
