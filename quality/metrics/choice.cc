#include "quality/metrics/choice.h"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <cmath>
#include <limits>

#include "properties/statistics/goodness_of_fit.h"
#include "quality/metrics/characters.h"

namespace crosscheck::quality {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

double Length(const Choice& choice, Normalisation normalisation) {
  switch (normalisation) {
    case Normalisation::kNone:
      return 1;
    case Normalisation::kCharacters:
      return static_cast<double>(CountCharacters(choice.text));
    case Normalisation::kBytes:
      return static_cast<double>(choice.text.size());
    case Normalisation::kTokens:
      return static_cast<double>(choice.tokens);
  }
  return 1;
}

}  // namespace

Picks PickChoices(absl::Span<const Choice> choices) {
  Picks picks{};
  for (size_t n = 0; n < kNormalisations; ++n) {
    double best = 0;
    for (size_t i = 0; i < choices.size(); ++i) {
      const double length = Length(choices[i], static_cast<Normalisation>(n));
      const double score = choices[i].log_likelihood / std::max(length, 1.0);
      if (i > 0 && !(score > best)) continue;
      best = score;
      picks[n] = static_cast<int>(i);
    }
  }
  return picks;
}

Accuracy AccuracyOf(const std::vector<bool>& correct) {
  Accuracy accuracy{.questions = static_cast<int64_t>(correct.size())};
  accuracy.correct = std::count(correct.begin(), correct.end(), true);
  const auto n = static_cast<double>(accuracy.questions);
  const double a = static_cast<double>(accuracy.correct) / n;
  accuracy.value = n > 0 ? a : kNan;
  accuracy.standard_error = n > 1 ? std::sqrt(a * (1 - a) / (n - 1)) : kNan;
  return accuracy;
}

double PairedAnswers::difference() const {
  return static_cast<double>(only_candidate - only_reference) / static_cast<double>(questions);
}

double PairedAnswers::standard_error() const {
  const auto n = static_cast<double>(questions);
  const auto net = static_cast<double>(only_candidate - only_reference);
  return std::sqrt(static_cast<double>(only_candidate + only_reference) - net * net / n) / n;
}

Interval PairedAnswers::interval(double confidence) const {
  const double half = quantile(boost::math::normal(), (1 + confidence) / 2) * standard_error();
  return {difference() - half, difference() + half};
}

double PairedAnswers::p_value() const {
  const int64_t discordant = only_candidate + only_reference;
  return std::min(1.0,
                  2 * BinomialLowerTail(std::min(only_candidate, only_reference), discordant, 0.5));
}

PairedAnswers CompareAnswers(absl::Span<const int> reference, absl::Span<const int> candidate,
                             absl::Span<const int> gold) {
  PairedAnswers answers{.questions = static_cast<int64_t>(gold.size())};
  for (size_t i = 0; i < gold.size(); ++i) {
    const bool ours = reference[i] == gold[i], theirs = candidate[i] == gold[i];
    answers.only_candidate += theirs && !ours;
    answers.only_reference += ours && !theirs;
    answers.wrong_otherwise += !ours && !theirs && reference[i] != candidate[i];
  }
  return answers;
}

double MeanAbsoluteChange(absl::Span<const double> reference, absl::Span<const double> candidate) {
  double sum = 0;
  for (size_t i = 0; i < reference.size(); ++i) sum += std::abs(candidate[i] - reference[i]);
  return sum / static_cast<double>(reference.size());
}

}  // namespace crosscheck::quality
