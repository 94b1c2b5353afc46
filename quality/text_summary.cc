#include "quality/text_summary.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "quality/metrics/bleu.h"
#include "quality/metrics/cluster.h"
#include "quality/metrics/divergence.h"
#include "quality/metrics/sampled.h"
#include "quality/metrics/text.h"

namespace crosscheck::quality {
namespace {

constexpr double kTemperature = 0.7;

Estimate MeanOf(const std::vector<Cluster>& clusters) {
  const MeanEstimate mean = EstimateMean(clusters);
  const Interval interval = MeanInterval(mean, 0.95);
  return {.value = mean.mean,
          .lower = interval.lower,
          .upper = interval.upper,
          .count = static_cast<int64_t>(clusters.size()),
          .clusters = mean.clusters,
          .standard_error = mean.standard_error};
}

Estimate ValueOf(double value, int64_t count, int clusters) {
  Estimate estimate{.value = value};
  estimate.count = count;
  estimate.clusters = clusters;
  return estimate;
}

absl::StatusOr<std::vector<int32_t>> GreedyIds(DumpReader& dump, int item, int most) {
  auto ids = dump.Read("greedy", item, "ids");
  if (!ids.ok()) return ids.status();
  const auto values = (*ids)->As<int32_t>();
  return std::vector<int32_t>(
      values.begin(),
      values.begin() + std::min<ptrdiff_t>(most, static_cast<ptrdiff_t>(values.size())));
}

double MeanNll(const std::vector<double>& nll) {
  double sum = 0;
  for (const double value : nll) sum += value;
  return sum / static_cast<double>(nll.size());
}

class Texts {
 public:
  Texts(DumpReader& reference, DumpReader& candidate, const SummaryInputs& inputs,
        ConfigurationResult& result)
      : reference_(reference), candidate_(candidate), inputs_(inputs), result_(result) {}

  absl::Status Run() {
    const int prompts = candidate_.Items("greedy");
    for (int item = 0; item < prompts; ++item) {
      if (absl::Status status = Add(item); !status.ok()) return status;
    }
    if (prompts == 0) return absl::OkStatus();
    result_.metrics["token_match"] = MeanOf(match_);
    result_.metrics["edit_distance"] = MeanOf(distance_);
    result_.metrics["excess_nll"] = MeanOf(excess_);
    return AddTexts();
  }

 private:
  absl::Status Add(int item) {
    auto ours = GreedyIds(reference_, item, inputs_.greedy_tokens);
    if (!ours.ok()) return ours.status();
    auto theirs = GreedyIds(candidate_, item, inputs_.greedy_tokens);
    if (!theirs.ok()) return theirs.status();
    match_.push_back({TokenMatch(*ours, *theirs), 1});
    distance_.push_back({NormalisedEditDistance(*ours, *theirs), 1});
    double excess = 0;
    if (*ours != *theirs) {
      excess = std::nan("");
      if (!ours->empty() && !theirs->empty()) {
        auto own = inputs_.nll(item, *ours);
        if (!own.ok()) return own.status();
        auto other = inputs_.nll(item, *theirs);
        if (!other.ok()) return other.status();
        excess = MeanNll(*other) - MeanNll(*own);
      }
    }
    excess_nll_.push_back(excess);
    if (!std::isnan(excess)) excess_.push_back({excess, 1});
    ours_.push_back(*std::move(ours));
    theirs_.push_back(*std::move(theirs));
    return absl::OkStatus();
  }

  absl::Status AddTexts() {
    Tokenizer* tokenizer = inputs_.inputs->decoder.get();
    if (tokenizer == nullptr) {
      result_.skips.push_back(
          {"bleu, garbled text", "the model has no tokenizer to make text of ids"});
      return absl::OkStatus();
    }
    auto ours = tokenizer->DecodeAll(ours_);
    if (!ours.ok()) return ours.status();
    auto theirs = tokenizer->DecodeAll(theirs_);
    if (!theirs.ok()) return theirs.status();
    BleuCounts counts;
    int garbled = 0;
    for (size_t i = 0; i < ours_.size(); ++i) {
      counts.Add(CountBleu((*theirs)[i], (*ours)[i]));
      const std::vector<std::string> reasons =
          GarbledReasons({ours_[i], (*ours)[i]}, {theirs_[i], (*theirs)[i]}, excess_nll_[i]);
      if (reasons.empty()) continue;
      ++garbled;
      const std::string& prompt = inputs_.inputs->prompts[i].id;
      if (garbled <= 3) result_.garbled.push_back(absl::StrCat(prompt, ": ", reasons[0]));
    }
    const int prompts = static_cast<int>(ours_.size());
    result_.metrics["bleu"] = ValueOf(BleuScore(counts), counts.total[0], prompts);
    result_.metrics["garbled_share"] =
        ValueOf(static_cast<double>(garbled) / prompts, garbled, prompts);
    return absl::OkStatus();
  }

  DumpReader &reference_, &candidate_;
  const SummaryInputs& inputs_;
  ConfigurationResult& result_;
  std::vector<Cluster> match_, distance_, excess_;
  std::vector<double> excess_nll_;  // NaN: a side is empty
  std::vector<std::vector<int32_t>> ours_, theirs_;
};

// Ids [seeds, tokens] of one prompt; -1: ended before.
struct Draws {
  std::vector<std::vector<int32_t>> runs;
  absl::Span<const float> logits;  // of the first draw; empty: the engine shows none
};

absl::StatusOr<Draws> ReadDraws(DumpReader& dump, int item) {
  auto ids = dump.Read("sampled", item, "ids");
  if (!ids.ok()) return ids.status();
  if ((*ids)->dtype != DType::kI32 || (*ids)->shape.size() != 2) {
    return absl::FailedPreconditionError(
        absl::StrCat(dump.folder(), ": ", (*ids)->name, " is no I32 matrix"));
  }
  Draws draws;
  const auto values = (*ids)->As<int32_t>();
  const auto tokens = static_cast<size_t>((*ids)->shape[1]);
  for (size_t at = 0; tokens > 0 && at < values.size(); at += tokens) {
    const auto run = values.subspan(at, tokens);
    draws.runs.emplace_back(run.begin(), std::find(run.begin(), run.end(), -1));
  }
  auto logits = dump.Read("sampled", item, "logits");
  if (logits.ok()) draws.logits = (*logits)->As<float>();
  return draws;
}

// First tokens by id; an end before the first is the end-of-sequence id.
std::vector<int64_t> FirstTokens(const Draws& draws, size_t vocab, int eos) {
  std::vector<int64_t> counts(vocab);
  for (const std::vector<int32_t>& run : draws.runs) {
    const int token = run.empty() ? eos : run[0];
    if (token >= 0 && static_cast<size_t>(token) < vocab) ++counts[static_cast<size_t>(token)];
  }
  return counts;
}

class DrawSummary {
 public:
  DrawSummary(DumpReader& reference, DumpReader& candidate, const SummaryInputs& inputs,
              ConfigurationResult& result)
      : reference_(reference), candidate_(candidate), inputs_(inputs), result_(result) {}

  absl::Status Run() {
    const int prompts = std::min(candidate_.Items("sampled"), reference_.Items("sampled"));
    for (int item = 0; item < prompts; ++item) {
      if (absl::Status status = Add(item); !status.ok()) return status;
    }
    if (prompts == 0) return absl::OkStatus();
    Report();
    return absl::OkStatus();
  }

 private:
  absl::Status Add(int item) {
    auto ours = ReadDraws(reference_, item);
    if (!ours.ok()) return ours.status();
    auto theirs = ReadDraws(candidate_, item);
    if (!theirs.ok()) return theirs.status();
    if (!ours->logits.empty()) {
      const std::vector<double> law = LawAt(ours->logits, kTemperature);
      const auto counts = FirstTokens(*theirs, law.size(), inputs_.eos);
      against_reference_.push_back(CompareDraws(counts, law));
      if (theirs->logits.size() == law.size()) AddLaws(*ours, *theirs, counts);
    }
    const size_t runs = std::min(ours->runs.size(), theirs->runs.size());
    ours->runs.resize(runs);
    theirs->runs.resize(runs);
    samples_.push_back({std::move(ours->runs), std::move(theirs->runs)});
    return absl::OkStatus();
  }

  void AddLaws(const Draws& ours, const Draws& theirs, const std::vector<int64_t>& counts) {
    against_own_.push_back(CompareDraws(counts, LawAt(theirs.logits, kTemperature)));
    std::vector<double> p(ours.logits.begin(), ours.logits.end());
    std::vector<double> q(theirs.logits.begin(), theirs.logits.end());
    for (double& logit : p) logit /= kTemperature;
    for (double& logit : q) logit /= kTemperature;
    const Divergence divergence = DivergenceOf(p, q);
    kl_.push_back({divergence.kl, 1});
    variation_.push_back({divergence.total_variation, 1});
  }

  void Report() {
    const int prompts = static_cast<int>(samples_.size());
    if (!against_reference_.empty()) {
      const DrawsAgainstLaw all = Combine(against_reference_);
      result_.metrics["sampled_p_value"] = ValueOf(all.pearson.p_value, all.draws, prompts);
      result_.metrics["sampled_effect"] = ValueOf(all.squared_effect(), all.draws, prompts);
    }
    if (!against_own_.empty()) {
      const DrawsAgainstLaw own = Combine(against_own_);
      result_.metrics["sampler_p_value"] = ValueOf(own.pearson.p_value, own.draws, prompts);
      result_.metrics["sampled_kl_mean"] = MeanOf(kl_);
      result_.metrics["sampled_total_variation"] = MeanOf(variation_);
      if (own.outside_support > 0) {
        result_.findings.push_back(
            {"sampler",
             absl::StrCat(own.outside_support,
                          " draws of tokens to which the engine's own logits give nothing")});
      }
    }
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
  std::vector<Cluster> kl_, variation_;
  std::vector<PromptSamples> samples_;
};

}  // namespace

absl::Status SummariseTexts(DumpReader& reference, DumpReader& candidate,
                            const SummaryInputs& inputs, ConfigurationResult& result) {
  return Texts(reference, candidate, inputs, result).Run();
}

absl::Status SummariseDraws(DumpReader& reference, DumpReader& candidate,
                            const SummaryInputs& inputs, ConfigurationResult& result) {
  return DrawSummary(reference, candidate, inputs, result).Run();
}

}  // namespace crosscheck::quality
