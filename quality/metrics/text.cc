#include "quality/metrics/text.h"

#include <locale.h>
#include <wctype.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>

#include "fmt/format.h"
#include "quality/metrics/characters.h"

namespace crosscheck::quality {
namespace {

// glibc's own Unicode tables, whatever the locale of the process.
locale_t UnicodeLocale() {
  static const locale_t locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  return locale;
}

bool IsStrange(int32_t character) {
  constexpr int32_t kReplacement = 0xfffd;
  if (character == kInvalidUtf8 || character == kReplacement) return true;
  if (character == '\t' || character == '\n' || character == '\r') return false;
  return iswprint_l(static_cast<wint_t>(character), UnicodeLocale()) == 0;
}

double Mean(absl::Span<const double> values) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

}  // namespace

double TokenMatch(absl::Span<const int32_t> a, absl::Span<const int32_t> b) {
  const size_t longer = std::max(a.size(), b.size()), shorter = std::min(a.size(), b.size());
  if (longer == 0) return 1;
  int64_t equal = 0;
  for (size_t i = 0; i < shorter; ++i) equal += a[i] == b[i];
  return static_cast<double>(equal) / static_cast<double>(longer);
}

double NormalisedEditDistance(absl::Span<const int32_t> a, absl::Span<const int32_t> b) {
  if (a.empty() && b.empty()) return 0;
  std::vector<int64_t> row(b.size() + 1);  // distances of the first i tokens of a to prefixes of b
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    int64_t diagonal = row[0];
    row[0] = static_cast<int64_t>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const int64_t substitution = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitution});
    }
  }
  return static_cast<double>(row.back()) / static_cast<double>(std::max(a.size(), b.size()));
}

double RepeatedShare(absl::Span<const int32_t> ids, int n) {
  const auto length = static_cast<size_t>(n);
  if (ids.size() < length) return 0;
  std::set<std::vector<int32_t>> seen;
  int64_t repeated = 0;
  for (size_t i = 0; i + length <= ids.size(); ++i) {
    const absl::Span<const int32_t> gram = ids.subspan(i, length);
    repeated += !seen.emplace(gram.begin(), gram.end()).second;
  }
  return static_cast<double>(repeated) / static_cast<double>(ids.size() - length + 1);
}

double StrangeShare(std::string_view text) {
  int64_t characters = 0, strange = 0;
  while (!text.empty()) {
    ++characters;
    strange += IsStrange(NextCharacter(text));
  }
  return characters == 0 ? 0 : static_cast<double>(strange) / static_cast<double>(characters);
}

double ExcessNll(absl::Span<const double> candidate_text_nll,
                 absl::Span<const double> reference_text_nll) {
  return Mean(candidate_text_nll) - Mean(reference_text_nll);
}

std::vector<std::string> GarbledReasons(const GeneratedText& reference,
                                        const GeneratedText& candidate, double excess_nll) {
  std::vector<std::string> reasons;
  if (TokenMatch(reference.ids, candidate.ids) >= kGarbledMatch) return reasons;
  if (excess_nll >= kGarbledNll) {
    reasons.push_back(fmt::format("excess NLL {:.2f} nats/token", excess_nll));
  }
  const double repeated = RepeatedShare(candidate.ids, kRepeatedLength);
  const double usual = RepeatedShare(reference.ids, kRepeatedLength);
  if (repeated >= kGarbledRepeats && repeated >= 2 * usual) {
    reasons.push_back(fmt::format("{:.0f} % repeated {}-grams", 100 * repeated, kRepeatedLength));
  }
  if (const double strange = StrangeShare(candidate.text); strange >= kGarbledStrange) {
    reasons.push_back(fmt::format("{:.0f} % control or unassigned characters", 100 * strange));
  }
  if (candidate.ids.empty() && reference.ids.size() >= kFewestForEmpty) {
    reasons.push_back(fmt::format("empty, the reference has {} tokens", reference.ids.size()));
  }
  return reasons;
}

}  // namespace crosscheck::quality
