#include "cli/reports/baseline.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "cli/reports/run_report.h"
#include "reference/json_input.h"
#include "reference/safetensors.h"

namespace crosscheck {
namespace {

using nlohmann::json;

// Empty when the object has no text of this name.
std::string TextAt(const json& object, const char* name) {
  const auto value = object.find(name);
  return value != object.end() && value->is_string() ? value->get<std::string>() : "";
}

// The signature of one entry; empty when it has none.
std::string SignatureOf(const json& entry) {
  if (entry.is_string()) return entry.get<std::string>();
  return entry.is_object() ? TextAt(entry, "signature") : "";
}

std::string DriftSignature(const std::string& property, const std::string& engine) {
  return Signature{property, engine, "run", ErrorClass::kDistribution}.ToString();
}

}  // namespace

absl::StatusOr<std::set<std::string>> ReadBaseline(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return text.status();
  absl::StatusOr<json> parsed = ParseJson(*text);
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("baseline ", path, ": ", std::string(parsed.status().message())));
  }
  const json* list = &*parsed;
  if (parsed->is_object() && parsed->contains("findings")) list = &(*parsed)["findings"];
  if (!list->is_array()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "baseline ", path, ": expected a report with \"findings\", or an array of findings"));
  }
  std::set<std::string> signatures;
  for (const json& entry : *list) {
    const std::string signature = SignatureOf(entry);
    const absl::StatusOr<Signature> checked = Signature::Parse(signature);
    if (!checked.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("baseline ", path,
                       ": an entry has no legal "
                       "signature: ",
                       entry.dump(-1, ' ', true, json::error_handler_t::replace).substr(0, 80)));
    }
    signatures.insert(signature);
  }
  if (!parsed->is_object() || !parsed->contains("drifts")) return signatures;
  const std::string engine = TextAt(*parsed, "engine");
  for (const json& drift : (*parsed)["drifts"]) {
    if (drift.is_object() && drift.contains("flagged") && drift["flagged"] == true) {
      signatures.insert(DriftSignature(TextAt(drift, "property"), engine));
    }
  }
  return signatures;
}

void ApplyBaseline(const std::set<std::string>& signatures, SmokeReport& report) {
  for (SmokeFinding& finding : report.findings) {
    finding.baseline = signatures.count(finding.signature.ToString()) > 0;
    if (!finding.baseline) continue;
    for (PropertyReport& property : report.properties) {
      if (property.name != finding.signature.property) continue;
      property.findings -= finding.count;
      property.baseline += finding.count;
    }
  }
  for (DriftReport& drift : report.drifts) {
    drift.baseline =
        drift.flagged && signatures.count(DriftSignature(drift.property, report.engine)) > 0;
  }
}

std::vector<SmokeFinding> AllFindings(const SmokeReport& report) {
  std::vector<SmokeFinding> all = report.findings;
  for (const DriftReport& drift : report.drifts) {
    if (!drift.flagged) continue;
    SmokeFinding finding;
    finding.signature = {drift.property, report.engine, "run", ErrorClass::kDistribution};
    finding.engine = report.engine;
    finding.message = absl::StrCat("numeric drift: ln evidence ", drift.log_evidence, " over ",
                                   drift.cases, " cases");
    finding.count = drift.cases;
    finding.baseline = drift.baseline;
    all.push_back(std::move(finding));
  }
  return all;
}

bool HasNewFinding(const SmokeReport& report) {
  const std::vector<SmokeFinding> all = AllFindings(report);
  return std::any_of(all.begin(), all.end(), [](const SmokeFinding& f) { return !f.baseline; });
}

}  // namespace crosscheck
