#include "fuzz/edge_report.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace crosscheck {
namespace {

constexpr const char* kNm =
    "0000000000001000 t lattice::attention::scores::h0123456789abcdef\n"
    "0000000000001100 T lattice::attention::<impl core::fmt::Debug for X>::fmt\n"
    "0000000000001200 t "
    "_$LT$lattice..rope..Table$u20$as$u20$core..ops..Drop$GT$::drop::h0123456789abcdef\n"
    "0000000000001300 d not_code\n"
    "                 U undefined\n";
constexpr const char* kEdges =
    "library /lib/engine.so\n1000 f 3\n1010 - 0\n10ff - 1\n1100 f 0\n1200 f 2\n1210 - 2\ninputs "
    "3\n";

TEST(EdgeReportTest, CountsTheEdgesOfEachFunction) {
  const auto report = ParseEdges(kEdges, ParseSymbols(kNm));
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->library, "/lib/engine.so");
  EXPECT_EQ(report->inputs, 3);
  EXPECT_EQ(report->edges, 6);
  EXPECT_EQ(report->reached, 4);
  ASSERT_EQ(report->functions.size(), 3u);
  const auto find = [&](const std::string& name) {
    for (const FunctionEdges& f : report->functions) {
      if (f.name == name) return f;
    }
    return FunctionEdges();
  };
  EXPECT_EQ(find("lattice::attention::scores").edges, 3);
  EXPECT_EQ(find("lattice::attention::scores").reached, 2);
  EXPECT_EQ(find("<lattice::rope::Table as core::ops::Drop>::drop").reached, 2);
}

TEST(EdgeReportTest, ModulesAreSummedLargestFirst) {
  const std::vector<FunctionEdges> modules =
      ByModule({{"lattice::rope::turn", 2, 1},
                {"lattice::attention::scores", 3, 2},
                {"<lattice::attention::Head as core::ops::Drop>::drop", 4, 0},
                {"main", 1, 1}});
  ASSERT_EQ(modules.size(), 3u);
  EXPECT_EQ(modules[0].name, "lattice::attention");
  EXPECT_EQ(modules[0].edges, 7);
  EXPECT_EQ(modules[0].reached, 2);
  EXPECT_EQ(modules[1].name, "lattice::rope");
  EXPECT_EQ(modules[2].name, "main");
}

TEST(EdgeReportTest, WithoutSymbolsAllIsOneFunctionAndWithoutEdgesAnError) {
  const auto report = ParseEdges(kEdges, {});
  ASSERT_TRUE(report.ok());
  ASSERT_EQ(report->functions.size(), 1u);
  EXPECT_EQ(report->functions[0].edges, 6);
  EXPECT_FALSE(ParseEdges("inputs 3\n", {}).ok());
  EXPECT_FALSE(ParseEdges("library x\n10 f many\ninputs 1\n", {}).ok());
  EXPECT_FALSE(
      ReadEdges({.program = "no/such/program", .subject = "", .engine = "", .inputs = {}}).ok());
}

}  // namespace
}  // namespace crosscheck
