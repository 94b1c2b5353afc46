// Corpus BLEU as sacreBLEU computes it (quality.md 3.6). The mean of sentence scores is another
// number.
#ifndef CROSSCHECK_QUALITY_METRICS_BLEU_H_
#define CROSSCHECK_QUALITY_METRICS_BLEU_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"

namespace crosscheck::quality {

inline constexpr std::string_view kBleuSignature = "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp";

// The mteval-v13a tokeniser: punctuation and symbols apart, periods and commas except between
// digits, a hyphen after a digit.
std::vector<std::string> Tokenise13a(std::string_view text);

// Sums over pairs of texts, so that clusters can be resampled.
struct BleuCounts {
  std::array<int64_t, 4> matches{}, total{};  // clipped n-grams found, n-grams of the candidate
  int64_t candidate_length = 0, reference_length = 0;

  void Add(const BleuCounts& other);
};
BleuCounts CountBleu(std::string_view candidate, std::string_view reference);
// 0 to 100, with exponential smoothing of orders without a match.
double BleuScore(const BleuCounts& counts);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_METRICS_BLEU_H_
