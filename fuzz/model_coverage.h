// Which cells of the model space inputs reach: family × path × length of a prompt, where the
// counters of the engine's answers prove the path. Coverage of lines does not show this.
#ifndef CROSSCHECK_FUZZ_MODEL_COVERAGE_H_
#define CROSSCHECK_FUZZ_MODEL_COVERAGE_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "fuzz/executor.h"
#include "properties/property.h"
#include "reference/model_spec.h"

namespace crosscheck {

// Lengths at which implementations change what they do: the edges of the convolution, of blocks of
// 64 tokens, and of the context. The last one stands for all others.
inline constexpr std::string_view kLengthClasses[] = {
    "1", "2", "kernel", "63", "64", "65", "127", "128", "129", "context", "other"};

// Indices into kLengthClasses; "kernel" is within one of the convolution's. Never empty.
std::vector<int> LengthClassesOf(const ModelSpec& spec, int64_t length);

struct ModelCell {
  std::string family;
  std::string counter;  // of the engine's answer: prompt, readout, prefill, step, generated, …
  int length = 0;       // index into kLengthClasses
  auto operator<=>(const ModelCell&) const = default;
};
using ModelCoverage = std::map<ModelCell, int64_t>;  // requests

// Runs what the property asks the engine about the case and counts each counter that moved. What
// the engine refuses, or follows from its answers, counts nothing.
void AddModelCoverage(const Property& property, const Case& c, Executor& executor,
                      ModelCoverage& coverage);

// One row for each family that the engine serves and each counter that moved at all; a dash where
// no request was.
std::string ModelCoverageTable(const ModelCoverage& coverage, const Limits& limits);

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_MODEL_COVERAGE_H_
