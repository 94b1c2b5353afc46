#include "fuzz/campaign/features.h"

#include "fuzz/feedback.h"
#include "reference/weights.h"

namespace crosscheck {

std::vector<uint64_t> FeaturesOf(std::string_view engine, const Verdict& verdict,
                                 const std::vector<std::string>& labels) {
  const uint64_t key = MixBits(HashName(engine)) ^ HashName(verdict.signature.property);
  std::vector<uint64_t> features;
  for (const unsigned bucket : FeedbackBuckets(verdict)) {
    features.push_back(MixBits(key + bucket));
  }
  std::vector<uint64_t> hashes;
  hashes.reserve(labels.size());
  for (const std::string& label : labels) hashes.push_back(MixBits(key ^ HashName(label)));
  for (size_t i = 0; i < hashes.size(); ++i) {
    for (size_t j = 0; j <= i; ++j) features.push_back(MixBits(hashes[i] + hashes[j]));
  }
  return features;
}

}  // namespace crosscheck
