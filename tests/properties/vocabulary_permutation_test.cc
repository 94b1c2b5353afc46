#include <gtest/gtest.h>

#include "properties/judges/tolerance.h"
#include "properties/property.h"
#include "tests/properties/fake_observations.h"

namespace crosscheck {
namespace {

constexpr int kVocab = 4;
constexpr size_t kBase = 0, kPermuted = 1, kExact = 2, kReference = 3;

const Property& Relation() { return *FindProperty("vocabulary_permutation"); }

// Two tokens on the readout path; the engine's answers are equivariant to start with.
class VocabularyPermutationTest : public testing::Test {
 protected:
  VocabularyPermutationTest() {
    run_.model = FakeModel(kVocab);
    run_.sequences = {Sequence({1, 3})};
    run_.relation.permutation = 5;
    seen_.replies[kBase] = Answer(rows_);
    Permuted(0);
  }
  Reply Answer(const Rows& rows) const { return LogitsReply<float>({rows}, {{"readout", 2}}); }
  // The base answer in the other order, with an error at the second position.
  void Permuted(double error) {
    const std::vector<int32_t> permutation = VocabularyPermutation(5, kVocab);
    Rows permuted = rows_;
    for (size_t row = 0; row < 2; ++row) {
      for (size_t i = 0; i < kVocab; ++i) {
        permuted.logits[row][static_cast<size_t>(permutation[i])] = rows_.logits[row][i];
      }
    }
    permuted.logits[1][0] += error;
    seen_.replies[kPermuted] = Answer(permuted);
  }
  void References(double error) {
    Rows off = rows_;
    off.logits[0][2] += error;
    seen_.replies[kExact] = LogitsReply<double>({rows_}, {{"readout", 2}});
    seen_.replies[kReference] = Answer(off);
  }
  Verdict Judge() { return Relation().judge(Case(ModelRunSubject(), run_), seen_); }

  const Rows rows_ = {{0, 1}, {{1, 2, 3, 4}, {-1, 5, 0, 2}}};
  ModelRunCase run_;
  FakeObservations seen_;
};

TEST_F(VocabularyPermutationTest, PlanPermutesModelAndIdsAlike) {
  const std::vector<crosscheck::Run> plan = Relation().plan(Case(ModelRunSubject(), run_));
  ASSERT_EQ(plan.size(), kReference + kPerturbedRuns);
  const std::vector<int32_t> permutation = VocabularyPermutation(5, kVocab);
  EXPECT_EQ(plan[kPermuted].request.head["sequences"][0]["ids"],
            Json({permutation[1], permutation[3]}));
  EXPECT_EQ(plan[kPermuted].model->transform.kind, ModelTransform::Kind::kPermuteVocabulary);
  EXPECT_EQ(plan[kPermuted].model->transform.seed, 5u);
  EXPECT_EQ(plan[kBase].model, run_.model);
  EXPECT_EQ(plan[kExact].model, run_.model);
}

TEST_F(VocabularyPermutationTest, PaddingIsPermutedToo) {
  run_.sequences[0].left_padding = 2;
  const std::vector<crosscheck::Run> plan = Relation().plan(Case(ModelRunSubject(), run_));
  const std::vector<int32_t> permutation = VocabularyPermutation(5, kVocab);
  const Json &base = plan[kBase].request.head["sequences"][0]["ids"],
             &permuted = plan[kPermuted].request.head["sequences"][0]["ids"];
  ASSERT_EQ(base.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(permuted[i], permutation[base[i].get<size_t>()]);
  }
}

TEST_F(VocabularyPermutationTest, PermutedBitsPassWithoutAReference) {
  const Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kPass) << verdict.message;
  EXPECT_EQ(verdict.judged, 2);
  EXPECT_FALSE(seen_.looks.contains(kExact));
}

TEST_F(VocabularyPermutationTest, LogitsThatKeepTheirPlacesAreABug) {
  seen_.replies[kPermuted] = seen_.replies[kBase];
  References(0.001);
  const Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kEngineBug);
  EXPECT_EQ(verdict.signature.stage, "readout");
  EXPECT_EQ(verdict.signature.error, ErrorClass::kNumeric);
}

TEST_F(VocabularyPermutationTest, ADifferenceWithinTwoLegalRoundingsPasses) {
  Permuted(0.08);
  References(0.01);
  const Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kPass) << verdict.message;
  EXPECT_EQ(verdict.measures.size(), 3u);
  Permuted(0.09);
  EXPECT_EQ(Judge().kind, VerdictKind::kEngineBug);
}

TEST_F(VocabularyPermutationTest, APathThatDidNotRunIsUnsupported) {
  seen_.replies[kPermuted] = LogitsReply<float>({rows_}, {{"readout", 0}});
  EXPECT_EQ(Judge().kind, VerdictKind::kUnsupported);
}

TEST_F(VocabularyPermutationTest, AFailureOnThePermutedModelIsAFinding) {
  seen_.replies[kPermuted] = FailedReply(FailureKind::kRefused, "no");
  EXPECT_EQ(Judge().kind, VerdictKind::kEngineBug);
  EXPECT_EQ(Judge().signature.error, ErrorClass::kRejection);
}

}  // namespace
}  // namespace crosscheck
