// What supervisor and worker tell each other: one JSON object per line.
#ifndef CROSSCHECK_FUZZ_CAMPAIGN_WORKER_MESSAGE_H_
#define CROSSCHECK_FUZZ_CAMPAIGN_WORKER_MESSAGE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "fuzz/campaign/store.h"
#include "nlohmann/json.hpp"

namespace crosscheck {

// Cases first … first + cases - 1 of a driver's sequence. Random: drawn by (seed, index). Corpus:
// `inputs` mutated by (seed, index). Recheck: `inputs` as they are.
struct BatchRequest {
  std::string engine, property, driver;
  uint64_t seed = 0;
  int64_t first = 0, cases = 0;
  std::vector<std::string> inputs = {};  // payloads of the corpus, or bytes of a fuzz target
  std::string subject = {};              // not empty: inputs are bytes of this subject's target
  bool trace = false;                    // announce every case: a worker died in this batch before
};

struct NewInput {
  std::string payload;
  std::vector<uint64_t> features;  // that this worker had not seen
};

struct BatchReply {
  BatchRecord record;  // without run and elapsed; `cases` may be fewer than asked after a signal
  std::vector<NewInput> inputs;
};

// Reduce a finding, or replay it `replays` times (0: reduce) in a fresh process.
struct FindingRequest {
  std::string engine, payload, signature;
  double seconds = 60;
  int evaluations = 2000;
  int replays = 0;
};

nlohmann::json ToJson(const BatchRequest& request);
nlohmann::json ToJson(const BatchReply& reply);
nlohmann::json ToJson(const FindingRequest& request);
nlohmann::json ToJson(const FindingRow& finding);
// Throw nlohmann::json::exception when a key is missing or of another type.
BatchRequest BatchRequestFrom(const nlohmann::json& json);
BatchReply BatchReplyFrom(const nlohmann::json& json);
FindingRequest FindingRequestFrom(const nlohmann::json& json);
FindingRow FindingRowFrom(const nlohmann::json& json);

std::string ToHex(std::string_view bytes);
std::string FromHex(std::string_view hex);  // anything that is no digit counts as 0

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_CAMPAIGN_WORKER_MESSAGE_H_
