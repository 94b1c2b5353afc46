// The numbers of one configuration, from its dump and that of the reference.
#ifndef CROSSCHECK_QUALITY_SUMMARY_H_
#define CROSSCHECK_QUALITY_SUMMARY_H_

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "quality/configuration.h"
#include "quality/dump.h"
#include "quality/inputs.h"
#include "quality/metrics/cluster.h"
#include "quality/metrics/greedy_match.h"
#include "quality/paired_items.h"
#include "quality/tracks.h"

namespace crosscheck::quality {

// One number with its 95 % interval (two-sided; NaN: none) over `clusters` prompts or windows.
struct Estimate {
  double value = std::numeric_limits<double>::quiet_NaN();
  double lower = std::numeric_limits<double>::quiet_NaN();
  double upper = std::numeric_limits<double>::quiet_NaN();
  int64_t count = 0;  // positions, prompts or tokens
  int clusters = 0;
  double standard_error = std::numeric_limits<double>::quiet_NaN();
};

// Why a track was not measured.
struct Skip {
  std::string track, reason;
};

// What is wrong whatever the gates say: a support violation, a value that is no logit, a crash.
struct Finding {
  std::string kind, text;
};

struct WorstPosition {
  std::string track, item;  // id of the prompt, or "window 12"
  int position = 0;         // from the first scored one
  double kl = 0;
  int reference_token = 0, candidate_token = 0;
};

// How one prompt's greedy continuation left the reference's.
struct GreedyDivergence {
  std::string prompt;
  int index = 0;                                   // first differing token
  int reference_token = -1, candidate_token = -1;  // -1: ended there
  double gap = 0;      // the reference's logit of its token less that of the candidate's
  double allowed = 0;  // what two legal roundings may shift
  bool near_tie = false;
  std::vector<int32_t> before = {};  // the last tokens that both sides generated
  // Probabilities of the two tokens, by reference (p) and candidate (q); NaN: not in the dumps.
  double p_reference = std::nan(""), p_candidate = std::nan("");
  double q_reference = std::nan(""), q_candidate = std::nan("");
};

// Of KL over the prompts at one position.
struct PositionBand {
  double median = 0, low = 0, high = 0;  // 50, 5 and 95 % quantiles
  int prompts = 0;
};

struct LayerStage {
  int layer = -1;
  std::string stage;
  double cosine_mean = 1, cosine_least = 1, cosine_q01 = 1;  // over positions
  double relative_error_mean = 0, relative_error_q99 = 0, relative_error_largest = 0;
  // Against the reference on the same weights and inputs, as a share of what rounding may do; NaN:
  // not measured.
  double added_error_ratio = std::numeric_limits<double>::quiet_NaN();
  int positions = 0, zero_norms = 0;
};

enum class GateVerdict { kPass, kFail, kUndecided };
inline constexpr std::string_view kGateVerdictNames[] = {"pass", "fail", "undecided"};

struct GateOutcome {
  std::string gate, metric;
  GateVerdict verdict = GateVerdict::kUndecided;
  std::string text;  // the deciding number, its interval and bound; what an undecided one needs
  std::string bound = {};  // "<= 0.01"
  int64_t prompts = 0;     // that were looked at; 0: the metric is no rate
};

struct ConfigurationResult {
  Configuration configuration;
  std::string engine_text;  // name, version and build as the engine says
  Json echo;
  double bits_per_weight = 32;
  int64_t weight_bytes = 0;
  std::map<std::string, Estimate> metrics;   // by the names of the report's methods section
  std::vector<double> kl;                    // of every forced position with a finite one
  std::vector<PositionBand> kl_by_position;  // at t of the forced track
  std::vector<std::vector<double>> kl_rows;  // [prompt][position], forced; NaN: none there
  std::vector<int> first_divergence;         // prompts by index, then "none"
  int ended_differently = 0;                 // prompts where one side stopped and the other did not
  std::vector<PromptMatch> matches;          // of the greedy track, by prompt
  std::vector<GreedyDivergence> divergences;
  std::vector<WorstPosition> worst;  // ten, of different prompts
  std::vector<LayerStage> layers;
  std::vector<std::string> garbled;  // prompts with garbled text and why, three at most
  std::vector<Skip> skips;
  std::vector<Finding> findings;
  std::vector<GateOutcome> gates;
  double seconds = 0;  // spent in the engine

  // KL of the forced track by prompt, of the first so many positions; 0: all.
  std::vector<Cluster> KlClusters(int positions = 0) const;
  GateVerdict verdict() const;  // any failure or finding, then any undecided gate
};

// What a summary needs beside the two dumps. `allowed`: for each prompt of the forced track the
// error of a logit that two legal roundings may make (judging.md 4.1, epsilon); for further prompts
// the largest of them. Empty: none is known, nothing is waived.
struct SummaryInputs {
  const Inputs* inputs = nullptr;
  PairedItems* pairs = nullptr;  // of the tracks with logits
  const std::vector<double>* allowed = nullptr;
  // The standard deviation of such an error, by prompt of the forced track.
  const std::vector<double>* spread = nullptr;
  int greedy_tokens = 50;
  int eos = -1;       // the model's end-of-sequence id
  uint64_t seed = 1;  // of the bootstrap
  // The reference's best logit less that of `token`, after the prompt and the first `position`
  // tokens of its greedy continuation; NaN: not known.
  std::function<absl::StatusOr<double>(int item, int position, int token)> gap;
  // -ln p of each of `ids` after the prompt, by the reference; absent: nobody can be asked.
  std::function<absl::StatusOr<std::vector<double>>(int item, const std::vector<int32_t>& ids)> nll;
};

// Fills metrics, worst, divergences and findings of `result` from what the dumps hold.
absl::Status Summarise(DumpReader& reference, DumpReader& candidate, const SummaryInputs& inputs,
                       ConfigurationResult& result);

// Centred errors of the logits of the first `items` items of the forced track, by prompt: the
// largest, and their RMS.
struct LogitErrors {
  std::vector<double> largest, rms;
};
absl::StatusOr<LogitErrors> ErrorsOf(PairedItems& pairs, int items);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_SUMMARY_H_
