// Where versions of lattice break the contract in ways that are known: what the laws expect
// instead, so that a version that behaves otherwise fails. Numbers are pull requests of lattice.
#ifndef CROSSCHECK_TESTS_ENGINES_LATTICE_DEVIATIONS_H_
#define CROSSCHECK_TESTS_ENGINES_LATTICE_DEVIATIONS_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "engines/engine.h"
#include "reference/model_spec.h"

namespace crosscheck::contract {

// An input that an engine has to refuse.
enum class Bad { kEmptyPrompt, kTooManyPositions, kForeignId };

inline bool IsBefore(const std::string& version, const std::string& other) {
  const auto numbers = [](const std::string& text) {
    std::vector<int> parts;
    for (const absl::string_view part : absl::StrSplit(text, '.')) {
      if (!absl::SimpleAtoi(part, &parts.emplace_back())) parts.back() = 0;
    }
    return parts;
  };
  return numbers(version) < numbers(other);
}

// How the engine that answered `hello` fails on a bad input of `entry`: a path of `logits`, or
// "generate".
inline FailureKind KindOfRefusal(const Json& hello, std::string_view entry, Bad bad,
                                 Family family) {
  if (hello["name"] != "lattice" || family == Family::kLlama) return FailureKind::kRefused;
  const std::string version = hello["version"];
  if (entry == "prompt") {
    // The debug forward of Qwen3.5 asserts its ids in every version (finding 1).
    if (bad == Bad::kForeignId) return FailureKind::kInternal;
    // It had no way to refuse anything before 0.5.0: it panics (#403, #467).
    if (IsBefore(version, "0.5.0")) return FailureKind::kInternal;
  }
  // The prompt is text there, and no text is a foreign id.
  if (entry == "generate" && bad == Bad::kForeignId && IsBefore(version, "0.15.0")) {
    return FailureKind::kUnsupported;
  }
  return FailureKind::kRefused;
}

// Final hidden states came with forward_final_hidden.
inline bool ShowsHiddenStates(const Json& hello) {
  return hello["name"] != "lattice" || !IsBefore(hello["version"], "0.4.0");
}

}  // namespace crosscheck::contract

#endif  // CROSSCHECK_TESTS_ENGINES_LATTICE_DEVIATIONS_H_
