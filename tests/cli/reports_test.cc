// The machine-readable reports: their shape, and that no text of an engine can break it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/reports/baseline.h"
#include "cli/reports/run_report.h"
#include "tests/cli/command.h"

namespace crosscheck {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr char kHostile[] = "]]>&<b a=\"'\">\x01\x1b[31m \xff\xfe \xEF\xBF\xBF \t\n--> ünïcode";

SmokeReport HostileReport() {
  SmokeReport report;
  report.engine = "python3 'x <y>' & z";
  report.build = "abc";
  report.seconds = 1.5;
  report.complete = true;
  for (const char* name : {"logit_closeness", "greedy_prefix", "lora_merge", "loader"}) {
    report.properties.emplace_back().name = name;
  }
  report.properties[0].judged = 3;
  report.properties[0].findings = 2;
  report.properties[1].judged = 5;
  report.properties[1].passed = 5;
  report.properties[2].unsupported[kHostile] = 7;
  report.properties[3].setup_errors = 1;
  SmokeFinding finding;
  finding.signature = {"logit_closeness", "x<y>", "readout", ErrorClass::kNumeric};
  finding.engine = report.engine;
  finding.message = kHostile;
  finding.case_file = "find ings/a&b%\n.case";
  finding.count = 2;
  report.findings.push_back(finding);
  report.errors.emplace_back(std::string("set-up: ") + kHostile);
  return report;
}

TEST(JunitTest, HasOneTestCasePerPropertyWithItsOutcome) {
  const std::string xml = ReportJunit(HostileReport());
  EXPECT_THAT(xml, HasSubstr("<testsuites tests=\"5\" failures=\"1\" errors=\"2\" skipped=\"1\""));
  EXPECT_THAT(xml, HasSubstr("name=\"logit_closeness\" time=\"0\"><failure type=\"finding\" "
                             "message=\"logit_closeness/x&lt;y&gt;/readout/numeric\">"));
  EXPECT_THAT(xml, HasSubstr("name=\"greedy_prefix\" time=\"0\"><system-out>"));
  EXPECT_THAT(xml, HasSubstr("name=\"lora_merge\" time=\"0\"><skipped message=\"7x "));
  EXPECT_THAT(xml, HasSubstr("name=\"loader\" time=\"0\"><error "));
  EXPECT_THAT(xml, HasSubstr("replay: crosscheck replay find ings/a&amp;b%"));
}

TEST(JunitTest, HostileTextIsWellFormedXml) {
  TemporaryFolder folder;
  const std::string file = (folder.path() / "junit.xml").string();
  std::ofstream(file) << ReportJunit(HostileReport());
  if (std::system("python3 -c '' 2>/dev/null") != 0) GTEST_SKIP() << "no python3 to parse XML with";
  const std::string parse =
      "python3 -c \"import sys, xml.etree.ElementTree as e; "
      "print(len(e.parse(sys.argv[1]).getroot()[0].findall('testcase')))\" " +
      file + " >" + file + ".out";
  ASSERT_EQ(std::system(parse.c_str()), 0);
  EXPECT_EQ(Slurp(file + ".out"), "5\n");
}

TEST(SarifTest, HasARuleAndALocationForEachFinding) {
  SmokeReport report = HostileReport();
  report.findings.push_back(report.findings[0]);
  report.findings[1].case_file = "/tmp/b.case";
  report.findings[1].marginal = true;
  // Through text, as a reader gets it.
  const json sarif =
      json::parse(ReportSarif(report).dump(1, ' ', false, json::error_handler_t::replace));
  EXPECT_EQ(sarif["version"], "2.1.0");
  const json& run = sarif["runs"][0];
  const json& driver = run["tool"]["driver"];
  EXPECT_EQ(driver["name"], "crosscheck");
  ASSERT_EQ(driver["rules"].size(), 1u) << "two findings of one signature share a rule";
  ASSERT_EQ(run["results"].size(), 2u);
  for (const json& result : run["results"]) {
    EXPECT_EQ(result["ruleId"], driver["rules"][result["ruleIndex"].get<size_t>()]["id"]);
    EXPECT_TRUE(result["message"]["text"].is_string());
    EXPECT_EQ(result["locations"][0]["physicalLocation"]["region"]["startLine"], 1);
    EXPECT_EQ(result["baselineState"], "new");
  }
  const auto uri = [&](size_t i) {
    return run["results"][i]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
  };
  EXPECT_EQ(uri(0), "find%20ings/a%26b%25%0A.case");
  EXPECT_EQ(uri(1), "file:///tmp/b.case");
  EXPECT_EQ(run["results"][0]["level"], "error");
  EXPECT_EQ(run["results"][1]["level"], "warning");
  EXPECT_EQ(run["invocations"][0]["executionSuccessful"], false);
}

TEST(SarifTest, ADriftIsAResultWithoutAFile) {
  SmokeReport report;
  report.engine = "lattice";
  report.drifts.push_back(
      {.property = "logit_closeness", .cases = 9, .log_evidence = 20, .flagged = true});
  const json sarif = ReportSarif(report);
  ASSERT_EQ(sarif["runs"][0]["results"].size(), 1u);
  EXPECT_FALSE(sarif["runs"][0]["results"][0]["locations"][0].contains("physicalLocation"));
  EXPECT_TRUE(HasNewFinding(report));
}

TEST(SarifTest, ACleanRunHasAnEmptyListOfResults) {
  const json sarif = ReportSarif(SmokeReport{});
  EXPECT_TRUE(sarif["runs"][0]["results"].is_array());
  EXPECT_TRUE(sarif["runs"][0]["results"].empty());
  EXPECT_EQ(sarif["runs"][0]["invocations"][0]["executionSuccessful"], true);
}

class BaselineTest : public testing::Test {
 protected:
  std::string File(const std::string& text) {
    const std::string file = (folder_.path() / "baseline.json").string();
    std::ofstream(file) << text;
    return file;
  }
  TemporaryFolder folder_;
};

TEST_F(BaselineTest, ReadsReportsAndLists) {
  SmokeReport report;
  report.engine = "lattice";
  report.findings.emplace_back();
  report.findings[0].signature = {"logit_closeness", "lattice", "readout", ErrorClass::kNumeric};
  report.drifts.push_back({.property = "greedy_prefix", .flagged = true});
  report.drifts.push_back({.property = "loader", .flagged = false});
  const auto read = ReadBaseline(File(ReportJson(report).dump()));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(*read, ElementsAre("greedy_prefix/lattice/run/distribution",
                                 "logit_closeness/lattice/readout/numeric"));
  for (const char* list : {R"(["a/b/c/token"])", R"([{"signature": "a/b/c/token"}])"}) {
    const auto signatures = ReadBaseline(File(list));
    ASSERT_TRUE(signatures.ok()) << signatures.status();
    EXPECT_THAT(*signatures, ElementsAre("a/b/c/token"));
  }
}

TEST_F(BaselineTest, SaysWhatIsWrongWithAFile) {
  for (const char* text :
       {"", "{", "{}", "3", "[3]", R"(["no signature"])", R"({"findings": 3})"}) {
    const auto read = ReadBaseline(File(text));
    ASSERT_FALSE(read.ok()) << text;
    EXPECT_THAT(std::string(read.status().message()), HasSubstr("baseline.json")) << text;
  }
  EXPECT_FALSE(ReadBaseline("no/such.json").ok());
  // What is of another type is as if it were not there.
  const auto other = ReadBaseline(
      File(R"({"findings": [], "engine": 5, "drifts": [3, {"flagged": 1, "property": []}]})"));
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_THAT(*other, testing::IsEmpty());
}

TEST_F(BaselineTest, OnlyNewSignaturesFail) {
  SmokeReport report = HostileReport();
  report.errors.clear();
  const std::string known = report.findings[0].signature.ToString();
  ApplyBaseline({known}, report);
  EXPECT_FALSE(HasNewFinding(report));
  EXPECT_EQ(report.properties[0].findings, 0);
  EXPECT_EQ(report.properties[0].baseline, 2);
  EXPECT_THAT(ReportJunit(report), Not(HasSubstr("<failure")));
  EXPECT_EQ(ReportSarif(report)["runs"][0]["results"][0]["baselineState"], "unchanged");
  report = HostileReport();
  ApplyBaseline({"other/lattice/readout/numeric"}, report);
  EXPECT_TRUE(HasNewFinding(report));
  EXPECT_EQ(report.properties[0].findings, 2);
}

}  // namespace
}  // namespace crosscheck
