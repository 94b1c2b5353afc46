// A report as JUnit XML, in the form that Jenkins, GitLab and GitHub actions read.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/reports/markup.h"
#include "cli/reports/run_report.h"
#include "fmt/format.h"

namespace crosscheck {
namespace {

std::string Describe(const SmokeFinding& f) {
  std::string text =
      absl::StrCat(std::string(kVerdictKindNames[static_cast<size_t>(f.verdict)]), " ",
                   f.signature.ToString(), ", ", f.count, " case(s)\n", f.message, "\n");
  if (!f.localised.empty()) absl::StrAppend(&text, f.localised, "\n");
  if (!f.case_file.empty()) {
    absl::StrAppend(&text, "case: ", f.case_file, "\nreplay: crosscheck replay ", f.case_file,
                    "\n");
  }
  return text;
}

struct TestCase {
  std::string body;
  bool failed = false, error = false, skipped = false;
};

TestCase Describe(const PropertyReport& p, const std::vector<SmokeFinding>& findings) {
  TestCase test;
  std::vector<std::string> signatures;
  std::string texts, known;
  for (const SmokeFinding& f : findings) {
    if (f.signature.property != p.name) continue;
    if (f.baseline) {
      absl::StrAppend(&known, "in the baseline: ", Describe(f));
      continue;
    }
    signatures.push_back(f.signature.ToString());
    texts += Describe(f);
  }
  std::vector<std::string> reasons;
  reasons.reserve(p.unsupported.size());
  for (const auto& [reason, count] : p.unsupported) {
    reasons.push_back(absl::StrCat(count, "x ", reason));
  }
  test.failed = !signatures.empty();
  test.error = !test.failed && p.setup_errors > 0;
  test.skipped = !test.failed && !test.error && p.judged == 0;
  if (test.failed) {
    test.body = fmt::format("<failure type=\"finding\" message=\"{}\">{}</failure>",
                            EscapeMarkup(absl::StrJoin(signatures, ", ")), EscapeMarkup(texts));
  } else if (test.error) {
    test.body = fmt::format("<error type=\"set-up\" message=\"{} cases could not be judged\"/>",
                            p.setup_errors);
  } else if (test.skipped) {
    test.body = fmt::format(
        "<skipped message=\"{}\"/>",
        EscapeMarkup(reasons.empty() ? "nothing was judged" : absl::StrJoin(reasons, "; ")));
  }
  absl::StrAppend(&known, p.judged, " judged, ", p.passed, " passed, ", p.near_ties, " near ties, ",
                  p.known, " known, ", p.baseline, " in the baseline");
  absl::StrAppend(&test.body, "<system-out>", EscapeMarkup(known), "</system-out>");
  return test;
}

}  // namespace

std::string ReportJunit(const SmokeReport& report) {
  const std::vector<SmokeFinding> findings = AllFindings(report);
  const std::string suite = absl::StrCat("crosscheck.", report.command);
  const std::string classname = EscapeMarkup(absl::StrCat(suite, ".", report.engine));
  std::string cases;
  int tests = 0, failures = 0, errors = 0, skipped = 0;
  const auto add = [&](const std::string& name, const TestCase& test) {
    cases += fmt::format("  <testcase classname=\"{}\" name=\"{}\" time=\"0\">{}</testcase>\n",
                         classname, EscapeMarkup(name), test.body);
    ++tests;
    failures += test.failed ? 1 : 0;
    errors += test.error ? 1 : 0;
    skipped += test.skipped ? 1 : 0;
  };
  for (const PropertyReport& p : report.properties) add(p.name, Describe(p, findings));
  if (!report.errors.empty()) {
    const std::string text = EscapeMarkup(absl::StrJoin(report.errors, "\n"));
    add("run",
        {.body = fmt::format("<error type=\"set-up\" message=\"{}\"/>", text), .error = true});
  }
  const std::string counts =
      fmt::format("tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{:.3f}\"",
                  tests, failures, errors, skipped, report.seconds);
  std::string properties;
  for (const auto& [name, value] : std::vector<std::pair<std::string, std::string>>{
           {"engine", report.engine},
           {"engine_version", report.engine_version},
           {"seed", absl::StrCat(report.seed)},
           {"build", report.build},
           {"complete", report.complete ? "true" : "false"}}) {
    properties +=
        fmt::format("   <property name=\"{}\" value=\"{}\"/>\n", name, EscapeMarkup(value));
  }
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {}>\n <testsuite name=\"{}\" {}>\n"
      "  <properties>\n{}  </properties>\n{} </testsuite>\n</testsuites>\n",
      counts, suite, counts, properties, cases);
}

}  // namespace crosscheck
