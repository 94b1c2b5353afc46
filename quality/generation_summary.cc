#include "quality/generation_summary.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "quality/metrics/greedy_match.h"
#include "quality/position_stat.h"

namespace crosscheck::quality {
namespace {

// Lives as long as the shard that the reader holds.
absl::StatusOr<GreedyRun> ReadRun(DumpReader& dump, int item) {
  auto ids = dump.Read("greedy", item, "ids");
  if (!ids.ok()) return ids.status();
  auto ended = dump.Read("greedy", item, "ended");
  if (!ended.ok()) return ended.status();
  if ((*ids)->dtype != DType::kI32 || (*ended)->dtype != DType::kI32 ||
      (*ended)->ElementCount() != 1) {
    return absl::FailedPreconditionError(
        absl::StrCat(dump.folder(), ": ", (*ids)->name, " or its end is no I32"));
  }
  return GreedyRun{(*ids)->As<int32_t>(), (*ended)->As<int32_t>()[0] != 0 ? "eos" : "length"};
}

Estimate Rate(int matches, int prompts) {
  Estimate rate{.value = prompts == 0 ? std::nan("") : static_cast<double>(matches) / prompts};
  rate.count = matches;
  rate.clusters = prompts;
  return rate;
}

class GreedySummary {
 public:
  GreedySummary(DumpReader& reference, DumpReader& candidate, const SummaryInputs& inputs,
                ConfigurationResult& result)
      : reference_(reference), candidate_(candidate), inputs_(inputs), result_(result) {}

  absl::Status Run() {
    const int prompts = candidate_.Items("greedy");
    if (prompts == 0) return absl::OkStatus();
    std::vector<FirstDivergence> at10, at_all;
    std::vector<bool> near_tie;
    for (int item = 0; item < prompts; ++item) {
      auto ours = ReadRun(reference_, item);
      if (!ours.ok()) return ours.status();
      auto theirs = ReadRun(candidate_, item);
      if (!theirs.ok()) return theirs.status();
      at10.push_back(FindDivergence(*ours, *theirs, 10));
      at_all.push_back(FindDivergence(*ours, *theirs, inputs_.greedy_tokens));
      near_tie.push_back(false);
      if (at_all.back().kind == DivergenceKind::kNone) continue;
      auto near = Describe(item, at_all.back(), *ours, *theirs);
      if (!near.ok()) return near.status();
      near_tie.back() = *near;
    }
    Report(at10, 10, near_tie);
    if (inputs_.greedy_tokens != 10) Report(at_all, inputs_.greedy_tokens, near_tie);
    const DivergenceHistogram histogram = HistogramOf(at_all, inputs_.greedy_tokens);
    result_.first_divergence = histogram.by_index;
    result_.first_divergence.push_back(histogram.none);
    result_.ended_differently = histogram.length;
    return absl::OkStatus();
  }

 private:
  void Report(const std::vector<FirstDivergence>& divergences, int at,
              const std::vector<bool>& near_tie) {
    const GreedyRates rates = CountMatches(divergences, near_tie);
    result_.metrics[absl::StrCat("greedy_match_", at)] = Rate(rates.raw, rates.prompts);
    result_.metrics[absl::StrCat("greedy_match_margin_aware_", at)] =
        Rate(rates.margin_aware, rates.prompts);
  }

  // Adds the divergence to the list; whether it is a near tie.
  absl::StatusOr<bool> Describe(int item, const FirstDivergence& first, const GreedyRun& ours,
                                const GreedyRun& theirs) {
    const auto index = static_cast<size_t>(first.index);
    GreedyDivergence divergence{.prompt = inputs_.inputs->prompts[static_cast<size_t>(item)].id,
                                .index = first.index};
    if (index < ours.ids.size()) divergence.reference_token = ours.ids[index];
    if (index < theirs.ids.size()) divergence.candidate_token = theirs.ids[index];
    const int chosen = divergence.candidate_token >= 0 ? divergence.candidate_token : inputs_.eos;
    if (chosen >= 0 && !inputs_.allowed->empty()) {
      auto gap = inputs_.gap(item, first.index, chosen);
      if (!gap.ok()) return gap.status();
      divergence.gap = *gap;
      const std::vector<double>& allowed = *inputs_.allowed;
      divergence.allowed = static_cast<size_t>(item) < allowed.size()
                               ? allowed[static_cast<size_t>(item)]
                               : *std::max_element(allowed.begin(), allowed.end());
      divergence.near_tie = IsNearTie(divergence.gap, divergence.allowed, divergence.allowed);
    }
    result_.divergences.push_back(divergence);
    return divergence.near_tie;
  }

  DumpReader &reference_, &candidate_;
  const SummaryInputs& inputs_;
  ConfigurationResult& result_;
};

}  // namespace

absl::Status SummariseGreedy(DumpReader& reference, DumpReader& candidate,
                             const SummaryInputs& inputs, ConfigurationResult& result) {
  return GreedySummary(reference, candidate, inputs, result).Run();
}

}  // namespace crosscheck::quality
