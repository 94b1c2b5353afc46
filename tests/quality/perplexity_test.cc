#include "quality/metrics/perplexity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace crosscheck::quality {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Scores = std::vector<std::vector<double>>;

std::vector<int64_t> Targets(const WindowPlan& plan, int64_t tokens) {
  std::vector<int64_t> counts;
  for (const Window& w : PlanWindows(plan, tokens)) counts.push_back(w.targets());
  return counts;
}

TEST(PlanWindows, EveryTargetOnceInTheFirstWindowThatCoversIt) {
  EXPECT_THAT(Targets({.length = 10, .stride = 5}, 20), ElementsAre(9, 5, 5));
  EXPECT_THAT(Targets({}, 1000), ElementsAre(511, 256, 232));
  EXPECT_THAT(Targets({}, 512), ElementsAre(511));
  EXPECT_THAT(Targets({}, 513), ElementsAre(511, 1));
  EXPECT_THAT(Targets({}, 2), ElementsAre(1));
  EXPECT_THAT(Targets({}, 1), ElementsAre());
  int64_t next = 1;
  for (const Window& w : PlanWindows({.length = 7, .stride = 3}, 100)) {
    EXPECT_EQ(w.first_target, next);
    EXPECT_GT(w.first_target, w.begin);
    EXPECT_LE(w.last_target, w.end);
    EXPECT_LE(w.end - w.begin, 7);
    next = w.last_target;
  }
  EXPECT_EQ(next, 100);
}

TEST(PlanWindows, LlamaCppScoresTheSecondHalfOfDisjointWindows) {
  const WindowPlan plan{.scheme = Scheme::kLlamaCpp};
  EXPECT_THAT(Targets(plan, 2048), ElementsAre(255, 255, 255, 255));
  EXPECT_THAT(Targets(plan, 2047), ElementsAre(255, 255, 255));
  const Window second = PlanWindows(plan, 2048)[1];
  EXPECT_EQ(second.begin, 512);
  EXPECT_EQ(second.first_target, 512 + 257);
  EXPECT_EQ(second.last_target, 1024);
  EXPECT_TRUE(second.replace_first_by_bos);
}

TEST(PlanWindows, TransformersWeighsWindowsAfterTheFirstByOneTargetLess) {
  const WindowPlan plan{.scheme = Scheme::kHf, .length = 10, .stride = 5};
  const std::vector<Window> windows = PlanWindows(plan, 20);
  const Scores nll = {std::vector<double>(9, 1.0), std::vector<double>(5, 2.0),
                      std::vector<double>(5, 3.0)};
  EXPECT_NEAR(std::log(Perplexity(Scheme::kHf, nll)), (9 * 1 + 4 * 2 + 4 * 3) / 17.0, 1e-15);
  EXPECT_NEAR(std::log(Perplexity(Scheme::kWindow, nll)), (9 * 1 + 5 * 2 + 5 * 3) / 19.0, 1e-15);
}

TEST(PlanError, NamesTheBadNumber) {
  EXPECT_EQ(PlanError({}), "");
  EXPECT_THAT(PlanError({.stride = 512}), HasSubstr("stride 512"));
  EXPECT_THAT(PlanError({.stride = 0}), HasSubstr("stride 0"));
  EXPECT_THAT(PlanError({.length = 1}), HasSubstr("length 1"));
  EXPECT_EQ(PlanError({.scheme = Scheme::kLlamaCpp, .stride = 0}), "");
}

TEST(ComparePerplexity, PairingAndClustersOfTheWorkedExample) {
  const Scores p = {{2, 3, 1}, {0.5, 1.5, 2.5}}, q = {{2.1, 3.2, 0.9}, {0.6, 1.6, 2.6}};
  const PerplexityRatio result = ComparePerplexity(p, q);
  EXPECT_NEAR(result.reference, 5.754602676005731, 1e-14);
  EXPECT_NEAR(result.candidate, 6.254700951936329, 1e-14);
  EXPECT_NEAR(result.ratio(), 1.086904049521229, 1e-15);
  EXPECT_EQ(result.targets, 6);
  EXPECT_NEAR(std::exp(result.log_ratio.mean), result.ratio(), 1e-14);
  EXPECT_NEAR(result.log_ratio.standard_error, 0.016667, 5e-7);
  // Without clusters, and without pairing.
  EXPECT_NEAR(
      EstimateIndependent(std::vector<double>{0.1, 0.2, -0.1, 0.1, 0.1, 0.1}).standard_error,
      0.040139, 5e-7);
  const double se_p =
      EstimateIndependent(std::vector<double>{2, 3, 1, 0.5, 1.5, 2.5}).standard_error;
  const double se_q =
      EstimateIndependent(std::vector<double>{2.1, 3.2, 0.9, 0.6, 1.6, 2.6}).standard_error;
  EXPECT_NEAR(std::hypot(se_p, se_q), 0.558221, 5e-7);
}

TEST(ComparePerplexity, AScoreThatIsNotFiniteIsNotSkipped) {
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_FALSE(std::isfinite(ComparePerplexity(Scores{{1, 2}}, Scores{{1, infinity}}).candidate));
}

}  // namespace
}  // namespace crosscheck::quality
