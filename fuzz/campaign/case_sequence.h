// Which cases of a driver's sequence come next: what a killed run left out first, then onwards.
#ifndef CROSSCHECK_FUZZ_CAMPAIGN_CASE_SEQUENCE_H_
#define CROSSCHECK_FUZZ_CAMPAIGN_CASE_SEQUENCE_H_

#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

namespace crosscheck {

class CaseSequence {
 public:
  struct Range {
    int64_t first = 0, cases = 0;
  };
  // `recorded`: first indices and numbers of the cases that are done, in order.
  explicit CaseSequence(const std::vector<std::pair<int64_t, int64_t>>& recorded = {});

  Range Next(int64_t at_most);
  void Return(Range range);  // was not run after all

 private:
  std::deque<Range> gaps_;
  int64_t end_ = 0;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_CAMPAIGN_CASE_SEQUENCE_H_
