#include "quality/configuration.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "reference/quantisation/decoded_model.h"

namespace crosscheck::quality {
namespace {

// Formats in which an engine serves a checkpoint, and what its weights then are
// (reference/quantisation/weight_format.h).
struct Served {
  std::string_view name, load_option, weights, note;
};
constexpr Served kServed[] = {
    {"f16", "f16", "f16:head=f16:embedding=f16",
     "tokens from the engine's f16 path; logits from its f32 path on the f16 values"},
    {"int8", "int8", "int8_row",
     "tokens from the engine's int8 path; logits from its f32 path on the decoded weights"},
    {"q8", "q8_0", "q8_0_lattice:head=q8_0_lattice",
     "tokens from the engine's Q8_0 path; logits from its f32 path on the decoded weights, inputs "
     "not rounded"}};

}  // namespace

absl::StatusOr<Configuration> ParseConfiguration(std::string_view text, const std::string& engine) {
  Configuration configuration;
  configuration.name = std::string(text);
  configuration.engine = engine;
  const size_t at = text.find('@');
  if (at != std::string_view::npos) configuration.engine = text.substr(at + 1);
  const std::string_view name = text.substr(0, at);
  if (name == "fp32") return configuration;
  const auto served = std::find_if(std::begin(kServed), std::end(kServed),
                                   [&](const Served& s) { return s.name == name; });
  if (served != std::end(kServed)) {
    configuration.weight_format = served->weights;
    configuration.served_format = served->load_option;
    configuration.note = served->note;
    return configuration;
  }
  if (auto formats = ParseModelFormats(name); !formats.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--config ", std::string(text), ": ", std::string(formats.status().message()),
                     "; also fp32 (as stored) and f16, int8, q8 (as the engine serves them)"));
  }
  configuration.weight_format = name;
  configuration.note = "weights only: float32 arithmetic on the decoded weights";
  return configuration;
}

}  // namespace crosscheck::quality
