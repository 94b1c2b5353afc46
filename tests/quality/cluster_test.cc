#include "quality/metrics/cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <numeric>
#include <string>
#include <vector>

#include "quality/metrics/quantile.h"

namespace crosscheck::quality {
namespace {

TEST(Quantile, IsLinearBetweenRanks) {
  std::vector<double> x(1000);
  for (int i = 0; i < 1000; ++i) x[i] = (1000 - i) / 1000.0;
  EXPECT_NEAR(Quantile(x, 0.99), 0.99001, 1e-14);
  EXPECT_NEAR(Quantile(x, 0.999), 0.999001, 1e-14);
  EXPECT_EQ(Quantile(x, 0), 0.001);
  EXPECT_EQ(Quantile(x, 1), 1);
  EXPECT_TRUE(std::isnan(Quantile({}, 0.5)));
}

TEST(Distribution, SaysWhereTheWorstIs) {
  const Distribution d = DistributionOf(std::vector<double>{1, 5, 2, 5});
  EXPECT_EQ(d.mean, 3.25);
  EXPECT_EQ(d.median, 3.5);
  EXPECT_EQ(d.max, 5);
  EXPECT_EQ(d.argmax, 1u);
  EXPECT_TRUE(d.tail_is_maximum);
  EXPECT_EQ(d.q999, 5);
  std::vector<double> x(1000);
  std::iota(x.begin(), x.end(), 1);
  EXPECT_FALSE(DistributionOf(x).tail_is_maximum);
  EXPECT_NEAR(DistributionOf(x).q999, 999.001, 1e-9);
}

TEST(EstimateMean, OfTheWorkedClusters) {
  const std::vector<Cluster> clusters = {{0.30, 100}, {0.10, 50}, {0.55, 100}, {0.05, 25}};
  const MeanEstimate estimate = EstimateMean(clusters);
  EXPECT_NEAR(estimate.mean, 0.00363636, 5e-9);
  EXPECT_NEAR(estimate.standard_error, 9.117417e-4, 5e-11);
  const Interval two_sided = MeanInterval(estimate, 0.95);
  EXPECT_NEAR(two_sided.lower, 0.00073479, 5e-9);
  EXPECT_NEAR(two_sided.upper, 0.00653793, 5e-9);
  EXPECT_NEAR(OneSidedLimits(estimate, 0.95).upper, 0.00578202, 5e-9);
  EXPECT_TRUE(estimate.few_clusters());
}

TEST(EstimateMean, OneClusterOrNoneSaysNothing) {
  const MeanEstimate one = EstimateMean(std::vector<Cluster>{{2, 4}, {0, 0}});
  EXPECT_EQ(one.mean, 0.5);
  EXPECT_EQ(one.clusters, 1);
  EXPECT_TRUE(std::isinf(MeanInterval(one, 0.95).upper));
  EXPECT_TRUE(std::isnan(EstimateMean({}).mean));
}

TEST(EstimateMean, ClustersOfOneAreThePlainStandardError) {
  const std::vector<double> values = {1, 2, 4, 9};  // mean 4, sample variance 38/3
  EXPECT_NEAR(EstimateIndependent(values).standard_error, std::sqrt(38.0 / 3 / 4), 1e-14);
}

// Standard normal by Box and Muller.
double Normal(Stream& stream) {
  const double u = (static_cast<double>(stream.Next() >> 11) + 1) * 0x1p-53;
  const double v = static_cast<double>(stream.Next() >> 11) * 0x1p-53;
  return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v);
}

// Share of 2,000 simulated data sets (50 prompts x 100 positions, log-normal with a prompt effect)
// whose 95 % interval holds the true mean.
double Coverage(bool clustered) {
  constexpr double kPrompt = 0.5, kPosition = 1;
  const double truth = std::exp((kPrompt * kPrompt + kPosition * kPosition) / 2);
  Stream stream(7, "coverage");
  int covered = 0;
  for (int set = 0; set < 2000; ++set) {
    std::vector<Cluster> clusters;
    std::vector<double> all;
    for (int prompt = 0; prompt < 50; ++prompt) {
      const double effect = kPrompt * Normal(stream);
      std::vector<double> values;
      for (int t = 0; t < 100; ++t) values.push_back(std::exp(effect + kPosition * Normal(stream)));
      clusters.push_back(ClusterOf(values));
      all.insert(all.end(), values.begin(), values.end());
    }
    const Interval interval =
        MeanInterval(clustered ? EstimateMean(clusters) : EstimateIndependent(all), 0.95);
    covered += interval.lower <= truth && truth <= interval.upper;
  }
  return covered / 2000.0;
}

TEST(MeanInterval, CoversWhatItClaimsAtFiftyPrompts) {
  const double coverage = Coverage(true);
  EXPECT_GT(coverage, 0.88);
  EXPECT_LT(coverage, 0.97);
}

TEST(MeanInterval, IndependentPositionsCoverFarLess) { EXPECT_LT(Coverage(false), 0.6); }

TEST(BootstrapInterval, OfAMeanAgreesWithTheEstimator) {
  Stream stream(3, "values");
  std::vector<Cluster> clusters(200);
  for (Cluster& c : clusters) c = {static_cast<double>(stream.Int(0, 1000)) / 100, 1};
  const auto mean = [&](absl::Span<const int> indices) {
    double sum = 0, count = 0;
    for (const int i : indices) sum += clusters[i].sum, count += clusters[i].count;
    return sum / count;
  };
  const Interval bootstrap = BootstrapInterval(200, mean, 0.95, Stream(1, "bootstrap"));
  const Interval student = MeanInterval(EstimateMean(clusters), 0.95);
  const double width = student.upper - student.lower;
  EXPECT_NEAR(bootstrap.lower, student.lower, 0.1 * width);
  EXPECT_NEAR(bootstrap.upper, student.upper, 0.1 * width);
  EXPECT_EQ(BootstrapInterval(200, mean, 0.95, Stream(1, "bootstrap")).lower, bootstrap.lower);
}

// 40 clusters of 1 to 30 values with an effect of their cluster.
ClusteredValues Clustered(std::vector<std::vector<double>>* by_cluster) {
  Stream stream(5, "clustered values");
  ClusteredValues all;
  for (int c = 0; c < 40; ++c) {
    const double effect = Normal(stream);
    by_cluster->emplace_back();
    for (int64_t i = stream.Int(1, 30); i > 0; --i) {
      by_cluster->back().push_back(std::exp(effect + Normal(stream)));
      all.Add(c, by_cluster->back().back());
    }
  }
  return all;
}

TEST(ClusteredValues, QuantileIntervalsAreThoseOfSortedResamples) {
  std::vector<std::vector<double>> by_cluster;
  const ClusteredValues all = Clustered(&by_cluster);
  const std::vector<double> fractions = {0.5, 0.99, 0.999, 0, 1};
  const auto fast = all.QuantileIntervals(fractions, 40, 0.95, Stream(1, "bootstrap"), 300);
  for (size_t f = 0; f < fractions.size(); ++f) {
    const auto sorted = [&](absl::Span<const int> indices) {
      std::vector<double> values;
      for (const int i : indices) {
        values.insert(values.end(), by_cluster[i].begin(), by_cluster[i].end());
      }
      return Quantile(values, fractions[f]);
    };
    const Interval slow = BootstrapInterval(40, sorted, 0.95, Stream(1, "bootstrap"), 300);
    EXPECT_DOUBLE_EQ(fast[f].lower, slow.lower) << fractions[f];
    EXPECT_DOUBLE_EQ(fast[f].upper, slow.upper) << fractions[f];
  }
  const double median = Quantile(all.values(), 0.5);
  EXPECT_LT(fast[0].lower, median);
  EXPECT_GT(fast[0].upper, median);
}

TEST(ClusteredValues, NothingHasNoInterval) {
  EXPECT_TRUE(std::isnan(
      ClusteredValues().QuantileIntervals({0.5}, 3, 0.95, Stream(1, "bootstrap"))[0].lower));
}

// Share of 300 simulated data sets (50 prompts x 20 positions) whose interval of the 90 % quantile
// holds the true one.
TEST(ClusteredValues, AQuantilesIntervalCoversWhatItClaims) {
  Stream stream(11, "quantile coverage");
  // 90 % quantile of a sum of N(0, 0.25) and N(0, 1).
  const double truth = 1.2815515655446004 * std::sqrt(1.25);
  int covered = 0;
  for (int set = 0; set < 300; ++set) {
    ClusteredValues values;
    for (int prompt = 0; prompt < 50; ++prompt) {
      const double effect = 0.5 * Normal(stream);
      for (int t = 0; t < 20; ++t) values.Add(prompt, effect + Normal(stream));
    }
    const Interval interval =
        values.QuantileIntervals({0.9}, 50, 0.95, stream.Fork(std::to_string(set)), 400)[0];
    covered += interval.lower <= truth && truth <= interval.upper;
  }
  EXPECT_GT(covered / 300.0, 0.88);
  EXPECT_LT(covered / 300.0, 0.99);
}

}  // namespace
}  // namespace crosscheck::quality
