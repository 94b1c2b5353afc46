#include "quality/tracks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

namespace crosscheck::quality {
namespace {

std::vector<int32_t> Counting(int size) {
  std::vector<int32_t> text(static_cast<size_t>(size));
  std::iota(text.begin(), text.end(), 100);
  return text;
}

TEST(TracksTest, AForcedItemScoresFromTheLastTokenOfThePrompt) {
  const Item item = ForcedItem({1, 2, 3}, {4, 5}, 10);
  EXPECT_THAT(item.ids, testing::ElementsAre(1, 2, 3, 4, 5));
  EXPECT_EQ(item.scored.first, 2);
  EXPECT_EQ(item.scored.last, 5);
  EXPECT_THAT(item.targets, testing::ElementsAre(4, 5, -1));
  EXPECT_THAT(ForcedItem({1, 2, 3}, {4, 5}, 1).ids, testing::ElementsAre(1, 2, 3));
}

TEST(TracksTest, EveryTargetOfATextIsScoredOnceWithItsOwnPosition) {
  const std::vector<int32_t> text = Counting(20);
  const Track track = TextTrack(text, PlanWindows({.length = 10, .stride = 5}, 20));
  std::vector<int32_t> targets;
  for (const Item& item : track.items) {
    for (int t = item.scored.first; t < item.scored.last; ++t) {
      const int32_t target = item.targets[static_cast<size_t>(t - item.scored.first)];
      EXPECT_EQ(item.ids[static_cast<size_t>(t)] + 1, target);
      targets.push_back(target);
    }
  }
  EXPECT_EQ(targets, std::vector<int32_t>(text.begin() + 1, text.end()));
}

TEST(TracksTest, LlamaCppsWindowsBeginWithTheBosTokenWhereThereIsOne) {
  const std::vector<Window> windows = PlanWindows({.scheme = Scheme::kLlamaCpp, .length = 8}, 16);
  ASSERT_EQ(windows.size(), 2U);
  EXPECT_EQ(TextTrack(Counting(16), windows, 7).items[1].ids[0], 7);
  EXPECT_EQ(TextTrack(Counting(16), windows).items[1].ids[0], 108);
}

TEST(TracksTest, StepsCoverTheirTargetsInPieces) {
  const Track track = StepTrack(Counting(20), 12, 6);
  EXPECT_EQ(track.positions(), 12);
  EXPECT_EQ(track.items[1].ids[0], 105);
}

}  // namespace
}  // namespace crosscheck::quality
