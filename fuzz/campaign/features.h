// What a case showed, as a set of numbers: an input is kept when it shows something new.
#ifndef CROSSCHECK_FUZZ_CAMPAIGN_FEATURES_H_
#define CROSSCHECK_FUZZ_CAMPAIGN_FEATURES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "properties/verdict.h"

namespace crosscheck {

// The buckets of what was observed (fuzz/feedback.h), and every pair of the generator's labels, of
// this property on this engine.
std::vector<uint64_t> FeaturesOf(std::string_view engine, const Verdict& verdict,
                                 const std::vector<std::string>& labels);

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_CAMPAIGN_FEATURES_H_
