#include "fuzz/campaign/case_sequence.h"

#include <algorithm>

namespace crosscheck {

CaseSequence::CaseSequence(const std::vector<std::pair<int64_t, int64_t>>& recorded) {
  for (const auto& [first, cases] : recorded) {
    if (first > end_) gaps_.push_back({end_, first - end_});
    end_ = std::max(end_, first + cases);
  }
}

CaseSequence::Range CaseSequence::Next(int64_t at_most) {
  if (gaps_.empty()) {
    const Range range{end_, at_most};
    end_ += at_most;
    return range;
  }
  Range range = gaps_.front();
  gaps_.pop_front();
  if (range.cases > at_most) {
    gaps_.push_front({range.first + at_most, range.cases - at_most});
    range.cases = at_most;
  }
  return range;
}

void CaseSequence::Return(Range range) {
  if (range.cases > 0) gaps_.push_front(range);
}

}  // namespace crosscheck
