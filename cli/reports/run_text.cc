// A report as the table that a person reads.

#include <algorithm>
#include <cmath>
#include <iostream>
#include <numeric>

#include "absl/strings/str_join.h"
#include "cli/reports/run_report.h"
#include "fmt/format.h"
#include "properties/judges/drift.h"

namespace crosscheck {
namespace {

int64_t UnsupportedCases(const PropertyReport& property) {
  return std::accumulate(property.unsupported.begin(), property.unsupported.end(), int64_t{0},
                         [](int64_t sum, const auto& reason) { return sum + reason.second; });
}

void PrintProperties(const SmokeReport& report) {
  std::cout << fmt::format("{:22}{:>8}{:>8}{:>8}{:>11}{:>10}{:>7}{:>13}\n", "property", "cases",
                           "judged", "passed", "near ties", "findings", "known", "unsupported");
  for (const PropertyReport& p : report.properties) {
    std::cout << fmt::format("{:22}{:>8}{:>8}{:>8}{:>11}{:>10}{:>7}{:>13}\n", p.name, p.cases,
                             p.judged, p.passed, p.near_ties, p.findings, p.known,
                             UnsupportedCases(p));
  }
  for (const PropertyReport& p : report.properties) {
    for (const auto& [reason, count] : p.unsupported) {
      std::cout << fmt::format("  {} unsupported {}x: {}\n", p.name, count, reason);
    }
  }
}

void PrintRatios(const SmokeReport& report) {
  std::cout << "\nerror ÷ the bound that decided (a bound widens only until the case passes; 1 is "
               "the limit)\n"
            << fmt::format("  {:22}{:10}{:16}{:>9}{:>9}{:>9}{:>10}\n", "property", "path", "metric",
                           "median", "99 %", "largest", "cases");
  for (const PropertyReport& p : report.properties) {
    for (const ErrorRatios& r : p.error_ratios) {
      std::cout << fmt::format("  {:22}{:10}{:16}{:>9.3f}{:>9.3f}{:>9.3f}{:>10}\n", p.name, r.path,
                               r.metric, r.median, r.percentile_99, r.largest, r.count);
    }
  }
}

void PrintDrifts(const SmokeReport& report) {
  for (const DriftReport& d : report.drifts) {
    std::cout << fmt::format(
        "{} drift of {}: ln evidence {:.1f} over {} cases ({:.1f} is a finding)\n",
        !d.flagged   ? "no"
        : d.baseline ? "in the baseline:"
                     : "ENGINE_BUG",
        d.property, d.log_evidence, d.cases, -std::log(DriftTest::kAlpha));
  }
}

void PrintCoverage(const SmokeReport& report) {
  std::cout << "\nwhat was generated (share of the cases)\n";
  for (const PropertyReport& p : report.properties) {
    std::vector<std::string> shares;
    shares.reserve(p.coverage.size());
    for (const auto& [label, share] : p.coverage)
      shares.push_back(fmt::format("{} {:.0f} %", label, 100 * share));
    std::cout << "  " << p.name << ": " << absl::StrJoin(shares, ", ") << "\n";
  }
  if (!report.narrowed.empty()) {
    std::cout << "  not generated for this engine: " << absl::StrJoin(report.narrowed, ", ")
              << "\n";
  }
  for (const PropertyReport& p : report.properties) {
    if (p.narrowed_cases == 0) continue;
    std::vector<std::string> fields;
    fields.reserve(p.narrowed.size());
    for (const auto& [field, cases] : p.narrowed) {
      fields.push_back(fmt::format("{} in {}", field, cases));
    }
    std::cout << fmt::format("  {}: a field was narrowed in {} of {} cases: {}\n", p.name,
                             p.narrowed_cases, p.cases, absl::StrJoin(fields, ", "));
  }
  if (!report.architecture.empty()) {
    std::vector<std::string> kept;
    kept.reserve(report.architecture.size());
    for (const auto& [name, value] : report.architecture) kept.push_back(name + " " + value);
    std::cout << "  architecture of --model, where it fits: " << absl::StrJoin(kept, ", ") << "\n";
  }
}

void PrintFindings(const SmokeReport& report) {
  for (const SmokeFinding& f : report.findings) {
    if (f.baseline) {
      std::cout << fmt::format("\nin the baseline: {} {}, {} case(s)\n",
                               kVerdictKindNames[static_cast<int>(f.verdict)],
                               f.signature.ToString(), f.count);
      continue;
    }
    std::cout << fmt::format(
        "\n{} {} on {}, {} case(s), first {}{}{}\n  {}\n",
        kVerdictKindNames[static_cast<int>(f.verdict)], f.signature.ToString(), f.engine, f.count,
        f.first_case < 0 ? "in the corpus" : fmt::format("case {}", f.first_case),
        f.marginal ? ", marginal" : "",
        f.failure_rate < 1 ? fmt::format(", fails in {:.0f} % of replays", 100 * f.failure_rate)
                           : "",
        f.message);
    if (!f.localised.empty()) std::cout << "  " << f.localised << "\n";
    if (!f.case_file.empty()) {
      std::cout << fmt::format("  {} after {} evaluations: {}\n  replay: crosscheck replay {}\n",
                               f.minimal ? "smallest" : "reduced", f.evaluations, f.case_file,
                               f.case_file);
    }
  }
}

}  // namespace

void PrintReport(const SmokeReport& report) {
  std::cout << fmt::format("crosscheck {}, engine {} {}, seed {}, build {}\n\n", report.command,
                           report.engine, report.engine_version, report.seed, report.build);
  PrintProperties(report);
  PrintRatios(report);
  PrintDrifts(report);
  PrintCoverage(report);
  PrintFindings(report);
  const auto baseline = std::count_if(report.findings.begin(), report.findings.end(),
                                      [](const SmokeFinding& f) { return f.baseline; });
  std::cout << fmt::format("\n{} cases in {:.1f} s, {:.0f} per second{}; {} finding(s){}\n",
                           report.cases, report.seconds, report.cases_per_second,
                           report.complete ? "" : " (the sequence was cut)",
                           report.findings.size() - static_cast<size_t>(baseline),
                           baseline > 0 ? fmt::format(", {} in the baseline", baseline) : "");
}

}  // namespace crosscheck
