#include <gtest/gtest.h>

#include <cmath>

#include "properties/judges/tolerance.h"
#include "properties/property.h"
#include "tests/properties/fake_observations.h"

namespace crosscheck {
namespace {

// As planned: each probe on the sequence and on the edited one.
constexpr size_t kHidden = 0, kHiddenEdited = 1, kTaps = 2, kTapsEdited = 3, kNll = 4,
                 kNllEdited = 5, kShorter = 6, kExact = 7, kReference = 8;

const Property& Causality() { return *FindProperty("causality"); }

Reply TensorReply(const std::string& name, std::vector<int64_t> shape,
                  const std::vector<float>& values) {
  Reply reply;
  reply.message.head = {{"ok", true}};
  reply.message.tensors = {MakeTensor(name, std::move(shape), absl::MakeConstSpan(values))};
  return reply;
}

// Four tokens of which the third is replaced: positions 0 and 1 stand before it.
class CausalityTest : public testing::Test {
 protected:
  CausalityTest() {
    run_.model = FakeModel(8);
    run_.sequences = {Sequence({1, 2, 7, 4})};
    run_.relation.edit_from_end = 1;
    seen_.replies[kHidden] = TensorReply("hidden", {4, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
    seen_.replies[kHiddenEdited] = TensorReply("hidden", {4, 2}, {1, 2, 3, 4, 5, 9, 9, 9});
    seen_.replies[kTaps] = TensorReply("L00.mlp_out", {4, 1}, {1, 2, 3, 4});
    seen_.replies[kTapsEdited] = TensorReply("L00.mlp_out", {4, 1}, {1, 2, 9, 9});
    // The second entry is the probability of the replaced token itself.
    seen_.replies[kNll] = TensorReply("nll", {3}, {1, 2, 3});
    seen_.replies[kNllEdited] = TensorReply("nll", {3}, {1, 8, 9});
    seen_.replies[kShorter] = TensorReply("nll", {1}, {1});
  }
  Verdict Judge() { return Causality().judge(Case(ModelRunSubject(), run_), seen_); }
  void ExpectBug(const std::string& stage, ErrorClass error = ErrorClass::kState) {
    const Verdict verdict = Judge();
    EXPECT_EQ(verdict.kind, VerdictKind::kEngineBug) << verdict.message;
    EXPECT_EQ(verdict.signature.stage, stage);
    EXPECT_EQ(verdict.signature.error, error);
  }

  ModelRunCase run_;
  FakeObservations seen_;
};

TEST_F(CausalityTest, ChangesFromTheEditOnPass) {
  const Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kPass) << verdict.message;
  EXPECT_EQ(verdict.judged, 2 + 2 + 1 + 1);
}

TEST_F(CausalityTest, PlanReplacesOneTokenAtEqualLength) {
  run_.relation.edit_shift = 3;
  const std::vector<crosscheck::Run> plan = Causality().plan(Case(ModelRunSubject(), run_));
  ASSERT_EQ(plan.size(), kReference + kPerturbedRuns);
  for (size_t base : {kHidden, kTaps, kNll}) {
    EXPECT_EQ(plan[base].request.head["ids"], Json({1, 2, 7, 4}));
    EXPECT_EQ(plan[base + 1].request.head["ids"], Json({1, 2, 3, 4}));
    EXPECT_EQ(plan[base].request.head["op"], plan[base + 1].request.head["op"]);
    EXPECT_EQ(plan[base].model, plan[base + 1].model);
  }
}

TEST_F(CausalityTest, TheReplacedTokenAlwaysGetsAnotherId) {
  for (int shift = 0; shift <= 6; ++shift) {
    run_.relation.edit_shift = shift;
    EXPECT_NE(EditOf(run_).ids[2], 7);
  }
}

TEST_F(CausalityTest, OneUnitInTheLastPlaceBeforeTheEditIsABug) {
  seen_.replies[kHiddenEdited] =
      TensorReply("hidden", {4, 2}, {1, 2, 3, std::nextafter(4.0F, 5.0F), 5, 9, 9, 9});
  ExpectBug("hidden");
}

TEST_F(CausalityTest, ATapBeforeTheEditIsABug) {
  seen_.replies[kTapsEdited] = TensorReply("L00.mlp_out", {4, 1}, {0, 2, 9, 9});
  ExpectBug("taps");
}

TEST_F(CausalityTest, AnNllTwoPositionsBeforeTheEditIsABug) {
  seen_.replies[kNllEdited] = TensorReply("nll", {3}, {7, 8, 9});
  ExpectBug("nll");
}

// Another order of additions is legal at another length, a value of its own is not.
TEST_F(CausalityTest, AnNllThatDependsOnTheLengthBeyondRoundingIsABug) {
  const Rows exact = {{0, 1, 2, 3}, std::vector<std::vector<double>>(4, {0, 1, 2, 3, 4, 5, 6, 7})};
  Rows off = exact;
  off.logits[0][3] += 0.01;
  seen_.replies[kExact] = LogitsReply<double>({exact}, {{"readout", 4}});
  seen_.replies[kReference] = LogitsReply<float>({off}, {{"readout", 4}});
  seen_.replies[kShorter] = TensorReply("nll", {1}, {1.1});
  EXPECT_EQ(Judge().kind, VerdictKind::kPass) << Judge().message;
  seen_.replies[kShorter] = TensorReply("nll", {1}, {1.2});
  const Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kEngineBug);
  EXPECT_EQ(verdict.signature.stage, "shorter");
  EXPECT_EQ(verdict.signature.error, ErrorClass::kNumeric);
}

// Its experts' batches change with the edit, so that only the bound decides.
TEST_F(CausalityTest, InAMixtureOfExpertsNllsAreJudgedByTheBound) {
  auto model = std::make_shared<ModelRecipe>(*run_.model);
  model->spec.family = Family::kQwen35Moe;
  run_.model = model;
  const Rows exact = {{0, 1, 2, 3}, std::vector<std::vector<double>>(4, {0, 1, 2, 3, 4, 5, 6, 7})};
  Rows off = exact;
  off.logits[0][3] += 0.01;
  seen_.replies[kExact] = LogitsReply<double>({exact}, {{"readout", 4}});
  seen_.replies[kReference] = LogitsReply<float>({off}, {{"readout", 4}});
  seen_.replies[kHiddenEdited] = TensorReply("hidden", {4, 2}, {0, 2, 3, 4, 5, 9, 9, 9});
  seen_.replies[kNllEdited] = TensorReply("nll", {3}, {1.1, 8, 9});
  EXPECT_EQ(Judge().kind, VerdictKind::kPass) << Judge().message;
  seen_.replies[kNllEdited] = TensorReply("nll", {3}, {1.2, 8, 9});
  ExpectBug("nll", ErrorClass::kNumeric);
}

TEST_F(CausalityTest, AnEditThatChangesNothingProvesNothing) {
  seen_.replies[kHiddenEdited] = seen_.replies[kHidden];
  seen_.replies[kTapsEdited] = seen_.replies[kTaps];
  seen_.replies[kNllEdited] = seen_.replies[kNll];
  EXPECT_EQ(Judge().kind, VerdictKind::kUnsupported);
}

TEST_F(CausalityTest, ProbesThatTheEngineLacksAreLeftOut) {
  seen_.replies[kTaps] = seen_.replies[kNll] = FailedReply(FailureKind::kUnsupported, "no");
  const Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kPass);
  EXPECT_EQ(verdict.judged, 2);
  seen_.replies[kHidden] = FailedReply(FailureKind::kUnsupported, "no");
  EXPECT_EQ(Judge().kind, VerdictKind::kUnsupported);
}

TEST_F(CausalityTest, NothingStandsBeforeTheFirstToken) {
  run_.sequences = {Sequence({1})};
  run_.relation.edit_from_end = 0;
  seen_.replies.clear();
  EXPECT_EQ(Judge().kind, VerdictKind::kUnsupported);
}

TEST_F(CausalityTest, AFailureOfTheEditedRunIsAFinding) {
  seen_.replies[kHiddenEdited] = FailedReply(FailureKind::kInternal, "no");
  EXPECT_EQ(Judge().kind, VerdictKind::kCrash);
}

TEST_F(CausalityTest, RowsThatDoNotFitTheSequenceAreALie) {
  seen_.replies[kHiddenEdited] = TensorReply("hidden", {3, 2}, {1, 2, 3, 4, 5, 6});
  const Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kEngineBug);
  EXPECT_EQ(verdict.signature.error, ErrorClass::kProtocol);
}

}  // namespace
}  // namespace crosscheck
