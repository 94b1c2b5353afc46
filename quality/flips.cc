#include "quality/flips.h"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <cmath>
#include <vector>

#include "quality/dump_table.h"
#include "quality/metrics/greedy_match.h"
#include "quality/position_stat.h"

namespace crosscheck::quality {

absl::Status SummariseFlips(DumpReader& reference, DumpReader& candidate,
                            const SummaryInputs& inputs, ConfigurationResult& result) {
  std::vector<double> chances;  // of a legal flip
  int flips = 0;
  for (size_t i = 0; i < inputs.allowed->size() && i < inputs.spread->size(); ++i) {
    const int item = static_cast<int>(i);
    if (item >= candidate.Items("forced")) break;
    const auto ours = ReadTable(reference, "forced", item, "stat", kStatColumns);
    if (!ours.ok()) return ours.status();
    const auto theirs = ReadTable(candidate, "forced", item, "stat", kStatColumns);
    if (!theirs.ok()) return theirs.status();
    double least = INFINITY;
    int at = 0;
    for (int t = 0; t < std::min(ours->rows(), theirs->rows()); ++t) {
      const double margin = ours->at(t, kMax) - ours->at(t, kSecond);
      if (margin < least) least = margin, at = t;
    }
    if (!IsNearTie(least, (*inputs.allowed)[i], (*inputs.allowed)[i])) continue;
    const double sigma = (*inputs.spread)[i] * std::sqrt(2);
    chances.push_back(sigma > 0 ? cdf(boost::math::normal(), -least / sigma) : 0);
    flips += ours->at(at, kArgMax) != theirs->at(at, kArgMax);
  }
  if (inputs.allowed->empty()) return absl::OkStatus();
  const auto set = [&](const char* name, double value) {
    Estimate estimate{.value = value};
    estimate.count = estimate.clusters = static_cast<int>(chances.size());
    result.metrics[name] = estimate;
  };
  set("near_ties", static_cast<double>(chances.size()));
  set("flips", flips);
  set("flips_p_value", PoissonBinomialTail(chances, flips));
  return absl::OkStatus();
}

}  // namespace crosscheck::quality
