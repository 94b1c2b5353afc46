// Judgement of drawn tokens against their exact laws: support, a screen of classical tests, and the
// e-value that decides (judging.md 8).
#ifndef CROSSCHECK_PROPERTIES_JUDGES_SAMPLING_H_
#define CROSSCHECK_PROPERTIES_JUDGES_SAMPLING_H_

#include <cstdint>
#include <string>
#include <vector>

#include "properties/statistics/goodness_of_fit.h"
#include "properties/stream.h"
#include "reference/sampling_law.h"

namespace crosscheck {

// A block of draws that is alarming at this level makes the judge draw fresh ones.
inline constexpr double kScreenLevel = 1e-3;

// Tokens in the order in which they were drawn, each of a law that earlier draws may decide.
struct DrawnBlock {
  std::vector<int32_t> tokens;
  std::vector<SamplingLaw> laws;
  std::vector<int> law_of;  // [tokens], empty: all follow laws[0]
};

// Whether rounding alone moves a probability of some law by more than the statistics may overlook
// (1e-3): logits whose rounding exceeds the scale of the distribution. Such draws have no law that
// a correct engine must follow.
bool RoundingDecides(const DrawnBlock& block);

// Which readings of the law allow every token of the block. One law: an index for each of its
// readings. Several laws: index 0 stands for "each draw is allowed by some reading of its law".
std::vector<int> AllowedReadings(const DrawnBlock& block);
// The first draw that its law forbids, for a person; "" when some reading allows the block.
std::string SupportViolation(const DrawnBlock& block);

struct Screen {
  TestResult pearson, likelihood_ratio;
  double tail = 1;        // exact binomial tail of the tail cell
  double uniformity = 1;  // Kolmogorov-Smirnov of the randomised transform
  double extreme = 1;     // transforms below 1e-3
  double lags = 1;        // smallest of the lag tests, times their number
  double collisions = 1;  // equal pairs
  double SmallestPValue() const;
  std::string ToString() const;
};

// The classical tests under one reading that allows the block. Several laws: the cells are 16 equal
// bins of the transform, and draws whose law has several readings are left out. `v` gives the
// randomness of the transform.
Screen ScreenBlock(const DrawnBlock& block, int reading, Stream v);

// ln of an e-value of the block: half of it the Dirichlet mixture over tokens (or bins), a quarter
// each the pairs at lags 1..8 and the equality of neighbours.
double LogEvidence(const DrawnBlock& block, int reading, Stream v);

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_JUDGES_SAMPLING_H_
