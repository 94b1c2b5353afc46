// Engines that compute the model with legal rounding have no findings.
#include <algorithm>
#include <cstdlib>

#include "fuzz/smoke.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace crosscheck {
namespace {

// ci/soak asks for 100,000.
int64_t Cases() {
  const char* text = std::getenv("CROSSCHECK_CLEAN_CASES");
  return text == nullptr ? 2000 : std::max(1, std::atoi(text));
}

class CleanTest : public testing::TestWithParam<const char*> {};

TEST_P(CleanTest, HasNoFindings) {
  SmokeOptions options;
  options.executor.engine = GetParam();
  options.executor.references = ReferenceUse::kLazy;
  options.cases = Cases();
  options.jobs = 2;
  options.minimise.max_evaluations = 200;
  const absl::StatusOr<SmokeReport> report = RunSmoke(options);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->complete);
  EXPECT_THAT(report->errors, testing::IsEmpty());
  for (const SmokeFinding& finding : report->findings) {
    ADD_FAILURE() << finding.signature.ToString() << ", " << finding.count << " cases, first "
                  << finding.first_case << "\n"
                  << finding.message;
  }
  for (const PropertyReport& property : report->properties) {
    EXPECT_GT(property.passed, property.cases / 4) << property.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Every, CleanTest,
                         testing::Values("torch", "exact:fp32", "exact:fp32-chunked-reversed",
                                         "exact:fp32-chunked-pairwise"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace_if(
                               name.begin(), name.end(), [](char c) { return !std::isalnum(c); },
                               '_');
                           return name;
                         });

}  // namespace
}  // namespace crosscheck
