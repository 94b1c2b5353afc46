// Generated texts against each other (quality.md 3.6): token match, edit distance, garbled output,
// excess negative log-likelihood. BLEU is in bleu.h.
#ifndef CROSSCHECK_QUALITY_METRICS_TEXT_H_
#define CROSSCHECK_QUALITY_METRICS_TEXT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"

namespace crosscheck::quality {

// Positions with equal tokens / the longer length; 1 for two empty texts. An insertion shifts
// everything behind it, which the edit distance does not mind.
double TokenMatch(absl::Span<const int32_t> a, absl::Span<const int32_t> b);
// Insertions, deletions and substitutions / the longer length; 0 for two empty texts.
double NormalisedEditDistance(absl::Span<const int32_t> a, absl::Span<const int32_t> b);

// Of the n-grams of a text, the share that occurred before in it; 0 where there is none.
double RepeatedShare(absl::Span<const int32_t> ids, int n);
// Of the characters of a text, the share that no text should hold: U+FFFD, invalid UTF-8 (a byte
// each), control characters other than tab, line feed and carriage return, unassigned ones. 0 for
// an empty text.
double StrangeShare(std::string_view text);

// Mean NLL by the reference of the candidate's text less that of the reference's own, nats per
// token. The most useful single number for text. NaN where a side is empty.
double ExcessNll(absl::Span<const double> candidate_text_nll,
                 absl::Span<const double> reference_text_nll);

struct GeneratedText {
  absl::Span<const int32_t> ids;
  std::string_view text;
};
inline constexpr double kGarbledMatch = 0.5;    // below
inline constexpr double kGarbledNll = 3;        // at least, nats per token
inline constexpr double kGarbledRepeats = 0.5;  // at least, and twice the reference's
inline constexpr double kGarbledStrange = 0.05;
inline constexpr int kRepeatedLength = 8;
inline constexpr size_t kFewestForEmpty = 5;  // tokens of a reference that is no short answer

// Why the candidate's text is garbled; empty: it is not. A low token match alone is no reason, as
// one legal flip at the third token causes it: a second sign must agree. `excess_nll` may be NaN.
std::vector<std::string> GarbledReasons(const GeneratedText& reference,
                                        const GeneratedText& candidate, double excess_nll);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_METRICS_TEXT_H_
