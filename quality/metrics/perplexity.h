// Perplexity over windows of a text (quality.md 3.7): which windows are computed, which of their
// targets are scored, and what two sides' scores say. Schemes are never compared with each other.
//
// Example:
//   const std::vector<Window> plan = PlanWindows({.scheme = Scheme::kWindow}, ids.size());
//   for (const Window& w : plan) …   // logits of ids[w.begin, w.end); score ids[w.first_target …)
#ifndef CROSSCHECK_QUALITY_METRICS_PERPLEXITY_H_
#define CROSSCHECK_QUALITY_METRICS_PERPLEXITY_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "quality/metrics/cluster.h"

namespace crosscheck::quality {

enum class Scheme {
  kWindow,    // every target once, in the first window that covers it
  kHf,        // the same windows, weighted as Transformers' perplexity page does
  kLlamaCpp,  // disjoint windows, the second half of each scored, the first token replaced by BOS
};
inline constexpr std::string_view kSchemeNames[] = {"window", "hf", "llamacpp"};

struct WindowPlan {
  Scheme scheme = Scheme::kWindow;
  int64_t length = 512;  // tokens of a window, at least 2
  int64_t stride = 256;  // 1 … length - 1; not read for kLlamaCpp
};

// Positions are those of the text; the logits of position i of the window predict token i + 1.
struct Window {
  int64_t begin = 0, end = 0;                 // its tokens; state is reset before the first
  int64_t first_target = 0, last_target = 0;  // tokens that are scored: [first, last)
  bool replace_first_by_bos = false;          // kLlamaCpp: where the tokenizer adds one

  int64_t targets() const { return last_target - first_target; }
};
// Windows in order; empty where the text is too short for a target. Error messages of bad plans are
// the caller's: PlanError says what is wrong with one, "" when nothing is.
std::string PlanError(const WindowPlan& plan);
std::vector<Window> PlanWindows(const WindowPlan& plan, int64_t tokens);

// exp(weighted mean of window means), a window weighing as many as its targets (kHf: all but the
// first one less); +inf or NaN where a score is not finite: a failure, never skipped. `nll`
// [windows][targets], in nats.
double Perplexity(Scheme scheme, absl::Span<const std::vector<double>> nll);

// Both sides scored the same targets. The interval is that of the paired differences, clustered by
// window or document.
struct PerplexityRatio {
  double reference = 0, candidate = 0;  // perplexities: exp of the mean NLL over targets
  int64_t targets = 0;
  MeanEstimate log_ratio;  // of d = NLL_q - NLL_p; its mean is ln(candidate / reference)
  double ratio() const { return candidate / reference; }
};
// [clusters][targets of the cluster], equal shapes.
PerplexityRatio ComparePerplexity(absl::Span<const std::vector<double>> reference_nll,
                                  absl::Span<const std::vector<double>> candidate_nll);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_METRICS_PERPLEXITY_H_
