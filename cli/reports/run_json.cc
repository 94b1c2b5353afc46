// A report as JSON, schema 1.
#include "cli/reports/run_report.h"

namespace crosscheck {
namespace {

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
          {"baseline", p.baseline},
          {"setup_errors", p.setup_errors},
          {"unsupported", unsupported},
          {"coverage", p.coverage},
          {"narrowed_cases", p.narrowed_cases},
          {"narrowed", p.narrowed},
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
          {"first_seconds", f.first_seconds},
          {"count", f.count},
          {"baseline", f.baseline},
          {"first_bad", FirstBadJson(f.first_bad)},
          {"localised", f.localised}};
}

}  // namespace

nlohmann::json FirstBadJson(const std::optional<FirstBad>& place) {
  if (!place) return nullptr;
  return {{"layer", place->layer}, {"stage", place->stage}, {"means", place->means}};
}

nlohmann::json ReportJson(const SmokeReport& report) {
  nlohmann::json json = {{"schema", 1},
                         {"command", report.command},
                         {"engine", report.engine},
                         {"engine_version", report.engine_version},
                         {"seed", report.seed},
                         {"build", report.build},
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
                              {"flagged", d.flagged},
                              {"baseline", d.baseline}});
  }
  json["architecture"] = nlohmann::json::object();
  for (const auto& [name, value] : report.architecture) json["architecture"][name] = value;
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
