#include "quality/sampled_track.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "quality/metrics/cluster.h"
#include "quality/metrics/divergence.h"
#include "quality/metrics/sampled.h"
#include "quality/position_stat.h"

namespace crosscheck::quality {
namespace {

constexpr double kShownFactor = 1.05;  // of the temperature, for the power that the report names
constexpr double kLevel = 1e-3;        // of the test whose power that is
constexpr double kConvincing = 1e6;    // an exact sampler gets there once in a million comparisons

// Ids [seeds, tokens] of one prompt; -1: ended before.
struct Runs {
  std::vector<std::vector<int32_t>> runs;
  absl::Span<const float> logits;  // of the first draw; empty: the engine shows none
};

absl::StatusOr<Runs> ReadRuns(DumpReader& dump, int item) {
  auto ids = dump.Read("sampled", item, "ids");
  if (!ids.ok()) return ids.status();
  if ((*ids)->dtype != DType::kI32 || (*ids)->shape.size() != 2) {
    return absl::FailedPreconditionError(
        absl::StrCat(dump.folder(), ": ", (*ids)->name, " is no I32 matrix"));
  }
  Runs runs;
  const auto values = (*ids)->As<int32_t>();
  const auto tokens = static_cast<size_t>((*ids)->shape[1]);
  for (size_t at = 0; tokens > 0 && at < values.size(); at += tokens) {
    const auto run = values.subspan(at, tokens);
    runs.runs.emplace_back(run.begin(), std::find(run.begin(), run.end(), -1));
  }
  auto logits = dump.Read("sampled", item, "logits");
  if (logits.ok() && (*logits)->dtype == DType::kF32) runs.logits = (*logits)->As<float>();
  return runs;
}

// F32 logits and I32 tokens of one position of the track `draws`.
absl::StatusOr<absl::Span<const float>> ReadLogits(DumpReader& dump, int item) {
  auto logits = dump.Read("draws", item, "logits");
  if (!logits.ok()) return logits.status();
  if ((*logits)->dtype != DType::kF32) {
    return absl::FailedPreconditionError(
        absl::StrCat(dump.folder(), ": ", (*logits)->name, " is no F32"));
  }
  return (*logits)->As<float>();
}

std::vector<int64_t> CountsOf(absl::Span<const int32_t> tokens, size_t vocab) {
  std::vector<int64_t> counts(vocab);
  for (const int32_t token : tokens) {
    if (token >= 0 && static_cast<size_t>(token) < vocab) ++counts[static_cast<size_t>(token)];
  }
  return counts;
}

// First tokens; an end before the first is the end-of-sequence id.
std::vector<int32_t> FirstTokens(const Runs& runs, int eos) {
  std::vector<int32_t> tokens;
  tokens.reserve(runs.runs.size());
  for (const std::vector<int32_t>& run : runs.runs) tokens.push_back(run.empty() ? eos : run[0]);
  return tokens;
}

Estimate ValueOf(double value, int64_t count, int positions) {
  Estimate estimate{.value = value};
  estimate.count = count;
  estimate.clusters = positions;
  return estimate;
}

Estimate MeanOf(const std::vector<double>& values) {
  const MeanEstimate mean = EstimateIndependent(values);
  const Interval interval = MeanInterval(mean, 0.95);
  return {.value = mean.mean,
          .lower = interval.lower,
          .upper = interval.upper,
          .count = static_cast<int64_t>(values.size()),
          .clusters = mean.clusters,
          .standard_error = mean.standard_error};
}

// -inf excludes a token; NaN, +inf and a row that excludes all give no probabilities.
bool GivesALaw(absl::Span<const float> logits) {
  float largest = -std::numeric_limits<float>::infinity();
  for (const float logit : logits) {
    if (std::isnan(logit)) return false;
    largest = std::max(largest, logit);
  }
  return std::isfinite(largest);
}

class DrawSummary {
 public:
  DrawSummary(DumpReader& reference, DumpReader& candidate, const SummaryInputs& inputs,
              ConfigurationResult& result)
      : reference_(reference), candidate_(candidate), inputs_(inputs), result_(result) {}

  absl::Status Run() {
    for (int i = 0; i < std::min(candidate_.Items("sampled"), reference_.Items("sampled")); ++i) {
      if (absl::Status status = AddRuns(i); !status.ok()) return status;
    }
    for (int i = 0; i < std::min(candidate_.Items("draws"), reference_.Items("draws")); ++i) {
      if (absl::Status status = AddDraws(i); !status.ok()) return status;
    }
    ReportLaws();
    if (!samples_.empty()) ReportNGrams();
    return absl::OkStatus();
  }

 private:
  absl::Status AddRuns(int item) {
    auto ours = ReadRuns(reference_, item);
    if (!ours.ok()) return ours.status();
    auto theirs = ReadRuns(candidate_, item);
    if (!theirs.ok()) return theirs.status();
    AddLaws(ours->logits, theirs->logits, FirstTokens(*theirs, inputs_.eos));
    const size_t runs = std::min(ours->runs.size(), theirs->runs.size());
    ours->runs.resize(runs);
    theirs->runs.resize(runs);
    samples_.push_back({std::move(ours->runs), std::move(theirs->runs)});
    return absl::OkStatus();
  }

  absl::Status AddDraws(int item) {
    auto ours = ReadLogits(reference_, item);
    if (!ours.ok()) return ours.status();
    auto theirs = ReadLogits(candidate_, item);
    if (!theirs.ok()) return theirs.status();
    auto tokens = candidate_.Read("draws", item, "tokens");
    if (!tokens.ok()) return tokens.status();
    AddLaws(*ours, *theirs, (*tokens)->As<int32_t>());
    return absl::OkStatus();
  }

  // Draws at one position; either side's logits may be empty.
  void AddLaws(absl::Span<const float> ours, absl::Span<const float> theirs,
               absl::Span<const int32_t> tokens) {
    const double t = kSamplingTemperature;
    if (GivesALaw(ours)) {
      against_reference_.push_back(CompareDraws(CountsOf(tokens, ours.size()), LawAt(ours, t)));
    }
    if (theirs.empty()) return;
    if (!GivesALaw(theirs)) {
      ++without_law_;
      return;
    }
    const std::vector<int64_t> counts = CountsOf(tokens, theirs.size());
    against_own_.push_back(CompareDraws(counts, LawAt(theirs, t)));
    evidence_.Add(theirs, t, counts);
    const TestResult shift =
        ShiftOfTemperature(theirs, t, kShownFactor, static_cast<int64_t>(tokens.size()));
    noncentrality_ += shift.statistic;
    if (ours.size() != theirs.size() || !GivesALaw(ours)) return;
    std::vector<double> p(ours.begin(), ours.end()), q(theirs.begin(), theirs.end());
    for (double& logit : p) logit /= t;
    for (double& logit : q) logit /= t;
    const Divergence divergence = DivergenceOf(p, q);
    if (!std::isfinite(divergence.kl)) {  // a mean has no place for it
      ++support_violations_;
      return;
    }
    kl_.push_back(divergence.kl);
    variation_.push_back(divergence.total_variation);
  }

  void ReportLaws() {
    ReportMissingLaws();
    const auto positions = static_cast<int>(against_own_.size());
    if (!against_reference_.empty()) {
      const DrawsAgainstLaw all = Combine(against_reference_);
      const auto places = static_cast<int>(against_reference_.size());
      result_.metrics["sampled_p_value"] = ValueOf(all.pearson.p_value, all.draws, places);
      result_.metrics["sampled_effect"] = ValueOf(all.squared_effect(), all.draws, places);
    }
    if (positions == 0) return;
    const DrawsAgainstLaw own = Combine(against_own_);
    const int df = own.pearson.degrees_of_freedom;
    result_.metrics["sampler_p_value"] = ValueOf(own.pearson.p_value, own.draws, positions);
    result_.metrics["sampler_cells"] = ValueOf(df + positions, own.draws, positions);
    result_.metrics["sampler_power"] =
        ValueOf(df == 0 ? 0 : ChiSquarePower(noncentrality_, df, kLevel), own.draws, positions);
    if (!kl_.empty()) {
      result_.metrics["sampled_kl_mean"] = MeanOf(kl_);
      result_.metrics["sampled_total_variation"] = MeanOf(variation_);
    }
    ReportSampler(own);
  }

  void ReportMissingLaws() {
    if (without_law_ > 0) {
      result_.findings.push_back(
          {"non-finite",
           absl::StrCat("draws: ", without_law_, " positions with values that are no logits")});
    }
    if (support_violations_ > 0) {
      result_.findings.push_back(
          {"support", absl::StrCat("draws: ", support_violations_,
                                   " positions where the engine excludes what the reference may "
                                   "draw")});
    }
  }

  void ReportSampler(const DrawsAgainstLaw& own) {
    if (own.outside_support > 0) {
      result_.findings.push_back(
          {"sampler",
           absl::StrCat(own.outside_support,
                        " draws of tokens to which the engine's own logits give nothing")});
    }
    const double evidence = evidence_.log_e();
    if (evidence < std::log(kConvincing)) return;
    result_.findings.push_back(
        {"sampler",
         absl::StrFormat("%d draws at %d positions are not of the law of the engine's own logits: "
                         "ln E = %.3g, %.3g is a finding; chi-square p = %.2g",
                         own.draws, against_own_.size(), evidence, std::log(kConvincing),
                         own.pearson.p_value)});
  }

  void ReportNGrams() {
    const auto prompts = static_cast<int>(samples_.size());
    for (int n = 1; n <= 3; ++n) {
      const NGramDistance distance =
          CompareNGrams(samples_, n, Stream(1, absl::StrCat("n-gram swaps ", n)));
      result_.metrics[absl::StrCat("ngram_distance_", n)] = ValueOf(distance.excess, 0, prompts);
      result_.metrics[absl::StrCat("ngram_p_value_", n)] = ValueOf(distance.p_value, 0, prompts);
    }
  }

  DumpReader &reference_, &candidate_;
  const SummaryInputs& inputs_;
  ConfigurationResult& result_;
  std::vector<DrawsAgainstLaw> against_reference_, against_own_;
  SamplerEvidence evidence_;
  double noncentrality_ = 0;  // of a sampler whose temperature is kShownFactor times too high
  std::vector<double> kl_, variation_;
  int without_law_ = 0, support_violations_ = 0;  // positions
  std::vector<PromptSamples> samples_;
};

// The position of an item of `forced` at which the reference is most in doubt.
struct Doubt {
  int item = 0, position = 0;
  double first_entropy = 0, entropy = 0;  // after the prompt; at `position`
};

absl::StatusOr<std::vector<Doubt>> FindDoubts(DumpReader& reference) {
  constexpr size_t kEntropy = 5;
  std::vector<Doubt> doubts;
  for (int item = 0; item < reference.Items("forced"); ++item) {
    auto stat = reference.Read("forced", item, "stat");
    if (!stat.ok()) return stat.status();
    const auto values = (*stat)->As<double>();
    Doubt doubt{.item = item};
    for (size_t t = 0; t * kStatColumns < values.size(); ++t) {
      const double entropy = values[t * kStatColumns + kEntropy];
      if (t == 0) doubt.first_entropy = entropy;
      if (t > 0 && !(entropy > doubt.entropy)) continue;
      doubt.position = static_cast<int>(t);
      doubt.entropy = entropy;
    }
    doubts.push_back(doubt);
  }
  return doubts;
}

template <class Key>
std::vector<Doubt> Largest(std::vector<Doubt> doubts, int most, Key key) {
  std::sort(doubts.begin(), doubts.end(), [&](const Doubt& a, const Doubt& b) {
    return key(a) > key(b) || (key(a) == key(b) && a.item < b.item);
  });
  doubts.resize(std::min(doubts.size(), static_cast<size_t>(most)));
  return doubts;
}

}  // namespace

absl::StatusOr<SampledPlan> PlanSampling(DumpReader& reference, const Track& forced, int prompts,
                                         int contexts) {
  auto doubts = FindDoubts(reference);
  if (!doubts.ok()) return doubts.status();
  SampledPlan plan;
  for (const Doubt& d : Largest(*doubts, prompts, [](const Doubt& d) { return d.first_entropy; })) {
    plan.prompts.push_back(d.item);
  }
  for (const Doubt& d : Largest(*doubts, contexts, [](const Doubt& d) { return d.entropy; })) {
    const Item& item = forced.items[static_cast<size_t>(d.item)];
    plan.contexts.emplace_back(item.ids.begin(),
                               item.ids.begin() + item.scored.first + d.position + 1);
  }
  return plan;
}

absl::Status SummariseDraws(DumpReader& reference, DumpReader& candidate,
                            const SummaryInputs& inputs, ConfigurationResult& result) {
  return DrawSummary(reference, candidate, inputs, result).Run();
}

}  // namespace crosscheck::quality
