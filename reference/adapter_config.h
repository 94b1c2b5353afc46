// adapter_config.json of a PEFT folder, as far as it says what an adapter computes (quality.md
// 4.4).
#ifndef CROSSCHECK_REFERENCE_ADAPTER_CONFIG_H_
#define CROSSCHECK_REFERENCE_ADAPTER_CONFIG_H_

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace crosscheck {

struct AdapterConfig {
  int rank = 0;
  double alpha = 0;
  bool rank_stabilised = false;  // use_rslora: the scale is alpha / sqrt(rank)
  // By the end of a module's path, whole names between dots, or with "^" the whole path.
  std::map<std::string, double> rank_pattern, alpha_pattern;
  std::optional<std::set<std::string>> modules;  // none: a pattern, which is not looked at
  std::optional<std::set<int>> layers;           // none: all

  // Of the module `path`, for example "model.layers.0.self_attn.q_proj". InvalidArgument: two
  // patterns fit and differ (in PEFT the first in the file counts), or a rank is none.
  struct Scaling {
    int rank = 0;
    double alpha = 0;  // such that alpha / rank is the scale
  };
  absl::StatusOr<Scaling> ScalingOf(std::string_view path) const;
  // InvalidArgument: the adapter says that it leaves this module alone.
  absl::Status CheckTarget(std::string_view path, int layer) const;
};

// Unimplemented names the option under which an update has another formula, a pattern that is more
// than a name, or the format of the weights.
absl::StatusOr<AdapterConfig> ReadAdapterConfig(const std::string& folder);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_ADAPTER_CONFIG_H_
