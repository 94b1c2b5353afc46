// A report as SARIF 2.1.0, as code scanning services read it.
#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/reports/run_report.h"

namespace crosscheck {
namespace {

using nlohmann::json;

constexpr char kSchema[] = "https://json.schemastore.org/sarif-2.1.0.json";

// A relative reference stays one, so that it names a file of the repository.
std::string FileUri(const std::string& path) {
  std::string uri = absl::StartsWith(path, "/") ? "file://" : "";
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isalnum(byte) || absl::StrContains("-._~/", absl::string_view(&c, 1))) {
      uri += c;
    } else {
      absl::StrAppendFormat(&uri, "%%%02X", byte);
    }
  }
  return uri;
}

json Location(const SmokeFinding& f) {
  json location = {
      {"logicalLocations",
       {{{"name", f.signature.property}, {"fullyQualifiedName", f.signature.ToString()}}}}};
  if (!f.case_file.empty()) {
    location["physicalLocation"] = {{"artifactLocation", {{"uri", FileUri(f.case_file)}}},
                                    {"region", {{"startLine", 1}}}};
  }
  return location;
}

json Rule(const SmokeFinding& f) {
  return {
      {"id", f.signature.ToString()},
      {"shortDescription",
       {{"text", absl::StrCat(
                     "Property ", f.signature.property, " does not hold (", f.signature.stage, ", ",
                     std::string(kErrorClassNames[static_cast<size_t>(f.signature.error)]), ")")}}},
      {"defaultConfiguration", {{"level", "error"}}},
      {"properties", {{"tags", {"crosscheck", f.signature.property}}}}};
}

json Result(const SmokeFinding& f, size_t rule) {
  const std::string text = absl::StrCat(
      std::string(kVerdictKindNames[static_cast<size_t>(f.verdict)]), " on ", f.engine, ": ",
      f.message, f.localised.empty() ? "" : "\n", f.localised,
      f.case_file.empty() ? "" : absl::StrCat("\nReplay: crosscheck replay ", f.case_file));
  return {{"ruleId", f.signature.ToString()},
          {"ruleIndex", rule},
          {"level", f.baseline   ? "note"
                    : f.marginal ? "warning"
                                 : "error"},
          {"message", {{"text", text}}},
          {"locations", {Location(f)}},
          {"partialFingerprints", {{"crosscheckSignature/v1", f.signature.ToString()}}},
          {"baselineState", f.baseline ? "unchanged" : "new"},
          {"properties",
           {{"engine", f.engine},
            {"verdict", kVerdictKindNames[static_cast<size_t>(f.verdict)]},
            {"marginal", f.marginal},
            {"cases", f.count}}}};
}

}  // namespace

json ReportSarif(const SmokeReport& report) {
  json rules = json::array();
  json results = json::array();
  for (const SmokeFinding& f : AllFindings(report)) {
    const auto found = std::find_if(rules.begin(), rules.end(), [&](const json& rule) {
      return rule["id"] == f.signature.ToString();
    });
    const auto index = static_cast<size_t>(found - rules.begin());
    if (found == rules.end()) rules.push_back(Rule(f));
    results.push_back(Result(f, index));
  }
  json notes = json::array();
  for (const std::string& error : report.errors) {
    notes.push_back({{"level", "error"}, {"message", {{"text", error}}}});
  }
  const json invocation = {{"executionSuccessful", report.errors.empty()},
                           {"toolExecutionNotifications", notes}};
  const json run = {
      {"tool", {{"driver", {{"name", "crosscheck"}, {"version", report.build}, {"rules", rules}}}}},
      {"automationDetails", {{"id", absl::StrCat("crosscheck/", report.command, "/")}}},
      {"invocations", {invocation}},
      {"results", results},
      {"properties",
       {{"engine", report.engine},
        {"engine_version", report.engine_version},
        {"seed", report.seed},
        {"complete", report.complete}}}};
  return {{"$schema", kSchema}, {"version", "2.1.0"}, {"runs", {run}}};
}

}  // namespace crosscheck
