#include "fuzz/feedback.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "reference/weights.h"

namespace crosscheck {
namespace {

// One function for each edge, which no compiler may merge with another.
template <unsigned I>
[[gnu::noinline]] void Edge() {
  asm volatile("" ::"i"(I));
}

template <unsigned... I>
constexpr std::array<void (*)(), sizeof...(I)> Edges(std::integer_sequence<unsigned, I...>) {
  return {&Edge<I>...};
}

constexpr auto kEdges = Edges(std::make_integer_sequence<unsigned, kFeedbackEdges>());

unsigned BucketOf(const std::string& observation) {
  return static_cast<unsigned>(HashName(observation) % kFeedbackEdges);
}

// Powers of four between 4^-6 and 4^3: a search climbs from one to the next.
int Decade(double value) {
  if (!(value > 0)) return -7;
  return static_cast<int>(std::clamp(std::floor(std::log2(value) / 2), -6.0, 3.0));
}

}  // namespace

std::vector<unsigned> FeedbackBuckets(const Verdict& verdict) {
  const std::string& property = verdict.signature.property;
  const int ties = std::min(verdict.near_ties, 4);
  std::vector<unsigned> buckets = {
      BucketOf(absl::StrCat(property, "/verdict/", static_cast<int>(verdict.kind), "/", ties))};
  for (const Measure& measure : verdict.measures) {
    const std::string place = absl::StrCat(property, "/", measure.path, "/", measure.metric);
    buckets.push_back(BucketOf(absl::StrCat(place, "/error/", Decade(measure.error))));
    if (measure.bound <= 0) continue;
    const int margin = Decade(measure.error / measure.bound);
    buckets.push_back(BucketOf(absl::StrCat(place, "/margin/", margin)));
  }
  return buckets;
}

void HitFeedback(const Verdict& verdict) {
  for (const unsigned bucket : FeedbackBuckets(verdict)) kEdges[bucket]();
}

}  // namespace crosscheck
