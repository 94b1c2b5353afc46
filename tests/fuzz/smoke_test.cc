#include "fuzz/smoke.h"

#include <filesystem>

#include "fuzz/corpus_store.h"
#include "fuzz/coverage_quotas.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "properties/subjects/model_run.h"
#include "tests/fuzz/planted_bugs.h"
#include "tests/own_folder.h"

namespace crosscheck {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

// Bugs that depend on the case alone; the engine only has to answer. "wide" needs a width above 40,
// "seven" an item 7.
Verdict JudgePlanted(const Case& c, Observations& observations) {
  const auto& planted = c.As<PlantedCase>();
  Verdict verdict;
  verdict.judged = observations[0].ok() ? 1 : 0;
  verdict.measures = {{.metric = "width",
                       .path = "only",
                       .error = static_cast<double>(planted.width),
                       .bound = 40}};
  if (planted.width > 40) verdict.signature.stage = "wide";
  if (planted.items.size() > 1 && planted.items[0] == 7) verdict.signature.stage = "seven";
  if (planted.items.size() == 40) {
    verdict.kind = VerdictKind::kUnsupported;
    verdict.message = "a full list";
  } else if (!verdict.signature.stage.empty()) {
    verdict.kind = VerdictKind::kEngineBug;
    verdict.signature.error = ErrorClass::kState;
    verdict.message = "bug " + verdict.signature.stage;
  }
  return verdict;
}

const Property& Pinging() {
  static const Property property = [] {
    Property p = PlantedProperty();
    p.name = "pinging";
    p.plan = [](const Case&) {
      Run run{.role = Role::kEngine, .model = nullptr, .request = {}};
      run.request.head = {{"op", "ping"}};
      return Runs{run};
    };
    p.judge = JudgePlanted;
    return p;
  }();
  return property;
}

class SmokeTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    AddSubject(MakeSubject<PlantedCase>());
    AddProperty(Pinging());
  }

  SmokeOptions Options() const {
    SmokeOptions options;
    options.executor.engine = "exact";
    options.properties = {&Pinging()};
    options.cases = 1000;
    options.jobs = 1;
    options.out = out_;
    return options;
  }
  static SmokeReport Run(const SmokeOptions& options) {
    absl::StatusOr<SmokeReport> report = RunSmoke(options);
    EXPECT_TRUE(report.ok()) << report.status();
    return report.ok() ? *std::move(report) : SmokeReport();
  }
  static std::string Describe(const SmokeReport& report) {
    std::string text = std::to_string(report.cases);
    for (const PropertyReport& p : report.properties) {
      for (int64_t count : {p.cases, p.judged, p.passed, p.near_ties, p.findings, p.known})
        text += " " + std::to_string(count);
      for (const auto& [reason, count] : p.unsupported)
        text += " " + reason + std::to_string(count);
      for (const auto& [label, share] : p.coverage) text += " " + label + std::to_string(share);
      for (const ErrorRatios& r : p.error_ratios)
        text += " " + std::to_string(r.median) + std::to_string(r.percentile_99);
    }
    for (const SmokeFinding& f : report.findings) {
      text += "\n" + f.signature.ToString() + " " + std::to_string(f.first_case) + " " +
              std::to_string(f.count) + f.message;
    }
    return text;
  }

  const OwnFolder own_;
  const std::string out_ = own_.path();
};

TEST_F(SmokeTest, ReportDoesNotDependOnTheNumberOfWorkers) {
  SmokeOptions options = Options();
  const std::string one = Describe(Run(options));
  options.jobs = 3;
  EXPECT_EQ(Describe(Run(options)), one);
  options.seed = 2;
  EXPECT_NE(Describe(Run(options)), one);
}

TEST_F(SmokeTest, BucketsFindingsBySignatureAndKeepsTheMinimalCase) {
  const SmokeReport report = Run(Options());
  ASSERT_EQ(report.findings.size(), 2u);
  int64_t count = 0;
  for (const SmokeFinding& finding : report.findings) {
    count += finding.count;
    const absl::StatusOr<CorpusEntry> entry = ReadEntry(finding.case_file);
    ASSERT_TRUE(entry.ok()) << entry.status();
    EXPECT_EQ(entry->cases_until_found, finding.first_case);
    EXPECT_EQ(entry->signature, finding.signature);
    const auto& smallest = entry->value.As<PlantedCase>();
    const bool wide = finding.signature.stage == "wide";
    EXPECT_EQ(smallest.width, wide ? 41 : 0);
    EXPECT_EQ(smallest.items, wide ? std::vector<int32_t>() : (std::vector<int32_t>{7, 0}));
    EXPECT_TRUE(finding.minimal);
  }
  const PropertyReport& row = report.properties[0];
  EXPECT_EQ(row.findings, count);
  EXPECT_EQ(row.cases, 1000);
  EXPECT_EQ(row.judged, row.passed + row.findings);
  EXPECT_EQ(row.judged + row.unsupported.at("a full list"), 1000);
  EXPECT_TRUE(report.complete);
  EXPECT_THAT(report.errors, IsEmpty());
}

TEST_F(SmokeTest, ReportsErrorOverBound) {
  const SmokeReport report = Run(Options());
  ASSERT_EQ(report.properties[0].error_ratios.size(), 1u);
  const ErrorRatios& ratios = report.properties[0].error_ratios[0];
  EXPECT_EQ(ratios.count, 1000);
  EXPECT_EQ(ratios.largest, 50.0 / 40);
  EXPECT_GT(ratios.percentile_99, ratios.median);
}

TEST_F(SmokeTest, KnownIssuesAreCountedAndNotFindings) {
  SmokeOptions options = Options();
  options.known_issues = *ParseKnownIssues(
      "pinging/exact/wide/state | exact | when width > 45 | until | known | a.case", "known.txt");
  const SmokeReport before = Run(Options()), after = Run(options);
  EXPECT_GT(after.properties[0].known, 0);
  EXPECT_EQ(after.properties[0].known + after.properties[0].findings,
            before.properties[0].findings);
  EXPECT_EQ(after.findings.size(), 2u);  // widths of 41 to 45 are not known
  EXPECT_EQ(after.properties[0].judged, before.properties[0].judged);
}

TEST_F(SmokeTest, RegressionsRunFirst) {
  SmokeOptions options = Options();
  options.cases = 1;
  options.regressions = {
      *WriteEntry(out_ + "/corpus", {.value = MakePlanted({7, 3, 3}, 0),
                                     .signature = {"pinging", "exact", "seven", ErrorClass::kState},
                                     .engine = "exact",
                                     .build = "",
                                     .notes = {}})};
  const SmokeReport report = Run(options);
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_EQ(report.findings[0].first_case, -1);
  EXPECT_EQ(report.cases, 2);
  options.regressions = {out_ + "/none.case"};
  EXPECT_THAT(std::string(RunSmoke(options).status().message()), HasSubstr("none.case"));
}

TEST_F(SmokeTest, InterruptionEndsWithWhatThereIs) {
  std::atomic<bool> interrupted = false;
  SmokeOptions options = Options();
  options.interrupted = &interrupted;
  options.progress = [&](int64_t done, int64_t total, int64_t) {
    EXPECT_EQ(total, 1000);
    if (done >= 100) interrupted = true;
  };
  const SmokeReport report = Run(options);
  EXPECT_FALSE(report.complete);
  EXPECT_GE(report.cases, 100);
  EXPECT_LT(report.cases, 1000);
  for (const SmokeFinding& finding : report.findings) EXPECT_FALSE(finding.minimal);
}

TEST_F(SmokeTest, TimeLimitCutsTheSequence) {
  SmokeOptions options = Options();
  options.cases = 100'000'000;
  options.max_seconds = 0.05;
  const SmokeReport report = Run(options);
  EXPECT_FALSE(report.complete);
  EXPECT_LT(report.cases, options.cases);
}

TEST_F(SmokeTest, RunInWhichNothingWasJudgedIsAnError) {
  static const Property needy = [] {
    Property p = Pinging();
    p.needs = {"no/1"};
    return p;
  }();
  SmokeOptions options = Options();
  options.properties = {&needy};
  const SmokeReport report = Run(options);
  EXPECT_THAT(report.errors, testing::ElementsAre("nothing was judged"));
  EXPECT_EQ(report.properties[0].unsupported.at("the engine lacks no/1"), 1000);
}

TEST_F(SmokeTest, EngineThatCannotStartIsAnErrorStatus) {
  SmokeOptions options = Options();
  options.executor.engine = "nonesuch";
  EXPECT_FALSE(RunSmoke(options).ok());
}

TEST_F(SmokeTest, UnwritableOutFolderIsReportedAndTheFindingKept) {
  std::filesystem::create_directories(out_);
  std::filesystem::permissions(out_, std::filesystem::perms::owner_all);
  SmokeOptions options = Options();
  options.out = "/proc/nowhere";
  const SmokeReport report = Run(options);
  EXPECT_EQ(report.findings.size(), 2u);
  ASSERT_FALSE(report.errors.empty());
  EXPECT_THAT(report.errors[0], HasSubstr("/proc/nowhere"));
}

TEST(CaseOfSequenceTest, CasesOfOneGroupShareTheModelAcrossProperties) {
  SmokeOptions options;
  options.properties = {FindProperty("logit_closeness"), FindProperty("greedy_prefix")};
  options.cases_per_model = 16;
  std::vector<Case> cases;
  cases.reserve(32);
  for (int64_t i = 0; i < 32; ++i) cases.push_back(CaseOfSequence(options, Limits(), i).value);
  const auto recipe = [&](size_t i) { return *cases[i].As<ModelRunCase>().model; };
  for (size_t i = 1; i < 16; ++i) {
    EXPECT_EQ(recipe(i), recipe(0)) << i;
    EXPECT_FALSE(cases[i].subject().equal(cases[i], cases[0])) << i;
  }
  EXPECT_FALSE(recipe(16) == recipe(0));
  EXPECT_EQ(recipe(31), recipe(16));
}

TEST(CaseOfSequenceTest, ARoundHoldsEveryPropertyOnceAndThenThoseWithALargerShare) {
  Property once = *FindProperty("logit_closeness"), twice = once, thrice = once;
  once.share = 1;
  twice.share = 2;
  thrice.share = 3;
  SmokeOptions options;
  options.properties = {&once, &thrice, &twice};
  const std::vector<const Property*> round = {&once, &thrice, &twice, &thrice, &twice, &thrice};
  for (int64_t i = 0; i < 12; ++i) {
    EXPECT_EQ(CaseOfSequence(options, Limits(), i).property, round[i % 6]) << i;
  }
}

TEST(CaseOfSequenceTest, EveryPropertyHasAShare) {
  for (const Property* property : Properties()) EXPECT_GE(property->share, 1) << property->name;
}

TEST(CoverageQuotasTest, ViolatedQuotaIsNamedWithItsShare) {
  std::map<std::string, int64_t> labels;
  for (const CoverageQuota& quota : CoverageQuotas()) labels[std::string(quota.label)] = 1000;
  EXPECT_THAT(ViolatedQuotas("model_run", labels, 1000, 1), IsEmpty());
  labels["tied_head"] = 100;
  EXPECT_THAT(ViolatedQuotas("model_run", labels, 1000, 1),
              testing::ElementsAre(HasSubstr("tied_head: 10.0 %")));
  EXPECT_THAT(ViolatedQuotas("model_run", labels, 999, 1), IsEmpty());
  EXPECT_THAT(ViolatedQuotas("planted", labels, 1000, 1), IsEmpty());
  labels.erase("tied_head");
  EXPECT_EQ(ViolatedQuotas("model_run", labels, 1000, 1).size(), 1u);
}

TEST(CoverageQuotasTest, ChanceAloneDoesNotViolateAQuota) {
  std::map<std::string, int64_t> labels;
  for (const CoverageQuota& quota : CoverageQuotas()) labels[std::string(quota.label)] = 1000;
  labels["tied_head"] =
      180;  // 20 % are wanted; 16 cases share a model, so these are about 62 draws
  EXPECT_THAT(ViolatedQuotas("model_run", labels, 1000, 16), IsEmpty());
}

}  // namespace
}  // namespace crosscheck
