// What a dump keeps of the logits of one position in every mode (docs/dump_format.md): enough for
// perplexity, margins, greedy agreement and, with stored logits, for KL divergence.
#ifndef CROSSCHECK_QUALITY_POSITION_STAT_H_
#define CROSSCHECK_QUALITY_POSITION_STAT_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/types/span.h"

namespace crosscheck::quality {

// Columns of the F64 tensors `<track>.<prompt>.stat` [positions, 10], in this order.
struct PositionStat {
  double lse = 0;             // ln sum exp of the finite logits
  double max = 0;             // the largest finite logit
  double second = 0;          // the largest finite logit of another token than argmax
  double argmax = 0;          // its token; the lowest id wins ties; -1: no finite logit
  double ties = 0;            // further tokens whose logit equals max exactly
  double entropy = 0;         // of the softmax, nats
  double target_logprob = 0;  // ln softmax[target]; NaN where there is no target
  double nan_count = 0;
  double positive_infinities = 0;
  double negative_infinities = 0;  // legal: masked tokens

  double margin() const { return max - second; }
  bool finite() const { return nan_count == 0 && positive_infinities == 0 && argmax >= 0; }
};
inline constexpr int kStatColumns = 10;
inline constexpr std::string_view kStatColumnNames[kStatColumns] = {"lse",
                                                                    "max",
                                                                    "second",
                                                                    "argmax",
                                                                    "ties",
                                                                    "entropy",
                                                                    "target_logprob",
                                                                    "nan_count",
                                                                    "positive_infinities",
                                                                    "negative_infinities"};

// The columns at the end of `values`.
void Append(const PositionStat& stat, std::vector<double>& values);

// Of one row of logits [vocab]; `target` is the token whose log-probability is kept, -1: none.
// Sums in fp64.
PositionStat StatOf(absl::Span<const float> logits, int64_t target);
PositionStat StatOf(absl::Span<const double> logits, int64_t target);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_POSITION_STAT_H_
