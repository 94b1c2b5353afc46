// The page of a campaign and its JSON: every number is the store's, hostile text stays text, and a
// campaign that judged nothing is no success.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "cli/reports/campaign_page.h"
#include "cli/reports/campaign_report.h"
#include "cli/reports/run_report.h"
#include "fuzz/campaign/store.h"
#include "tests/cli/command.h"
#include "tests/cli/markup_check.h"

namespace crosscheck {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr char kHostile[] =
    "</pre></details><script>alert(1)</script><img src=x onerror=\"alert(2)\">&amp;'\" "
    "\x01\x1b[31m \xff\xfe ünïcode";

class ReportTest : public testing::Test {
 protected:
  ReportTest() {
    auto store = Store::Open(StateFile());
    EXPECT_TRUE(store.ok()) << store.status();
    store_ = std::make_unique<Store>(*std::move(store));
  }
  std::string Workdir() const { return folder_.path().string(); }
  std::string StateFile() const { return Workdir() + "/state/0.sqlite"; }

  int64_t Begin(const std::string& engines = "exact") {
    auto run = store_->BeginRun({.shards = 1,
                                 .build = "abc",
                                 .engines = engines,
                                 .engine_versions = "1.0",
                                 .seed = 7,
                                 .strategy = "all",
                                 .jobs = 2,
                                 .started = "2026-01-31T12:00:00Z"});
    EXPECT_TRUE(run.ok()) << run.status();
    return run.value_or(-1);
  }

  // 12,345 cases of logit_closeness with every verdict, five samples that grow by 1 MiB per second.
  int64_t FillWith(const std::string& text) {
    const int64_t run = Begin();
    BatchRecord batch;
    batch.row = {.run = run,
                 .elapsed = 90,
                 .engine = "exact",
                 .property = "logit_closeness",
                 .driver = "random",
                 .cases = 12345,
                 .passed = 11111,
                 .near_ties = 1001,
                 .unsupported = 202,
                 .setup_errors = 3,
                 .findings = 20,
                 .known = 8};
    batch.margins[{"session", "centred_linf"}] = {{kLeastMargin, 40}, {-7, 1234}, {-3, 12}};
    batch.counters = {{{"label", "family:llama"}, 9876},
                      {{"unsupported", text}, 202},
                      {{"setup_error", text}, 3},
                      {{"known", text}, 8}};
    FindingRow finding{.signature = "logit_closeness/exact/session/numeric",
                       .property = "logit_closeness",
                       .engine = "exact",
                       .driver = "random",
                       .build = "abc",
                       .verdict = "ENGINE_BUG",
                       .message = text,
                       .elapsed = 61,
                       .first_case = 4321,
                       .count = 20,
                       .case_text = text};
    batch.findings.push_back(finding);
    EXPECT_TRUE(store_->AddBatch(batch).ok());
    finding.state = FindingState::kFlaky;
    finding.case_file = "find ings/a.case";
    finding.reduced_text = "reduced " + text;
    finding.replays = 10;
    finding.failures = 7;
    finding.evaluations = 222;
    finding.localised = "layer 1, attention" + text;
    finding.first_bad = R"({"layer": 1, "stage": "attention", "means": "taps"})";
    EXPECT_TRUE(store_->SaveFinding(finding).ok());
    for (int i = 0; i < 8; ++i) {
      EXPECT_TRUE(store_
                      ->AddSample({.run = run,
                                   .elapsed = 10.0 * (i + 1),
                                   .cases = 1500 * (i + 1),
                                   .features = 100 + 7 * i,
                                   .rss_bytes = int64_t{10 * (i + 1)} << 20,
                                   .supervisor_bytes = 1 << 20,
                                   .worker_bytes = int64_t{2 * (i + 1)} << 20})
                      .ok());
    }
    EXPECT_TRUE(store_->AddRestart({run, 33, "worker", text}).ok());
    EXPECT_TRUE(store_->EndRun(run, 100, "time").ok());
    return run;
  }

  CampaignData Data() const {
    auto data = ReadCampaign(Workdir());
    EXPECT_TRUE(data.ok()) << data.status();
    return data.value_or(CampaignData());
  }

  TemporaryFolder folder_;
  std::unique_ptr<Store> store_;
};

TEST_F(ReportTest, TheNumbersOfThePageAreThoseOfTheStore) {
  FillWith("a message");
  const std::string page = CampaignPage(Data(), "campaign");
  EXPECT_THAT(page, HasSubstr("12,140 of 12,345 cases judged in 100 s; 1,001 near ties, 202 "
                              "unsupported, 8 known."));
  EXPECT_THAT(page, HasSubstr("<th scope=\"row\">logit_closeness</th><td>exact</td><td><svg"));
  EXPECT_THAT(page,
              HasSubstr("aria-label=\"11111 passed, 1001 near ties, 202 unsupported, 3 set-up "
                        "errors, 20 findings, 8 known\""));
  for (const char* number : {"12,345", "12,140", "11,111", "1,001", "202", "3", "20", "8"}) {
    EXPECT_THAT(page, HasSubstr(absl::StrCat("<td class=\"n\">", number, "</td>"))) << number;
  }
  EXPECT_THAT(page,
              HasSubstr("ENGINE_BUG · exact · 20 cases · first after 61 s (case 4,321, random)"));
  EXPECT_THAT(page, HasSubstr("fails in 7 of 10 fresh processes · reduced, not minimal after 222 "
                              "evaluations · build abc"));
  EXPECT_THAT(page, HasSubstr("crosscheck replay 'find ings/a.case' --engine exact"));
  // 9876 of 12345 cases; the buckets -7 and -3 end at 2^-3 and 2^-1.
  EXPECT_THAT(page, HasSubstr("<td style=\"--v:0.80\">80</td>"));
  EXPECT_THAT(page, HasSubstr("<td class=\"n\">≤ 0.125</td><td class=\"n\">≤ 0.125</td><td "
                              "class=\"n\">≤ 0.5</td>"));
  EXPECT_THAT(page, HasSubstr("<dt>memory growth</dt><dd>3.516 GiB/h</dd>"));  // 1 MiB/s
  EXPECT_THAT(page, HasSubstr("3.516 GiB/h (0 B, 720 MiB, 2.812 GiB)"));       // workers 0.2 MiB/s
}

TEST_F(ReportTest, ThePageIsWellFormedAndHostileTextStaysText) {
  FillWith(kHostile);
  const std::string page = CampaignPage(Data(), kHostile);
  EXPECT_EQ(MarkupError(page), "");
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_THAT(page, Not(HasSubstr("<img")));
  EXPECT_THAT(page, Not(HasSubstr("\x1b")));
  EXPECT_THAT(page, HasSubstr("reduced &lt;/pre&gt;&lt;/details&gt;&lt;script&gt;alert(1)"));
  // The parser sees the text that went in.
  EXPECT_THAT(MarkupText(page), HasSubstr("</pre></details><script>alert(1)</script><img src=x"));
  EXPECT_THAT(page, Not(HasSubstr("http:")));
  EXPECT_THAT(page, Not(HasSubstr("https:")));
}

TEST_F(ReportTest, ThePageOfAnEmptyCampaignSaysThatNothingWasJudged) {
  Begin();
  const CampaignData data = Data();
  const std::string page = CampaignPage(data, "campaign");
  EXPECT_EQ(MarkupError(page), "");
  EXPECT_THAT(page, HasSubstr("nothing judged"));
  EXPECT_THAT(page, HasSubstr("0 of 0 cases judged"));
  EXPECT_THAT(CampaignReport(data).errors, ElementsAre("nothing was judged"));
  EXPECT_FALSE(CampaignReport(data).complete);
}

TEST_F(ReportTest, APropertyWithoutAJudgementIsMarked) {
  const int64_t run = Begin();
  BatchRecord batch;
  batch.row = {.run = run,
               .engine = "exact",
               .property = "lora_merge",
               .driver = "random",
               .cases = 50,
               .unsupported = 50};
  ASSERT_TRUE(store_->AddBatch(batch).ok());
  EXPECT_THAT(CampaignCases(Data()).html(),
              HasSubstr("<span class=\"badge bad\">nothing judged</span>"));
  batch.row.property = "logit_closeness";
  batch.row.unsupported = 0;
  batch.row.near_ties = 30;
  batch.row.passed = 20;
  ASSERT_TRUE(store_->AddBatch(batch).ok());
  EXPECT_THAT(CampaignCases(Data()).html(), HasSubstr("mostly undecided"));
}

TEST_F(ReportTest, InputsOfTargetsCountAsExecutionsNotAsCases) {
  const int64_t run = Begin();
  BatchRecord batch;
  batch.row = {.run = run,
               .engine = "exact",
               .property = "model_run_fuzzer",
               .driver = std::string(kLibFuzzerDriver),
               .cases = 70000,
               .passed = 70000};
  FindingRow finding{.signature = "causality/exact/session/numeric", .elapsed = 1, .count = 1};
  batch.findings.push_back(finding);
  ASSERT_TRUE(store_->AddBatch(batch).ok());
  const CampaignData data = Data();
  const SmokeReport report = CampaignReport(data);
  EXPECT_EQ(report.cases, 0);
  EXPECT_TRUE(report.errors.empty());
  EXPECT_EQ(CampaignJson(data, report)["executions"]["model_run_fuzzer"], 70000);
  EXPECT_THAT(CampaignPage(data, "w"), HasSubstr("70,000 executions by fuzz targets"));
  // JUnit has a place for what a target found.
  EXPECT_THAT(ReportJunit(report), HasSubstr("name=\"causality\" time=\"0\"><failure"));
}

TEST_F(ReportTest, JsonHasTheKeysOfSmokeAndTheCourseOfTheCampaign) {
  const int64_t run = FillWith("m");
  const CampaignData data = Data();
  const json report = CampaignJson(data, CampaignReport(data));
  EXPECT_EQ(report["schema"], 1);
  EXPECT_EQ(report["command"], "report");
  EXPECT_EQ(report["engine"], "exact");
  EXPECT_EQ(report["seed"], 7);
  EXPECT_EQ(report["cases"], 12345);
  EXPECT_DOUBLE_EQ(report["cases_per_second"], 123.45);
  EXPECT_EQ(report["complete"], true);
  const json& property = report["properties"][0];
  EXPECT_EQ(property["name"], "logit_closeness");
  EXPECT_EQ(property["judged"], 12140);
  EXPECT_EQ(property["near_ties"], 1001);
  EXPECT_EQ(property["unsupported"][0]["count"], 202);
  EXPECT_DOUBLE_EQ(property["coverage"]["family:llama"], 9876.0 / 12345);
  EXPECT_DOUBLE_EQ(property["error_ratios"][0]["largest"], 0.5);
  const json& finding = report["findings"][0];
  EXPECT_EQ(finding["signature"], "logit_closeness/exact/session/numeric");
  EXPECT_EQ(finding["verdict"], "FLAKY");
  EXPECT_EQ(finding["state"], "flaky");
  EXPECT_EQ(finding["failure_rate"], 0.7);
  EXPECT_EQ(finding["first_bad"]["layer"], 1);
  EXPECT_EQ(finding["reduced"], "reduced m");
  ASSERT_EQ(report["coverage_over_time"].size(), 8u);
  EXPECT_EQ(report["coverage_over_time"][7], json({{"run", run},
                                                   {"seconds", 80.0},
                                                   {"cases", 12000},
                                                   {"features", 149},
                                                   {"edges", 0},
                                                   {"inputs", 0},
                                                   {"findings", 0},
                                                   {"near_ties", 0},
                                                   {"rss_bytes", 80 << 20},
                                                   {"supervisor_bytes", 1 << 20},
                                                   {"worker_bytes", 16 << 20},
                                                   {"disk_bytes", 0}}));
  EXPECT_EQ(report["restarts"][0],
            json({{"run", run}, {"seconds", 33.0}, {"what", "worker"}, {"reason", "m"}}));
}

TEST(MarginQuantileTest, IsTheUpperEdgeOfTheBucket) {
  const std::map<int, int64_t> buckets = {{kLeastMargin, 50}, {-4, 49}, {2, 1}};
  EXPECT_EQ(MarginQuantile(buckets, 0.5), 0);
  EXPECT_EQ(MarginQuantile(buckets, 0.51), MarginBucketTop(-4));
  EXPECT_EQ(MarginQuantile(buckets, 0.99), MarginBucketTop(-4));
  EXPECT_EQ(MarginQuantile(buckets, 1), MarginBucketTop(2));
  EXPECT_EQ(MarginQuantile({}, 0.5), 0);
}

TEST_F(ReportTest, TheCommandWritesThePageAndItsExitCodeIsThatOfARun) {
  FillWith("m");
  const std::string html = Workdir() + "/page.html";
  const CommandResult found =
      RunCrosscheck("report " + Workdir() + " --html " + html + " --json - --sarif " + Workdir() +
                    "/r.sarif --junit " + Workdir() + "/r.xml");
  EXPECT_EQ(found.exit_code, 2) << found.err;
  EXPECT_EQ(json::parse(found.out)["cases"], 12345);
  EXPECT_EQ(MarkupError(Slurp(html)), "");
  EXPECT_EQ(json::parse(Slurp(Workdir() + "/r.sarif"))["runs"][0]["results"].size(), 1u);
  EXPECT_EQ(MarkupError(Slurp(Workdir() + "/r.xml")), "");
  const CommandResult none = RunCrosscheck("report " + Workdir() + "/absent");
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_THAT(none.err, HasSubstr("no campaign was recorded here"));
}

TEST_F(ReportTest, TheCommandFailsWhenNothingWasJudged) {
  Begin();
  const CommandResult empty = RunCrosscheck("report " + Workdir());
  EXPECT_EQ(empty.exit_code, 1);
  EXPECT_THAT(empty.err, HasSubstr("nothing was judged"));
  EXPECT_THAT(Slurp(folder_.path() / "report.html"), HasSubstr("nothing judged"));
}

}  // namespace
}  // namespace crosscheck
