#include <gtest/gtest.h>

#include <limits>

#include "properties/judges/tolerance.h"
#include "properties/property.h"
#include "reference/reference_model.h"
#include "tests/properties/fake_observations.h"

namespace crosscheck {
namespace {

constexpr size_t kFp64Orders = 2;
// After each path: the other orders of summation in fp64, then the references in fp32.
constexpr size_t kExact = 0, kReadout = 1, kFp32 = kReadout + kFp64Orders,
                 kSession = kFp32 + 1 + kReferenceRuns;

class ReferenceAgreementTest : public testing::Test {
 protected:
  ReferenceAgreementTest() {
    run_.model = FakeModel(3);
    run_.path = ModelPath::kSession;
    run_.sequences = {Sequence({1, 2})};
    run_.sequences[0].chunks = {1};
    rows_ = {{0, 1}, {{1, 2, 8}, {2, -1, 0}}};
  }
  // Position 1 is answered on both paths.
  Reply Shifted(double error, const Json& counters) {
    Rows rows = rows_;
    rows.logits[1][0] += error;
    return LogitsReply<double>({rows}, counters);
  }
  Verdict Judge(double readout_error, double session_error, double fp32_error = 0,
                double fp64_error = 0) {
    Json counters = {{"readout", 2}, {"prefill", 1}, {"step", 1}};
    for (size_t i = 1; i <= kFp64Orders + kReferenceRuns; ++i) {
      const double error = i <= kFp64Orders ? fp64_error : fp32_error;
      seen_.replies[kReadout + i] = seen_.replies[kSession + i] = Shifted(error, counters);
    }
    seen_.replies[kExact] = LogitsReply<double>({rows_}, {{"readout", 2}});
    seen_.replies[kReadout] = Shifted(readout_error, {{"readout", 2}});
    seen_.replies[kSession] = Shifted(session_error, {{"prefill", 1}, {"step", 1}});
    return FindProperty("reference_agreement")->judge(Case(ModelRunSubject(), run_), seen_);
  }
  ModelRunCase run_;
  Rows rows_;
  FakeObservations seen_;
};

TEST_F(ReferenceAgreementTest, PlanNeedsNoEngineAndRunsFp64) {
  const Property& property = *FindProperty("reference_agreement");
  EXPECT_TRUE(property.needs.empty());
  std::vector<crosscheck::Run> plan = property.plan(Case(ModelRunSubject(), run_));
  ASSERT_EQ(plan.size(), 3 + 2 * (kFp64Orders + kReferenceRuns));
  EXPECT_EQ(plan[kFp32 + 4].role, Role::kPerturbed);
  EXPECT_EQ(plan[kFp32 + 4].variant, 3);
  EXPECT_EQ(plan[kReadout].variant, static_cast<int>(TorchPrecision::kFp64));
  EXPECT_EQ(plan[kSession].request.head["path"], "session");
  run_.path = ModelPath::kPrompt;
  EXPECT_EQ(property.plan(Case(ModelRunSubject(), run_)).size(), 2 + kFp64Orders + kReferenceRuns);
}

TEST_F(ReferenceAgreementTest, RoundingPassesOnBothPaths) {
  Verdict verdict = Judge(1e-16, -1e-16);
  EXPECT_EQ(verdict.kind, VerdictKind::kPass) << verdict.message;
  EXPECT_EQ(verdict.judged, 4);
  EXPECT_EQ(verdict.measures.size(), 2u);
}

TEST_F(ReferenceAgreementTest, MoreThanABillionthOfTheLargestLogitIsDriftOnEitherPath) {
  for (bool session : {false, true}) {
    Verdict verdict = session ? Judge(0, 1e-8) : Judge(1e-8, 0);
    EXPECT_EQ(verdict.kind, VerdictKind::kReferenceDrift);
    EXPECT_EQ(verdict.signature.stage, session ? "session" : "readout");
    EXPECT_EQ(verdict.signature.error, ErrorClass::kNumeric);
    EXPECT_LE(verdict.measures.back().bound, 8e-9);
  }
}

// The bucket of the case is calibrated: its fp64 spread is far below a billionth.
TEST_F(ReferenceAgreementTest, AnIllConditionedCaseMayDifferByWhatItsFp32ReferencesShow) {
  ASSERT_NE(CommittedErrorBounds().Find(BucketOf(run_, ModelPath::kReadout)), nullptr);
  EXPECT_EQ(Judge(4e-10, 0).kind, VerdictKind::kReferenceDrift);
  EXPECT_EQ(Judge(4e-10, 0, 0.3).kind, VerdictKind::kPass);
  EXPECT_EQ(Judge(1e-8, 0, 0.3).kind, VerdictKind::kReferenceDrift) << "more than explained";
  EXPECT_EQ(Judge(1e-8, 0, 100).kind, VerdictKind::kUnsupported) << "no pass above the cap";
}

// A step that is narrower than fp32 rounding and wider than fp64's: the fp32 references show its
// whole height and nothing of its slope.
TEST_F(ReferenceAgreementTest, OtherOrdersOfSummationInFp64ExplainWhatTheFp32ReferencesCannot) {
  EXPECT_EQ(Judge(1e-6, 0, 1, 0).kind, VerdictKind::kReferenceDrift);
  EXPECT_EQ(Judge(1e-6, 0, 1, 2e-7).kind, VerdictKind::kUnsupported) << "no pass above the cap";
  EXPECT_EQ(Judge(1e-6, 0, 1, 1e-7).kind, VerdictKind::kReferenceDrift) << "more than explained";
  EXPECT_EQ(Judge(4e-10, 0, 0, 1e-10).kind, VerdictKind::kPass);
}

TEST_F(ReferenceAgreementTest, NonFiniteLogitsAndFailuresAreDrift) {
  EXPECT_EQ(Judge(std::numeric_limits<double>::infinity(), 0).kind, VerdictKind::kReferenceDrift);
  Judge(0, 0);
  seen_.replies[kSession] = FailedReply(FailureKind::kRefused, "no");
  EXPECT_EQ(FindProperty("reference_agreement")->judge(Case(ModelRunSubject(), run_), seen_).kind,
            VerdictKind::kReferenceDrift);
}

}  // namespace
}  // namespace crosscheck
