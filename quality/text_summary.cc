#include "quality/text_summary.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "quality/metrics/bleu.h"
#include "quality/metrics/cluster.h"
#include "quality/metrics/text.h"

namespace crosscheck::quality {
namespace {

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
    if (inputs_.nll || excess_.size() == match_.size()) {
      result_.metrics["excess_nll"] = MeanOf(excess_);
    } else {
      result_.skips.push_back({"excess_nll", "no model of the reference can be asked"});
    }
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
      if (inputs_.nll && !ours->empty() && !theirs->empty()) {
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
    std::vector<BleuCounts> counts;
    int garbled = 0;
    for (size_t i = 0; i < ours_.size(); ++i) {
      counts.push_back(CountBleu((*theirs)[i], (*ours)[i]));
      const std::vector<std::string> reasons =
          GarbledReasons({ours_[i], (*ours)[i]}, {theirs_[i], (*theirs)[i]}, excess_nll_[i]);
      if (reasons.empty()) continue;
      ++garbled;
      const std::string& prompt = inputs_.inputs->prompts[i].id;
      if (garbled <= 3) result_.garbled.push_back(absl::StrCat(prompt, ": ", reasons[0]));
    }
    const int prompts = static_cast<int>(ours_.size());
    result_.metrics["bleu"] = CorpusBleu(counts);
    result_.metrics["garbled_share"] =
        ValueOf(static_cast<double>(garbled) / prompts, garbled, prompts);
    return absl::OkStatus();
  }

  // Of the corpus, with the bootstrap's interval.
  Estimate CorpusBleu(const std::vector<BleuCounts>& counts) const {
    const auto score = [&](absl::Span<const int> prompts) {
      BleuCounts sum;
      for (const int i : prompts) sum.Add(counts[static_cast<size_t>(i)]);
      return BleuScore(sum);
    };
    const auto prompts = static_cast<int>(counts.size());
    BleuCounts all;
    for (const BleuCounts& prompt : counts) all.Add(prompt);
    Estimate bleu = ValueOf(BleuScore(all), all.total[0], prompts);
    const Interval interval =
        BootstrapInterval(prompts, score, 0.95, Stream(inputs_.seed, "bootstrap").Fork("bleu"));
    bleu.lower = interval.lower;
    bleu.upper = interval.upper;
    return bleu;
  }

  DumpReader &reference_, &candidate_;
  const SummaryInputs& inputs_;
  ConfigurationResult& result_;
  std::vector<Cluster> match_, distance_, excess_;
  std::vector<double> excess_nll_;  // NaN: a side is empty
  std::vector<std::vector<int32_t>> ours_, theirs_;
};

}  // namespace

absl::Status SummariseTexts(DumpReader& reference, DumpReader& candidate,
                            const SummaryInputs& inputs, ConfigurationResult& result) {
  return Texts(reference, candidate, inputs, result).Run();
}

}  // namespace crosscheck::quality
