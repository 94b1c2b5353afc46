// Other tokens at near ties, as a population.
#include "quality/flips.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <vector>

#include "quality/dump_table.h"
#include "quality/position_stat.h"
#include "tests/own_folder.h"

namespace crosscheck::quality {
namespace {

constexpr double kAllowed = 0.1, kSpread = 0.02;

// What one side keeps of a prompt: at each position a margin and the chosen token.
struct Choice {
  double margin;
  double token;
};
using Prompts = std::vector<std::vector<Choice>>;

std::unique_ptr<DumpReader> Recorded(const std::string& folder, const Prompts& prompts) {
  auto writer = DumpWriter::Open(folder, {{"format", kDumpFormat}});
  EXPECT_TRUE(writer.ok()) << writer.status();
  std::vector<Tensor> tensors;
  for (size_t i = 0; i < prompts.size(); ++i) {
    std::vector<double> rows;
    for (const Choice& choice : prompts[i]) {
      Append(PositionStat{.max = 1, .second = 1 - choice.margin, .argmax = choice.token}, rows);
    }
    tensors.push_back(MakeTensor(TensorName("forced", static_cast<int>(i), "stat"),
                                 {static_cast<int64_t>(prompts[i].size()), kStatColumns},
                                 absl::MakeConstSpan(rows)));
  }
  EXPECT_TRUE((*writer)->Write({"forced", 0, static_cast<int>(prompts.size())}, tensors).ok());
  auto reader = DumpReader::Open(folder);
  EXPECT_TRUE(reader.ok()) << reader.status();
  return *std::move(reader);
}

// Near ties, flips and their p-value.
std::vector<double> FlipsOf(const Prompts& reference, const Prompts& candidate) {
  const OwnFolder a, b;
  const std::vector<double> allowed(reference.size(), kAllowed), spread(reference.size(), kSpread);
  SummaryInputs inputs;
  inputs.allowed = &allowed;
  inputs.spread = &spread;
  ConfigurationResult result;
  const absl::Status status = SummariseFlips(*Recorded(a.path(), reference),
                                             *Recorded(b.path(), candidate), inputs, result);
  EXPECT_TRUE(status.ok()) << status;
  return {result.metrics.at("near_ties").value, result.metrics.at("flips").value,
          result.metrics.at("flips_p_value").value};
}

TEST(Flips, AreAsLikelyAsTheirMarginsSay) {
  // At exact ties each side is as likely: one of the other tokens in three is no wonder, three are.
  const Prompts tied(3, {{5, 1}, {0, 2}});
  Prompts one = tied, all = tied;
  one[1][1].token = 9;
  for (auto& prompt : all) prompt[1].token = 9;
  EXPECT_EQ(FlipsOf(tied, tied), (std::vector<double>{3, 0, 1}));
  EXPECT_EQ(FlipsOf(tied, one), (std::vector<double>{3, 1, 0.875}));
  EXPECT_EQ(FlipsOf(tied, all), (std::vector<double>{3, 3, 0.125}));
}

TEST(Flips, ManyAtMarginsThatRoundingSeldomTurnsAreAFault) {
  const double margin = 2 * kSpread * std::sqrt(2);  // two standard deviations: 0.0228
  const Prompts right(20, {{margin, 1}});
  Prompts legal = right, wrong = right;
  legal[4][0].token = 2;
  for (size_t i = 0; i < 6; ++i) wrong[i][0].token = 2;
  const std::vector<double> seldom = FlipsOf(right, legal), often = FlipsOf(right, wrong);
  EXPECT_NEAR(seldom[2], 1 - std::pow(1 - 0.022750131948, 20), 1e-9);
  EXPECT_EQ(often[1], 6);
  EXPECT_LT(often[2], 1e-5);
}

TEST(Flips, OnlyTheLeastMarginOfAPromptCountsAndOnlyWhereRoundingMayTurnIt) {
  const Prompts reference = {{{5, 1}, {0.01, 2}, {0.02, 3}}, {{0.3, 4}}};
  Prompts candidate = reference;
  candidate[0][2].token = 9;  // not the least margin of its prompt
  candidate[1][0].token = 9;  // beyond twice what is allowed: a divergence, no near tie
  const std::vector<double> flips = FlipsOf(reference, candidate);
  EXPECT_EQ(flips[0], 1);
  EXPECT_EQ(flips[1], 0);
  EXPECT_EQ(flips[2], 1);
}

}  // namespace
}  // namespace crosscheck::quality
