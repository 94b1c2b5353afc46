#include "quality/generation_summary.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "quality/decision.h"
#include "quality/dump_table.h"
#include "quality/metrics/greedy_match.h"
#include "quality/position_stat.h"
#include "quality/stop_text.h"

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
  return GreedyRun{(*ids)->As<int32_t>(), EndName((*ended)->As<int32_t>()[0])};
}

Estimate Rate(int matches, int prompts) {
  Estimate rate{.value = prompts == 0 ? std::nan("") : static_cast<double>(matches) / prompts};
  rate.count = matches;
  rate.clusters = prompts;
  if (prompts > 0) {
    const Interval wilson = WilsonInterval(matches, prompts, 0.95);
    rate.lower = wilson.lower;
    rate.upper = wilson.upper;
  }
  return rate;
}

Estimate RateAt(const std::vector<PromptMatch>& matches, int at, bool margin_aware) {
  return Rate(CountMatches(matches, at, margin_aware), static_cast<int>(matches.size()));
}

// What two legal roundings may shift a logit by; the largest of any prompt where none is known of
// this one.
double AllowedOf(const std::vector<double>& allowed, int item) {
  return static_cast<size_t>(item) < allowed.size()
             ? allowed[static_cast<size_t>(item)]
             : *std::max_element(allowed.begin(), allowed.end());
}

// From what the forced track keeps where the runs part, both sides after the same tokens: the best
// logit, the log-probability of the target, which is the reference's token, and of the reference
// the gap of the candidate's.
void AddProbabilities(DumpReader& reference, DumpReader& candidate, int item,
                      GreedyDivergence& divergence) {
  const auto stat = [&](DumpReader& dump) {
    return item < dump.Items("forced") ? ReadTable(dump, "forced", item, "stat", kStatColumns)
                                       : absl::NotFoundError("not a prompt of the track");
  };
  const int at = divergence.index;
  if (const auto ours = stat(reference); ours.ok() && at < ours->rows()) {
    const double log_best = ours->at(at, kMax) - ours->at(at, kLse);
    divergence.p_reference = std::exp(log_best);
    divergence.p_candidate = std::exp(log_best - divergence.gap);
  }
  if (const auto theirs = stat(candidate); theirs.ok() && at < theirs->rows()) {
    divergence.q_reference = std::exp(theirs->at(at, kTarget));
    // What generates may be another format than what shows logits.
    if (theirs->at(at, kArgMax) == divergence.candidate_token) {
      divergence.q_candidate = std::exp(theirs->at(at, kMax) - theirs->at(at, kLse));
    }
  }
}

absl::StatusOr<GreedyDivergence> Describe(const SummaryInputs& inputs, int item, int index,
                                          const GreedyRun& ours, const GreedyRun& theirs) {
  const auto at = static_cast<size_t>(index);
  GreedyDivergence divergence{.prompt = inputs.inputs->prompts[static_cast<size_t>(item)].id,
                              .index = index};
  const size_t shown = std::min<size_t>(at, 8);
  divergence.before.assign(ours.ids.begin() + static_cast<ptrdiff_t>(at - shown),
                           ours.ids.begin() + static_cast<ptrdiff_t>(at));
  if (at < ours.ids.size()) divergence.reference_token = ours.ids[at];
  if (at < theirs.ids.size()) divergence.candidate_token = theirs.ids[at];
  const int chosen = divergence.candidate_token >= 0 ? divergence.candidate_token : inputs.eos;
  if (chosen < 0 || inputs.allowed->empty()) return divergence;
  auto gap = inputs.gap(item, index, chosen);
  if (!gap.ok()) return gap.status();
  divergence.gap = *gap;
  divergence.allowed = AllowedOf(*inputs.allowed, item);
  divergence.near_tie = IsNearTie(divergence.gap, divergence.allowed, divergence.allowed);
  return divergence;
}

}  // namespace

absl::Status MatchPrompts(DumpReader& reference, DumpReader& candidate, const SummaryInputs& inputs,
                          std::vector<PromptMatch>& matches,
                          std::vector<GreedyDivergence>* divergences) {
  for (int item = static_cast<int>(matches.size()); item < candidate.Items("greedy"); ++item) {
    auto ours = ReadRun(reference, item);
    if (!ours.ok()) return ours.status();
    auto theirs = ReadRun(candidate, item);
    if (!theirs.ok()) return theirs.status();
    PromptMatch match{.prompt = item,
                      .first = FindDivergence(*ours, *theirs, inputs.greedy_tokens)};
    if (match.first.kind != DivergenceKind::kNone) {
      auto divergence = Describe(inputs, item, match.first.index, *ours, *theirs);
      if (!divergence.ok()) return divergence.status();
      match.near_tie = divergence->near_tie;
      if (divergences != nullptr) {
        AddProbabilities(reference, candidate, item, *divergence);
        divergences->push_back(*std::move(divergence));
      }
    }
    matches.push_back(match);
  }
  return absl::OkStatus();
}

absl::Status SummariseGreedy(DumpReader& reference, DumpReader& candidate,
                             const SummaryInputs& inputs, ConfigurationResult& result) {
  if (candidate.Items("greedy") == 0) return absl::OkStatus();
  std::vector<PromptMatch> matches;
  absl::Status status = MatchPrompts(reference, candidate, inputs, matches, &result.divergences);
  if (!status.ok()) return status;
  for (const int at : {std::min(10, inputs.greedy_tokens), inputs.greedy_tokens}) {
    result.metrics[absl::StrCat("greedy_match_", at)] = RateAt(matches, at, false);
    result.metrics[absl::StrCat("greedy_match_margin_aware_", at)] = RateAt(matches, at, true);
  }
  std::vector<FirstDivergence> firsts;
  firsts.reserve(matches.size());
  for (const PromptMatch& match : matches) firsts.push_back(match.first);
  const DivergenceHistogram histogram = HistogramOf(firsts, inputs.greedy_tokens);
  result.first_divergence = histogram.by_index;
  result.first_divergence.push_back(histogram.none);
  result.ended_differently = histogram.length;
  result.matches = std::move(matches);
  return absl::OkStatus();
}

}  // namespace crosscheck::quality
