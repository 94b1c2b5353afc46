// The property's judge on hand-made answers, both ways.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "properties/property.h"
#include "properties/sampler_runs.h"
#include "properties/statistics/e_value.h"
#include "properties/subjects/sampler.h"
#include "reference/reference_sampler.h"
#include "tests/properties/fake_observations.h"

namespace crosscheck {
namespace {

using testing::HasSubstr;

const Property& Sampler() { return *FindProperty("sampler_distribution"); }

Case Parse(const std::string& text) {
  const absl::StatusOr<Case> c = SamplerSubject().parse(text);
  EXPECT_TRUE(c.ok()) << c.status();
  return *c;
}

Reply Drawn(const std::vector<int32_t>& tokens, const std::string& order = "lattice") {
  Reply reply;
  reply.message.head = {
      {"ok", true}, {"tokens", tokens}, {"order", order}, {"counters", {{"drawn", tokens.size()}}}};
  return reply;
}

std::vector<double> Logits(const SamplerCase& c) {
  const std::vector<float> logits = MakeLogits(c.logits);
  return {logits.begin(), logits.end()};
}

// What a correct engine answers to the message of a run.
Reply Correct(const SamplerCase& c, const Message& message) {
  const auto sampler = MakeExactSampler();
  const DrawRequest request{Logits(c), NarrowParameters(c.parameters), c.history, {}};
  std::vector<int32_t> tokens;
  if (message.head["op"] == "invert") {
    const std::vector<double> uniforms = *message.Find("uniforms")->ToDoubles();
    tokens = *sampler->Invert(request, uniforms);
  } else if (message.head.contains("seeds")) {
    tokens = *sampler->DrawPerSeed(request, message.head["seeds"].get<std::vector<uint64_t>>());
  } else {
    tokens = *sampler->DrawStream(request, message.head["seed"].get<uint64_t>(),
                                  message.head["draws"].get<int64_t>());
  }
  return Drawn(tokens);
}

constexpr char kSeeds[] =
    "mode = seeds\ndraws = 2048\nlogits.vocab = 12\nlogits.spread = 3.6875\nlogits.seed = 5\n";
constexpr char kInvert[] =
    "mode = invert\ndraws = 300\nlogits.vocab = 12\nlogits.spread = 3.6875\nlogits.seed = 5\n";

TEST(SamplerDistributionTest, CorrectDrawsPassWithTheirStatistic) {
  const Case c = Parse(kSeeds);
  const auto& own = c.As<SamplerCase>();
  FakeObservations seen;
  seen.replies[0] = Correct(own, DrawMessage(own, 0));
  const Verdict verdict = Sampler().judge(c, seen);
  EXPECT_EQ(verdict.kind, VerdictKind::kPass) << verdict.message;
  EXPECT_EQ(verdict.judged, 2048);
  EXPECT_THAT(verdict.message, HasSubstr("chi-square "));
  EXPECT_THAT(verdict.message, HasSubstr(", df "));
  ASSERT_EQ(verdict.measures.size(), 2u);
  EXPECT_EQ(verdict.measures[0].metric, "chi_square");
}

TEST(SamplerDistributionTest, ATokenOfProbabilityZeroIsABugAtOnce) {
  const Case c = Parse(std::string(kSeeds) + "top_k = 1\n");
  FakeObservations seen;
  Reply reply = Correct(c.As<SamplerCase>(), DrawMessage(c.As<SamplerCase>(), 0));
  Json& tokens = reply.message.head["tokens"];
  tokens[77] = (tokens[77].get<int>() + 1) % 12;
  seen.replies[0] = reply;
  const Verdict verdict = Sampler().judge(c, seen);
  EXPECT_EQ(verdict.kind, VerdictKind::kEngineBug);
  EXPECT_EQ(verdict.signature.error, ErrorClass::kSupport);
  EXPECT_EQ(verdict.signature.stage, "seeds_random");
  EXPECT_THAT(verdict.message, HasSubstr("draw 77"));
}

TEST(SamplerDistributionTest, AnAlarmOfTheScreenIsDecidedOnFreshDraws) {
  const Case c = Parse(kSeeds);
  const auto& own = c.As<SamplerCase>();
  FakeObservations seen;
  seen.replies[0] = Drawn(std::vector<int32_t>(2048, 3));
  seen.replies[1] = Correct(own, DrawMessage(own, 1));
  const Verdict once = Sampler().judge(c, seen);
  EXPECT_EQ(once.kind, VerdictKind::kPass) << once.message;
  EXPECT_THAT(once.message, HasSubstr("fresh draws give ln E"));

  seen.replies[1] = seen.replies[2] = Drawn(std::vector<int32_t>(kFreshDraws, 3));
  const Verdict always = Sampler().judge(c, seen);
  EXPECT_EQ(always.kind, VerdictKind::kEngineBug) << always.message;
  EXPECT_EQ(always.signature.error, ErrorClass::kDistribution);
  EXPECT_FALSE(always.marginal);
}

// Evidence that fresh draws do not confirm: the second block is what the law says, so the product
// falls only by the price of the mixture; with overwhelming evidence before it stays a bug
// (judging.md 8.10).
TEST(SamplerDistributionTest, EvidenceIsConfirmedByTheProduct) {
  const Case c = Parse(kSeeds);
  const auto& own = c.As<SamplerCase>();
  FakeObservations seen;
  seen.replies[0] = Drawn(std::vector<int32_t>(2048, 3));
  seen.replies[1] = Drawn(std::vector<int32_t>(kFreshDraws, 3));
  seen.replies[2] = Correct(own, DrawMessage(own, 2));
  const Verdict verdict = Sampler().judge(c, seen);
  EXPECT_EQ(verdict.kind, VerdictKind::kEngineBug);
  EXPECT_THAT(verdict.message, HasSubstr("with a second fresh block"));
}

TEST(SamplerDistributionTest, ExplicitUniformsArePredicted) {
  const Case c = Parse(kInvert);
  const auto& own = c.As<SamplerCase>();
  FakeObservations seen;
  seen.replies[0] = Correct(own, InvertMessage(own));
  EXPECT_EQ(Sampler().judge(c, seen).kind, VerdictKind::kPass);
  // The last uniforms are random and far from every edge.
  Json& tokens = seen.replies[0].message.head["tokens"];
  tokens.back() = (tokens.back().get<int>() + 1) % 12;
  const Verdict verdict = Sampler().judge(c, seen);
  EXPECT_EQ(verdict.kind, VerdictKind::kEngineBug);
  EXPECT_EQ(verdict.signature.error, ErrorClass::kToken);
  EXPECT_EQ(verdict.signature.stage, "invert");
}

// Top-k cuts a cluster of near ties whose mass together exceeds that of each token before it.
TEST(SamplerDistributionTest, ACutClusterComesAfterWhatIsMoreLikely) {
  const Case c = Parse(
      "mode = invert\ndraws = 1\nlogits.vocab = 21\nlogits.style = near_tied\n"
      "logits.spread = 3.6875\ntop_k = 8\n");
  const auto& own = c.As<SamplerCase>();
  FakeObservations seen;
  seen.replies[0] = Correct(own, InvertMessage(own));
  EXPECT_EQ(Sampler().judge(c, seen).kind, VerdictKind::kPass);
}

TEST(SamplerDistributionTest, AMaskedTokenForTheLargestUniformIsASupportBug) {
  const Case c = Parse(std::string(kInvert) + "logits.style = masked\n");
  const auto& own = c.As<SamplerCase>();
  FakeObservations seen;
  seen.replies[0] = Correct(own, InvertMessage(own));
  EXPECT_EQ(Sampler().judge(c, seen).kind, VerdictKind::kPass);
  const std::vector<double> logits = Logits(own);
  const auto masked =
      std::find_if(logits.begin(), logits.end(), [](double l) { return l < -1e30; });
  ASSERT_NE(masked, logits.end());
  EXPECT_EQ(Uniforms(own)[2], 1 - 0x1p-24f);
  seen.replies[0].message.head["tokens"][2] = masked - logits.begin();
  const Verdict verdict = Sampler().judge(c, seen);
  EXPECT_EQ(verdict.signature.error, ErrorClass::kSupport) << verdict.message;
}

TEST(SamplerDistributionTest, LiesAndUnknownOrdersAreNamed) {
  const Case c = Parse(kSeeds);
  FakeObservations seen;
  seen.replies[0] = Drawn(std::vector<int32_t>(2047, 3));
  EXPECT_EQ(Sampler().judge(c, seen).signature.error, ErrorClass::kProtocol);
  seen.replies[0] = Drawn(std::vector<int32_t>(2048, 12));
  EXPECT_EQ(Sampler().judge(c, seen).signature.error, ErrorClass::kProtocol);
  seen.replies[0] = Drawn(std::vector<int32_t>(2048, 3), "alphabetical");
  const Verdict unknown = Sampler().judge(c, seen);
  EXPECT_EQ(unknown.kind, VerdictKind::kUnsupported);
  EXPECT_THAT(unknown.message, HasSubstr("alphabetical"));
  seen.replies[0] = Drawn(std::vector<int32_t>(2048, 3));
  seen.replies[0].message.head["counters"]["drawn"] = 0;
  EXPECT_EQ(Sampler().judge(c, seen).kind, VerdictKind::kUnsupported);
}

TEST(SamplerDistributionTest, FreshBlocksUseSeedsThatNoBlockUsedBefore) {
  const Case c = Parse("mode = seeds\nseeds = consecutive\ndraws = 256\n");
  const auto& own = c.As<SamplerCase>();
  const auto seeds = [&](int block) {
    return DrawMessage(own, block).head["seeds"].get<std::vector<uint64_t>>();
  };
  EXPECT_EQ(seeds(0).front(), 0u);
  EXPECT_EQ(seeds(0).back() + 1, seeds(1).front());
  EXPECT_EQ(seeds(1).back() + 1, seeds(2).front());
}

TEST(SamplerDistributionTest, APenalisedStreamHasALawForEachHistory) {
  const Case c = Parse(
      "mode = stream\ndraws = 64\nlogits.vocab = 3\nlogits.spread = 3.6875\nlogits.seed = 5\n"
      "repetition_penalty = 2\n");
  const auto& own = c.As<SamplerCase>();
  FakeObservations seen;
  seen.replies[0] = Correct(own, DrawMessage(own, 0));
  DrawnBlock block;
  ASSERT_FALSE(ReadBlock(own, "stream", 0, seen, block).has_value());
  EXPECT_EQ(block.law_of.size(), 64u);
  EXPECT_EQ(block.law_of[0], 0);
  EXPECT_EQ(block.law_of[1], 1);
  EXPECT_EQ(block.laws.size(), 4u);  // none, one, two, all three tokens seen
}

}  // namespace
}  // namespace crosscheck
