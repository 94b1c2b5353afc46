#include "fuzz/distil.h"

#include <algorithm>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace crosscheck {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::set<std::string> Kept(const std::vector<DistilInput>& inputs) {
  std::set<std::string> kept;
  for (const size_t i : Distil(inputs)) kept.insert(inputs[i].content);
  return kept;
}

std::vector<DistilInput> Shuffled(std::vector<DistilInput> inputs, uint64_t seed) {
  Stream stream(seed, "shuffle");
  for (size_t i = inputs.size(); i > 1; --i) {
    std::swap(inputs[i - 1],
              inputs[static_cast<size_t>(stream.Int(0, static_cast<int64_t>(i) - 1))]);
  }
  return inputs;
}

TEST(DistilTest, KeepsTheSmallestInputOfEachFeature) {
  EXPECT_THAT(Distil({{"long", {1, 2}}, {"s", {1}}, {"longer", {2, 3}}, {"longest", {1, 2, 3}}}),
              ElementsAre(0, 1, 2));
  EXPECT_THAT(Distil({{"bb", {1}}, {"aa", {1}}}), ElementsAre(1));
  EXPECT_THAT(Distil({{"same", {1}}, {"same", {1}}}), ElementsAre(0));
  EXPECT_THAT(Distil({{"shows nothing", {}}}), IsEmpty());
  EXPECT_THAT(Distil({}), IsEmpty());
}

TEST(DistilTest, TheOrderOfTheInputsDoesNotMatter) {
  std::vector<DistilInput> inputs;
  Stream stream(1, "distil test");
  for (int i = 0; i < 300; ++i) {
    DistilInput input{.content = std::string(static_cast<size_t>(stream.Int(0, 6)), 'x')};
    input.content += static_cast<char>('a' + stream.Int(0, 25));
    for (int64_t f = stream.Int(0, 8); f > 0; --f) {
      input.features.push_back(static_cast<uint64_t>(stream.Int(0, 120)));
    }
    inputs.push_back(std::move(input));
  }
  // One content shows the same whenever it runs.
  std::sort(inputs.begin(), inputs.end(),
            [](const auto& a, const auto& b) { return a.content < b.content; });
  inputs.erase(std::unique(inputs.begin(), inputs.end(),
                           [](const auto& a, const auto& b) { return a.content == b.content; }),
               inputs.end());
  const std::set<std::string> kept = Kept(inputs);
  EXPECT_GT(kept.size(), 5u);
  EXPECT_LT(kept.size(), inputs.size());
  for (uint64_t seed = 0; seed < 20; ++seed) EXPECT_EQ(Kept(Shuffled(inputs, seed)), kept);
  // What is kept shows all that the whole showed, and distilling it again takes nothing away.
  std::set<uint64_t> all, of_kept;
  std::vector<DistilInput> again;
  for (const DistilInput& input : inputs) all.insert(input.features.begin(), input.features.end());
  for (const size_t i : Distil(inputs)) {
    of_kept.insert(inputs[i].features.begin(), inputs[i].features.end());
    again.push_back(inputs[i]);
  }
  EXPECT_EQ(all, of_kept);
  EXPECT_EQ(Kept(again), kept);
}

TEST(DistilTest, WhatACaseShowedIsTheSameTwiceAndAnotherErrorIsAnotherFeature) {
  const Property& property = *FindProperty("logit_closeness");
  const Case c = property.subject->read({}, Limits());
  Verdict verdict;
  verdict.signature.property = "logit_closeness";
  verdict.measures.push_back({.metric = "centred_linf", .path = "session", .error = 1, .bound = 9});
  const std::vector<uint64_t> far = ObservedFeatures(verdict, c);
  EXPECT_GT(far.size(), 3u + property.subject->labels(c).size());
  EXPECT_EQ(far, ObservedFeatures(verdict, c));
  verdict.measures[0].error = 8;
  EXPECT_NE(far, ObservedFeatures(verdict, c));
}

TEST(MergeControlTest, ReadsTheFeaturesOfEachFile) {
  const auto files = ReadMergeControl(
      "2\n0\n/in/a\n/in/b\nSTARTED 0 3\nFT 0 1 18446744073709551615\nCOV 0 4\nSTARTED 1 5\n");
  ASSERT_TRUE(files.ok()) << files.status();
  ASSERT_EQ(files->size(), 2u);
  EXPECT_EQ((*files)[0].first, "/in/a");
  EXPECT_THAT((*files)[0].second, ElementsAre(1u, ~uint64_t{0}));
  EXPECT_THAT((*files)[1].second, IsEmpty());  // it ended the target
  for (const char* broken :
       {"", "x\n0\n", "3\n0\n/in/a\n", "1\n0\n/in/a\nFT 7 1\n", "1\n0\n/in/a\nFT 0 one\n"}) {
    EXPECT_FALSE(ReadMergeControl(broken).ok()) << broken;
  }
}

TEST(EdgeFeaturesTest, AProgramThatIsNoTargetIsAnError) {
  EXPECT_FALSE(EdgeFeatures("/bin/true", {"input"}).ok());
  EXPECT_FALSE(EdgeFeatures("/bin/there-is-none", {"input"}).ok());
}

}  // namespace
}  // namespace crosscheck
