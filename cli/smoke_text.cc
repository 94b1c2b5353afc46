#include "cli/smoke_text.h"

#include <cmath>
#include <iostream>
#include <numeric>

#include "absl/strings/str_join.h"
#include "cli/verb.h"
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
        d.flagged ? "ENGINE_BUG" : "no", d.property, d.log_evidence, d.cases,
        -std::log(DriftTest::kAlpha));
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
}

void PrintFindings(const SmokeReport& report) {
  for (const SmokeFinding& f : report.findings) {
    std::cout << fmt::format(
        "\n{} {} on {}, {} case(s), first {}{}{}\n  {}\n",
        kVerdictKindNames[static_cast<int>(f.verdict)], f.signature.ToString(), f.engine, f.count,
        f.first_case < 0 ? "in the corpus" : fmt::format("case {}", f.first_case),
        f.marginal ? ", marginal" : "",
        f.failure_rate < 1 ? fmt::format(", fails in {:.0f} % of replays", 100 * f.failure_rate)
                           : "",
        f.message);
    if (!f.case_file.empty()) {
      std::cout << fmt::format("  {} after {} evaluations: {}\n  replay: crosscheck replay {}\n",
                               f.minimal ? "smallest" : "reduced", f.evaluations, f.case_file,
                               f.case_file);
    }
  }
}

nlohmann::json PropertyJson(const PropertyReport& p) {
  nlohmann::json unsupported = nlohmann::json::array();
  for (const auto& [reason, count] : p.unsupported)
    unsupported.push_back({{"reason", reason}, {"count", count}});
  nlohmann::json ratios = nlohmann::json::array();
  for (const ErrorRatios& r : p.error_ratios) {
    ratios.push_back({{"path", r.path},
                      {"metric", r.metric},
                      {"median", r.median},
                      {"percentile_99", r.percentile_99},
                      {"largest", r.largest},
                      {"count", r.count}});
  }
  return {{"name", p.name},
          {"cases", p.cases},
          {"judged", p.judged},
          {"passed", p.passed},
          {"near_ties", p.near_ties},
          {"findings", p.findings},
          {"known", p.known},
          {"setup_errors", p.setup_errors},
          {"unsupported", unsupported},
          {"coverage", p.coverage},
          {"error_ratios", ratios}};
}

nlohmann::json FindingJson(const SmokeFinding& f) {
  return {{"property", f.signature.property},
          {"signature", f.signature.ToString()},
          {"engine", f.engine},
          {"verdict", kVerdictKindNames[static_cast<int>(f.verdict)]},
          {"message", f.message},
          {"case", f.case_file},
          {"marginal", f.marginal},
          {"minimal", f.minimal},
          {"failure_rate", f.failure_rate},
          {"evaluations", f.evaluations},
          {"first_case", f.first_case},
          {"count", f.count}};
}

}  // namespace

void PrintSmokeReport(const SmokeReport& report) {
  std::cout << fmt::format("crosscheck smoke, engine {} {}, seed {}, build {}\n\n", report.engine,
                           report.engine_version, report.seed, BuildId());
  PrintProperties(report);
  PrintRatios(report);
  PrintDrifts(report);
  PrintCoverage(report);
  PrintFindings(report);
  std::cout << fmt::format("\n{} cases in {:.1f} s, {:.0f} per second{}; {} finding(s)\n",
                           report.cases, report.seconds, report.cases_per_second,
                           report.complete ? "" : " (the sequence was cut)",
                           report.findings.size());
}

nlohmann::json SmokeJson(const SmokeReport& report) {
  nlohmann::json json = {{"schema", 1},
                         {"command", "smoke"},
                         {"engine", report.engine},
                         {"engine_version", report.engine_version},
                         {"seed", report.seed},
                         {"build", BuildId()},
                         {"properties", nlohmann::json::array()},
                         {"findings", nlohmann::json::array()},
                         {"narrowed", report.narrowed},
                         {"errors", report.errors},
                         {"cases", report.cases},
                         {"seconds", report.seconds},
                         {"cases_per_second", report.cases_per_second},
                         {"complete", report.complete}};
  for (const PropertyReport& p : report.properties) json["properties"].push_back(PropertyJson(p));
  for (const SmokeFinding& f : report.findings) json["findings"].push_back(FindingJson(f));
  json["drifts"] = nlohmann::json::array();
  for (const DriftReport& d : report.drifts) {
    json["drifts"].push_back({{"property", d.property},
                              {"cases", d.cases},
                              {"log_evidence", d.log_evidence},
                              {"flagged", d.flagged}});
  }
  const SmokeSeconds& s = report.stage_seconds;
  json["stage_seconds"] = {{"draw", s.draw},
                           {"write_model", s.stages.write_model},
                           {"engine_load", s.stages.engine_load},
                           {"engine_run", s.stages.engine_run},
                           {"torch", s.stages.torch},
                           {"exact", s.stages.exact},
                           {"judge", s.judge},
                           {"transport", s.stages.transport},
                           {"busy", s.busy}};
  return json;
}

}  // namespace crosscheck
