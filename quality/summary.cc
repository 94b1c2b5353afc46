#include "quality/summary.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "quality/choice_track.h"
#include "quality/dump_table.h"
#include "quality/flips.h"
#include "quality/generation_summary.h"
#include "quality/metrics/agreement.h"
#include "quality/metrics/cluster.h"
#include "quality/metrics/perplexity.h"
#include "quality/metrics/quantile.h"
#include "quality/paired_items.h"
#include "quality/position_metrics.h"
#include "quality/position_stat.h"
#include "quality/sampled_track.h"
#include "quality/text_summary.h"

namespace crosscheck::quality {
namespace {

Estimate ToEstimate(const std::vector<Cluster>& clusters) {
  const MeanEstimate mean = EstimateMean(clusters);
  const Interval interval = MeanInterval(mean, 0.95);
  Estimate estimate{.value = mean.mean,
                    .lower = interval.lower,
                    .upper = interval.upper,
                    .clusters = mean.clusters,
                    .standard_error = mean.standard_error};
  for (const Cluster& cluster : clusters) estimate.count += static_cast<int64_t>(cluster.count);
  return estimate;
}

// A mean over positions, clustered by item.
class PerItem {
 public:
  explicit PerItem(int items) : clusters_(static_cast<size_t>(items)) {}
  void Add(int item, double value) {
    if (!std::isfinite(value)) return;
    clusters_[static_cast<size_t>(item)].sum += value;
    ++clusters_[static_cast<size_t>(item)].count;
  }
  Estimate Result() const { return ToEstimate(clusters_); }
  const std::vector<Cluster>& clusters() const { return clusters_; }

 private:
  std::vector<Cluster> clusters_;
};

Estimate Number(double value, int64_t count, int clusters) {
  Estimate estimate{.value = value};
  estimate.count = count;
  estimate.clusters = clusters;
  return estimate;
}

// The numbers of one track with logits.
class TrackSummary {
 public:
  TrackSummary(DumpReader& reference, DumpReader& candidate, PairedItems& pairs, std::string track,
               const SummaryInputs& inputs, ConfigurationResult& result)
      : reference_(reference),
        pairs_(pairs),
        track_(std::move(track)),
        inputs_(inputs),
        result_(result),
        items_(candidate.Items(track_)),
        bootstrap_(Stream(inputs.seed, "bootstrap").Fork(track_)) {}

  absl::Status Run() {
    if (items_ == 0) return absl::OkStatus();
    if (items_ != reference_.Items(track_)) {
      return absl::FailedPreconditionError(absl::StrCat("track ", track_, ": the reference has ",
                                                        reference_.Items(track_),
                                                        " items, the candidate ", items_));
    }
    means_.assign(10, PerItem(items_));
    for (int item = 0; item < items_; ++item) {
      if (absl::Status status = AddItem(item); !status.ok()) return status;
    }
    Finish();
    return absl::OkStatus();
  }

 private:
  enum Mean {
    kKlMean,
    kReverse,
    kVariation,
    kSameTop,
    kTop5,
    kTop10,
    kTop100,
    kChange,
    kSquaredChange,
    kDecided
  };

  absl::Status AddItem(int item) {
    auto pair = pairs_.Read(track_, item);
    if (!pair.ok()) return pair.status();
    const auto& [ours, theirs, metrics] = *pair;
    if (ours.rows() != theirs.rows() || ours.rows() != metrics.rows()) {
      return absl::FailedPreconditionError(
          absl::StrCat("track ", track_, ", item ", item, ": the dumps have different positions"));
    }
    reference_nll_.emplace_back();
    candidate_nll_.emplace_back();
    kl_rows_.emplace_back(static_cast<size_t>(ours.rows()), std::nan(""));
    WorstPosition worst{.track = track_, .item = NameOf(item)};
    for (int t = 0; t < ours.rows(); ++t) AddPosition(item, t, ours, theirs, metrics, worst);
    if (worst.kl > 0) result_.worst.push_back(worst);
    return absl::OkStatus();
  }

  std::string NameOf(int item) const {
    if (track_ != "forced") return absl::StrCat("window ", item);
    return inputs_.inputs->prompts[static_cast<size_t>(item)].id;
  }

  void AddPosition(int item, int t, const Table& ours, const Table& theirs, const Table& metrics,
                   WorstPosition& worst) {
    if (theirs.at(t, kNan) + theirs.at(t, kPositiveInfinity) > 0 || theirs.at(t, kArgMax) < 0) {
      ++non_finite_;
      return;
    }
    const double kl = metrics.at(t, kKl);
    if (std::isinf(kl)) ++support_violations_;
    if (std::isfinite(kl)) {
      kl_.Add(item, kl);
      kl_rows_.back()[static_cast<size_t>(t)] = kl;
      if (by_position_.size() <= static_cast<size_t>(t)) by_position_.resize(t + 1);
      by_position_[static_cast<size_t>(t)].push_back(kl);
    }
    if (kl > worst.kl) {
      worst.kl = kl;
      worst.position = t;
      worst.reference_token = static_cast<int>(ours.at(t, kArgMax));
      worst.candidate_token = static_cast<int>(theirs.at(t, kArgMax));
    }
    means_[kKlMean].Add(item, kl);
    means_[kReverse].Add(item, metrics.at(t, kReverseKl));
    means_[kVariation].Add(item, metrics.at(t, kTotalVariation));
    const bool same = ours.at(t, kArgMax) == theirs.at(t, kArgMax);
    means_[kSameTop].Add(item, same ? 1 : 0);
    means_[kTop5].Add(item, metrics.at(t, kOverlap5));
    means_[kTop10].Add(item, metrics.at(t, kOverlap10));
    means_[kTop100].Add(item, metrics.at(t, kOverlap100));
    AddDecided(item, ours.at(t, kMax) - ours.at(t, kSecond), same);
    const double p = ours.at(t, kTarget), q = theirs.at(t, kTarget);
    if (std::isnan(p)) return;
    const double change = std::exp(q) - std::exp(p);
    means_[kChange].Add(item, change);
    means_[kSquaredChange].Add(item, change * change);
    changes_.Add(item, change);
    reference_nll_.back().push_back(-p);
    candidate_nll_.back().push_back(-q);
  }

  // Agreement where the reference's margin leaves no doubt.
  void AddDecided(int item, double margin, bool same) {
    if (track_ != "forced" || inputs_.allowed->empty()) return;
    const double allowed = (*inputs_.allowed)[static_cast<size_t>(item)];
    if (IsDecided(margin, allowed, allowed)) {
      means_[kDecided].Add(item, same ? 1 : 0);
    }
  }

  // A metric that no position has was not measured.
  void Set(const std::string& name, const Estimate& estimate) {
    if (estimate.count == 0) return;
    result_.metrics[track_ == "forced" ? name : absl::StrCat(name, "_", track_)] = estimate;
  }

  void Finish() {
    if (non_finite_ > 0) {
      result_.findings.push_back({"non-finite", absl::StrCat("track ", track_, ": ", non_finite_,
                                                             " positions with NaN or "
                                                             "infinite logits")});
    }
    if (support_violations_ > 0) {
      result_.findings.push_back(
          {"support", absl::StrCat("track ", track_, ": ", support_violations_,
                                   " positions exclude a token that the reference allows")});
    }
    Set("kl_mean", means_[kKlMean].Result());
    Set("reverse_kl_mean", means_[kReverse].Result());
    Set("total_variation_mean", means_[kVariation].Result());
    Set("top1_agreement", means_[kSameTop].Result());
    Set("top5_overlap", means_[kTop5].Result());
    Set("top10_overlap", means_[kTop10].Result());
    Set("top100_overlap", means_[kTop100].Result());
    Set("delta_p_mean", means_[kChange].Result());
    if (track_ == "forced" && !inputs_.allowed->empty())
      Set("top1_decided_agreement", means_[kDecided].Result());
    FinishQuantiles();
    if (track_ != "forced") FinishPerplexity();
  }

  // Quantiles of values with the bootstrap's intervals, as metrics PREFIX_median, …
  void SetQuantiles(const std::string& prefix, const ClusteredValues& values,
                    const std::vector<std::pair<std::string, double>>& quantiles) {
    std::vector<double> sorted = values.values(), fractions;
    if (sorted.empty()) return;
    std::sort(sorted.begin(), sorted.end());
    for (const auto& [name, fraction] : quantiles) fractions.push_back(fraction);
    const std::vector<Interval> intervals =
        values.QuantileIntervals(fractions, items_, 0.95, bootstrap_.Fork(prefix));
    for (size_t i = 0; i < fractions.size(); ++i) {
      Estimate estimate = Number(QuantileOfSorted(sorted, fractions[i]),
                                 static_cast<int64_t>(sorted.size()), items_);
      estimate.lower = intervals[i].lower;
      estimate.upper = intervals[i].upper;
      Set(absl::StrCat(prefix, "_", quantiles[i].first), estimate);
    }
  }

  void FinishQuantiles() {
    SetQuantiles("kl", kl_, {{"median", 0.5}, {"q99", 0.99}, {"q999", 0.999}});
    SetQuantiles("delta_p", changes_, {{"q01", 0.01}, {"median", 0.5}, {"q99", 0.99}});
    const Distribution d = DistributionOf(kl_.values());
    const auto count = static_cast<int64_t>(d.count);
    Set("kl_max", Number(d.max, count, items_));
    // A resample's maximum says nothing of the law's.
    if (d.tail_is_maximum) Set("kl_q999", Number(d.q999, count, items_));
    FinishChanges();
    if (track_ != "forced") return;
    result_.kl = kl_.values();
    result_.kl_rows = std::move(kl_rows_);
    for (std::vector<double>& values : by_position_) {
      std::sort(values.begin(), values.end());
      result_.kl_by_position.push_back({.median = QuantileOfSorted(values, 0.5),
                                        .low = QuantileOfSorted(values, 0.05),
                                        .high = QuantileOfSorted(values, 0.95),
                                        .prompts = static_cast<int>(values.size())});
    }
  }

  void FinishChanges() {
    const std::vector<Cluster>& squares = means_[kSquaredChange].clusters();
    const auto rms = [&](absl::Span<const int> items) {
      Cluster sum;
      for (const int i : items) {
        sum.sum += squares[static_cast<size_t>(i)].sum;
        sum.count += squares[static_cast<size_t>(i)].count;
      }
      return std::sqrt(sum.sum / sum.count);
    };
    const MeanEstimate mean = EstimateMean(squares);
    if (mean.clusters == 0) return;
    Estimate estimate = means_[kSquaredChange].Result();
    const Interval interval = BootstrapInterval(items_, rms, 0.95, bootstrap_.Fork("delta_p_rms"));
    estimate.value = std::sqrt(mean.mean);
    estimate.lower = interval.lower;
    estimate.upper = interval.upper;
    estimate.standard_error = std::numeric_limits<double>::quiet_NaN();
    Set("delta_p_rms", estimate);
  }

  void FinishPerplexity() {
    const PerplexityRatio ratio = ComparePerplexity(reference_nll_, candidate_nll_);
    const Interval interval = MeanInterval(ratio.log_ratio, 0.95);
    const std::string track = track_ == "text" ? "" : absl::StrCat("_", track_);
    result_.metrics["perplexity_reference" + track] = PerplexityOf(reference_nll_);
    result_.metrics["perplexity" + track] = PerplexityOf(candidate_nll_);
    result_.metrics["perplexity_log_ratio" + track] = {
        .value = ratio.log_ratio.mean,
        .lower = interval.lower,
        .upper = interval.upper,
        .count = ratio.targets,
        .clusters = ratio.log_ratio.clusters,
        .standard_error = ratio.log_ratio.standard_error};
    if (!std::isfinite(ratio.candidate)) {
      result_.findings.push_back({"non-finite", "the perplexity is not finite"});
    }
  }

  // By the windows' scheme; the interval is that of the mean NLL.
  Estimate PerplexityOf(const std::vector<std::vector<double>>& nll) const {
    std::vector<Cluster> clusters;
    clusters.reserve(nll.size());
    for (const std::vector<double>& window : nll) clusters.push_back(ClusterOf(window));
    Estimate estimate = ToEstimate(clusters);
    estimate.value =
        track_ == "text" ? Perplexity(inputs_.inputs->scheme, nll) : std::exp(estimate.value);
    estimate.lower = std::exp(estimate.lower);
    estimate.upper = std::exp(estimate.upper);
    return estimate;
  }

  DumpReader& reference_;
  PairedItems& pairs_;
  std::string track_;
  const SummaryInputs& inputs_;
  ConfigurationResult& result_;
  int items_;
  std::vector<PerItem> means_;
  const Stream bootstrap_;
  ClusteredValues kl_, changes_;
  std::vector<std::vector<double>> by_position_, kl_rows_;
  std::vector<std::vector<double>> reference_nll_, candidate_nll_;
  int64_t non_finite_ = 0, support_violations_ = 0;
};

}  // namespace

std::vector<Cluster> ConfigurationResult::KlClusters(int positions) const {
  std::vector<Cluster> clusters;
  for (const std::vector<double>& row : kl_rows) {
    const size_t most = positions == 0 ? row.size() : static_cast<size_t>(positions);
    std::vector<double> values;
    for (size_t t = 0; t < std::min(most, row.size()); ++t) {
      if (std::isfinite(row[t])) values.push_back(row[t]);
    }
    clusters.push_back(ClusterOf(values));
  }
  return clusters;
}

GateVerdict ConfigurationResult::verdict() const {
  const auto any = [&](GateVerdict wanted) {
    return std::any_of(gates.begin(), gates.end(),
                       [&](const GateOutcome& gate) { return gate.verdict == wanted; });
  };
  if (!findings.empty() || any(GateVerdict::kFail)) return GateVerdict::kFail;
  return any(GateVerdict::kUndecided) || gates.empty() ? GateVerdict::kUndecided
                                                       : GateVerdict::kPass;
}

absl::Status Summarise(DumpReader& reference, DumpReader& candidate, const SummaryInputs& inputs,
                       ConfigurationResult& result) {
  for (const char* track : {"forced", "text", "steps"}) {
    absl::Status status =
        TrackSummary(reference, candidate, *inputs.pairs, track, inputs, result).Run();
    if (!status.ok()) return status;
  }
  if (absl::Status status = SummariseGreedy(reference, candidate, inputs, result); !status.ok()) {
    return status;
  }
  if (absl::Status s = SummariseFlips(reference, candidate, inputs, result); !s.ok()) return s;
  if (absl::Status s = SummariseTexts(reference, candidate, inputs, result); !s.ok()) return s;
  absl::Status choices = SummariseChoices(reference, candidate, inputs.inputs->tasks, result);
  if (!choices.ok()) return choices;
  if (absl::Status s = SummariseDraws(reference, candidate, inputs, result); !s.ok()) return s;
  std::sort(result.worst.begin(), result.worst.end(),
            [](const WorstPosition& a, const WorstPosition& b) {
              return std::tie(b.kl, a.track, a.item) < std::tie(a.kl, b.track, b.item);
            });
  constexpr size_t kWorst = 10;
  if (result.worst.size() > kWorst) result.worst.resize(kWorst);
  return absl::OkStatus();
}

absl::StatusOr<LogitErrors> ErrorsOf(PairedItems& pairs, int items) {
  LogitErrors errors;
  for (int item = 0; item < items; ++item) {
    auto pair = pairs.Read("forced", item);
    if (!pair.ok()) return pair.status();
    const Table& metrics = pair->metrics;
    double largest = 0, squares = 0;
    for (int t = 0; t < metrics.rows(); ++t) {
      const double linf = metrics.at(t, kCentredLinf);
      if (std::isnan(linf)) largest = squares = std::numeric_limits<double>::infinity();
      largest = std::max(largest, linf);
      squares += metrics.at(t, kCentredRms) * metrics.at(t, kCentredRms);
    }
    if (std::isinf(largest)) squares = largest;
    errors.largest.push_back(largest);
    errors.rms.push_back(std::sqrt(squares / std::max(1, metrics.rows())));
  }
  return errors;
}

}  // namespace crosscheck::quality
