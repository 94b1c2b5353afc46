#include "fuzz/campaign/worker_message.h"

#include "absl/strings/escaping.h"

namespace crosscheck {
namespace {

using Json = nlohmann::json;

Json RowToJson(const BatchRow& row) {
  return {{"engine", row.engine},
          {"property", row.property},
          {"driver", row.driver},
          {"first", row.first},
          {"cases", row.cases},
          {"passed", row.passed},
          {"near_ties", row.near_ties},
          {"unsupported", row.unsupported},
          {"setup_errors", row.setup_errors},
          {"findings", row.findings},
          {"known", row.known},
          {"seconds", row.seconds}};
}

BatchRow RowFrom(const Json& json) {
  BatchRow row;
  json.at("engine").get_to(row.engine);
  json.at("property").get_to(row.property);
  json.at("driver").get_to(row.driver);
  json.at("first").get_to(row.first);
  json.at("cases").get_to(row.cases);
  json.at("passed").get_to(row.passed);
  json.at("near_ties").get_to(row.near_ties);
  json.at("unsupported").get_to(row.unsupported);
  json.at("setup_errors").get_to(row.setup_errors);
  json.at("findings").get_to(row.findings);
  json.at("known").get_to(row.known);
  json.at("seconds").get_to(row.seconds);
  return row;
}

}  // namespace

Json ToJson(const BatchRequest& request) {
  return {{"op", "batch"},
          {"engine", request.engine},
          {"property", request.property},
          {"driver", request.driver},
          {"seed", request.seed},
          {"first", request.first},
          {"cases", request.cases},
          {"inputs", request.inputs},
          {"subject", request.subject},
          {"trace", request.trace}};
}

BatchRequest BatchRequestFrom(const Json& json) {
  return {.engine = json.at("engine"),
          .property = json.at("property"),
          .driver = json.at("driver"),
          .seed = json.at("seed"),
          .first = json.at("first"),
          .cases = json.at("cases"),
          .inputs = json.at("inputs"),
          .subject = json.at("subject"),
          .trace = json.at("trace")};
}

Json ToJson(const BatchReply& reply) {
  Json json = {{"op", "batch"}, {"row", RowToJson(reply.record.row)}};
  json["margins"] = reply.record.margins;
  json["counters"] = reply.record.counters;
  json["inputs"] = Json::array();
  for (const NewInput& input : reply.inputs) {
    json["inputs"].push_back({{"payload", input.payload}, {"features", input.features}});
  }
  json["findings"] = Json::array();
  for (const FindingRow& finding : reply.record.findings) {
    json["findings"].push_back(ToJson(finding));
  }
  return json;
}

BatchReply BatchReplyFrom(const Json& json) {
  BatchReply reply;
  reply.record.row = RowFrom(json.at("row"));
  json.at("margins").get_to(reply.record.margins);
  json.at("counters").get_to(reply.record.counters);
  for (const Json& input : json.at("inputs")) {
    reply.inputs.push_back({.payload = input.at("payload"), .features = input.at("features")});
  }
  for (const Json& finding : json.at("findings")) {
    reply.record.findings.push_back(FindingRowFrom(finding));
  }
  return reply;
}

Json ToJson(const FindingRequest& request) {
  return {{"op", request.replays > 0 ? "confirm" : "minimise"},
          {"engine", request.engine},
          {"payload", request.payload},
          {"signature", request.signature},
          {"seconds", request.seconds},
          {"evaluations", request.evaluations},
          {"replays", request.replays}};
}

FindingRequest FindingRequestFrom(const Json& json) {
  return {.engine = json.at("engine"),
          .payload = json.at("payload"),
          .signature = json.at("signature"),
          .seconds = json.at("seconds"),
          .evaluations = json.at("evaluations"),
          .replays = json.at("replays")};
}

Json ToJson(const FindingRow& finding) {
  return {{"op", "finding"},
          {"signature", finding.signature},
          {"property", finding.property},
          {"engine", finding.engine},
          {"driver", finding.driver},
          {"verdict", finding.verdict},
          {"message", finding.message},
          {"count", finding.count},
          {"first_case", finding.first_case},
          {"case_text", finding.case_text},
          {"reduced_text", finding.reduced_text},
          {"marginal", finding.marginal},
          {"minimal", finding.minimal},
          {"evaluations", finding.evaluations},
          {"replays", finding.replays},
          {"failures", finding.failures},
          {"localised", finding.localised},
          {"first_bad", finding.first_bad}};
}

FindingRow FindingRowFrom(const Json& json) {
  return {.signature = json.at("signature"),
          .property = json.at("property"),
          .engine = json.at("engine"),
          .driver = json.at("driver"),
          .verdict = json.at("verdict"),
          .message = json.at("message"),
          .first_case = json.at("first_case"),
          .count = json.at("count"),
          .case_text = json.at("case_text"),
          .reduced_text = json.at("reduced_text"),
          .marginal = json.at("marginal"),
          .minimal = json.at("minimal"),
          .evaluations = json.at("evaluations"),
          .replays = json.at("replays"),
          .failures = json.at("failures"),
          .localised = json.at("localised"),
          .first_bad = json.at("first_bad")};
}

std::string ToHex(std::string_view bytes) {
  return absl::BytesToHexString(absl::string_view(bytes.data(), bytes.size()));
}

std::string FromHex(std::string_view hex) {
  return absl::HexStringToBytes(absl::string_view(hex.data(), hex.size()));
}

}  // namespace crosscheck
