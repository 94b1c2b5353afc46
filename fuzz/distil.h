// A corpus without what adds nothing: for each feature, the smallest input that shows it.
//
// Ties are broken by content, so that the order and the names of the inputs do not matter.
#ifndef CROSSCHECK_FUZZ_DISTIL_H_
#define CROSSCHECK_FUZZ_DISTIL_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "properties/property.h"

namespace crosscheck {

struct DistilInput {
  std::string content;  // bytes of a fuzz target, or text
  std::vector<uint64_t> features = {};
};

// Indices of the inputs to keep, increasing; of equal ones the first. An input without features is
// not kept.
std::vector<size_t> Distil(const std::vector<DistilInput>& inputs);

// What a case showed: the buckets of its outcome (fuzz/feedback.h), its stage, and each of the
// generator's labels of the property's subject.
std::vector<uint64_t> ObservedFeatures(const Verdict& verdict, const Case& c);

// The features that libFuzzer sees of each input, all of them in one process of the target (edges
// and how often, its observations included). An input that ends the target has none. Errors: no
// such program, one that is no libFuzzer target, no room for its files.
absl::StatusOr<std::vector<std::vector<uint64_t>>> EdgeFeatures(
    const std::string& target, const std::vector<std::string>& inputs);

// The features of each file in libFuzzer's control file of a merge, by the file's name.
absl::StatusOr<std::vector<std::pair<std::string, std::vector<uint64_t>>>> ReadMergeControl(
    std::string_view text);

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_DISTIL_H_
