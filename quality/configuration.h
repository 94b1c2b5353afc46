// What `--config` names: which engine serves which weights (quality.md 4.4, 5).
//
//   fp32            the checkpoint as it is
//   f16 q8 int8     the engine serves the checkpoint in the format: its tokens; its logits are
//   those of
//                   its f32 path on the decoded weights, where it shows none of its own
//   mxfp4, q4-sym … the decoded weights of any format of reference/quantisation, as float32
//
// NAME@ENGINE asks another engine than --engine, for example q4-sym@torch.
#ifndef CROSSCHECK_QUALITY_CONFIGURATION_H_
#define CROSSCHECK_QUALITY_CONFIGURATION_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace crosscheck::quality {

struct Configuration {
  std::string name;                // as given, the name of its dump and of its row in every table
  std::string engine;              // that answers
  std::string weight_format = {};  // whose decoded values the logits are of; "": as stored
  std::string served_format = {};  // load option with which it generates; "": none
  std::string model = {};  // another folder than the reference's (--candidate-model); may be ""
  std::string note = {};   // what the reader of its numbers must know
};

// InvalidArgument lists the names that exist.
absl::StatusOr<Configuration> ParseConfiguration(std::string_view text, const std::string& engine);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_CONFIGURATION_H_
