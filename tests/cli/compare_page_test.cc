// The page of a comparison: every number is the comparison's, hostile text stays text.
#include "cli/reports/compare_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "cli/reports/compare_cells.h"
#include "cli/reports/compare_json.h"
#include "cli/reports/compare_text.h"
#include "tests/cli/markup_check.h"

namespace crosscheck {
namespace {

using testing::HasSubstr;
using testing::Not;

quality::ConfigurationResult Result(const std::string& name, double scale,
                                    const std::string& text) {
  quality::ConfigurationResult r;
  r.configuration = {.name = name,
                     .engine = "lattice",
                     .weight_format = "q4_sym",
                     .served_format = "",
                     .note = text};
  r.engine_text = text;
  r.echo = {{"format", text}};
  r.bits_per_weight = 4.5;
  r.weight_bytes = static_cast<int64_t>((1 << 20) / scale);
  r.metrics["kl_mean"] = {.value = 0.0123 * scale,
                          .lower = 0.01 * scale,
                          .upper = 0.02 * scale,
                          .count = 800,
                          .clusters = 16};
  r.metrics["top1_agreement"] = {.value = 0.95, .count = 800, .clusters = 16};
  r.metrics["greedy_match_10"] = {.value = 0.75, .count = 12, .clusters = 16};
  r.metrics["perplexity_log_ratio"] = {.value = 0.031 * scale,
                                       .lower = 0.02 * scale,
                                       .upper = 0.04 * scale,
                                       .count = 500,
                                       .clusters = 12};
  for (int i = 1; i <= 800; ++i) r.kl.push_back(scale * 1e-4 * i);
  for (int t = 0; t < 50; ++t) {
    const double median = scale * 0.01 * (1 + t);
    r.kl_by_position.push_back(
        {.median = median, .low = median / 4, .high = median * 3, .prompts = 16});
  }
  r.first_divergence.assign(51, 0);
  r.first_divergence[3] = 4;
  r.first_divergence[50] = 12;
  r.divergences.push_back({.prompt = text,
                           .index = 3,
                           .reference_token = 17,
                           .candidate_token = -1,
                           .gap = 0.25,
                           .allowed = 0.5,
                           .near_tie = true});
  r.worst.push_back({.track = "forced",
                     .item = text,
                     .position = 7,
                     .kl = 3.21,
                     .reference_token = 4,
                     .candidate_token = 5});
  r.layers.push_back({.layer = 0,
                      .stage = "attention",
                      .cosine_mean = 0.999,
                      .cosine_q01 = 0.98,
                      .relative_error_mean = 0.01,
                      .added_error_ratio = 10,
                      .positions = 64});
  r.layers.push_back({.layer = 1,
                      .stage = "mlp",
                      .cosine_mean = 0.998,
                      .cosine_q01 = 0.99,
                      .relative_error_mean = 0.02,
                      .added_error_ratio = 0.01,
                      .positions = 64});
  r.skips.push_back({"sampled", text});
  r.gates.push_back(
      {.gate = "kl100", .metric = "kl_mean", .verdict = quality::GateVerdict::kPass, .text = text});
  return r;
}

quality::Comparison MakeComparison(const std::string& text) {
  quality::Comparison c;
  c.reference = "torch:fp64";
  c.model = {{"config.json", "aaaa"}, {"model.safetensors", "bbbb"}};
  c.inputs.prompts_sha256 = "cccc";
  c.configurations = {Result("q4", 1, text), Result("q8", 0.1, text)};
  c.configurations[1].findings.push_back({"non-finite", text});
  c.noise = Result("noise-floor", 1e-5, text);
  c.options.model = text;
  return c;
}

constexpr char kHostile[] =
    "</table><script>alert(1)</script><svg onload=\"alert(2)\">&amp;'\" \x1b[31m \xff";

TEST(ComparePageTest, TheNumbersAreThoseOfTheComparison) {
  const std::string page = ComparePage(MakeComparison("text"));
  EXPECT_EQ(MarkupError(page), "");
  for (const char* text :
       {"<td class=\"n\">0.0123 [0.01, 0.02]</td>", "<td class=\"n\">95.0 %</td>",
        "<td class=\"n\">12/16</td>", "<td class=\"n\">0.031 [0.02, 0.04]</td>",
        "<td class=\"n\">3.21</td>", "L00 attention (added error 10 of its bound, cosine 0.98000)",
        "near tie, waived", "<td class=\"n\">4.50</td>", "<code>aaaa</code>",
        "KL 1.23e-07 [1e-07, 2e-07]"}) {
    EXPECT_THAT(page, HasSubstr(text));
  }
}

// The part of the page that draws the plot of this title.
std::string FigureOf(const std::string& page, const std::string& title) {
  const size_t at = page.find("<figcaption>" + title);
  return at == std::string::npos ? "" : page.substr(at, page.find("</figure>", at) - at);
}

TEST(ComparePageTest, KlByPositionHasABandForEachConfigurationAndTheNoiseFloorNone) {
  const std::string figure = FigureOf(ComparePage(MakeComparison("text")), "KL by position");
  size_t bands = 0;
  for (size_t at = figure.find("fill-opacity=\"0.16\""); at != std::string::npos;
       at = figure.find("fill-opacity=\"0.16\"", at + 1)) {
    ++bands;
  }
  EXPECT_EQ(bands, 2U);
  EXPECT_THAT(figure, HasSubstr("noise floor"));
  EXPECT_THAT(figure, HasSubstr("5 to 95 %"));
  EXPECT_THAT(figure, HasSubstr("0.0025 … 0.03</td>"));  // position 0 of q4
}

TEST(ComparePageTest, EveryPlotHasATextAndItsNumbers) {
  const std::string page = ComparePage(MakeComparison("text"));
  for (const char* title : {"KL by position", "Tail of KL", "First divergence: q4",
                            "Perplexity against the reference", "Size against quality"}) {
    const std::string figure = FigureOf(page, title);
    EXPECT_THAT(figure, HasSubstr("role=\"img\"")) << title;
    EXPECT_THAT(figure, HasSubstr("<desc>")) << title;
    EXPECT_THAT(figure, HasSubstr("<table>")) << title;
  }
}

TEST(ComparePageTest, TheVerdictStandsFirstAndAFindingFails) {
  const std::string page = ComparePage(MakeComparison("text"));
  EXPECT_THAT(page, HasSubstr("<h1>crosscheck compare: FAIL</h1><p class=\"lead\"><span "
                              "class=\"badge bad\">FAIL</span> 2 configurations against "
                              "torch:fp64."));
  EXPECT_THAT(page, HasSubstr("<li><span class=\"badge good\">PASS</span> q4 PASS: KL 0.0123"));
}

TEST(ComparePageTest, HostileTextStaysText) {
  const std::string page = ComparePage(MakeComparison(kHostile));
  EXPECT_EQ(MarkupError(page), "");
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_THAT(page, Not(HasSubstr("onload=\"alert")));
  EXPECT_THAT(page, Not(HasSubstr("\x1b")));
  EXPECT_THAT(MarkupText(page), HasSubstr("</table><script>alert(1)</script>"));
}

TEST(ComparePageTest, AComparisonWithoutNumbersSaysSo) {
  const std::string page = ComparePage(quality::Comparison());
  EXPECT_EQ(MarkupError(page), "");
  EXPECT_THAT(page, HasSubstr("UNDECIDED"));
  EXPECT_THAT(page, HasSubstr("Nothing was recorded."));
  EXPECT_THAT(page, HasSubstr("No layer was compared."));
}

TEST(ShareTextTest, OnlyAllIsAHundredPercent) {
  const auto share = [](double value, int64_t count) {
    quality::Estimate estimate{.value = value};
    estimate.count = count;
    return ShareText(&estimate);
  };
  EXPECT_EQ(share(0.9, 100), "90.0 %");  // two decimals of a hundred positions say nothing
  EXPECT_EQ(share(0.99999, 20000), "99.99 %");
  EXPECT_EQ(share(1, 20000), "100.00 %");
}

TEST(CompareSummaryTest, HasTwentyLinesAtMostWhateverThereIs) {
  quality::Comparison c = MakeComparison("text");
  for (int i = 0; i < 30; ++i) c.configurations.push_back(Result("more", 2, "text"));
  c.options.command = "crosscheck compare MODEL --config more";
  c.options.out = "report";
  c.model = {{"config.json", std::string(64, 'a')}};
  const std::string summary = CompareSummary(c);
  EXPECT_LE(std::count(summary.begin(), summary.end(), '\n'), 20);
  EXPECT_THAT(summary, HasSubstr("22 more in the report"));
  EXPECT_THAT(summary, HasSubstr("crosscheck compare MODEL --config more"));
  EXPECT_THAT(summary, HasSubstr("report/compare.md"));
  EXPECT_THAT(summary, HasSubstr("config.json aaaaaaaaaaaa;"));
  EXPECT_THAT(summary, HasSubstr("32 passed, 0 failed, 0 undecided; findings: 1"));
}

TEST(CompareJunitTest, WhatIsUndecidedIsSkippedWithItsReason) {
  quality::Comparison c = MakeComparison("text");
  c.configurations.resize(1);
  c.configurations[0].gates = {
      {.gate = "g", .metric = "m", .verdict = quality::GateVerdict::kUndecided, .text = "5/5"},
      {.gate = "h", .metric = "m", .verdict = quality::GateVerdict::kFail, .text = "0/5"}};
  const std::string xml = CompareJunit(c);
  EXPECT_THAT(xml, HasSubstr("tests=\"3\" failures=\"1\" skipped=\"2\""));
  EXPECT_THAT(xml, HasSubstr("name=\"g\"><skipped message=\"5/5\"/>"));
  EXPECT_THAT(xml, HasSubstr("name=\"h\"><failure message=\"0/5\"/>"));
  EXPECT_THAT(xml, HasSubstr("<skipped message=\"not measured: text\"/>"));
  c.configurations[0].gates.clear();  // nothing was decided: not green
  EXPECT_THAT(CompareJunit(c), HasSubstr("no gate names this configuration"));
}

TEST(LayerMapTest, ShadesDecadesAndFramesWhatIsBeyondTheBound) {
  const HeatMap map = LayerMap(Result("q4", 1, ""));
  ASSERT_EQ(map.columns, (std::vector<std::string>{"attention", "mlp"}));
  ASSERT_EQ(map.rows.size(), 2u);
  const HeatMap::Cell& beyond = map.rows[0].second[0];
  EXPECT_EQ(beyond.text, "1.0");
  EXPECT_TRUE(beyond.marked);
  EXPECT_DOUBLE_EQ(*beyond.shade, 1);
  const HeatMap::Cell& within = map.rows[1].second[1];
  EXPECT_EQ(within.text, "-2.0");
  EXPECT_FALSE(within.marked);
  EXPECT_DOUBLE_EQ(*within.shade, 0.25);
  EXPECT_FALSE(map.rows[0].second[1].shade.has_value());
}

}  // namespace
}  // namespace crosscheck
