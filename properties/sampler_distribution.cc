// Drawn tokens follow the law that the engine documents, and are independent of each other.
//
// The law is computed in fp64 from the logits that the engine itself used. Order of judgement:
// support (a draw of probability 0 is a bug at once); classical tests on a first block screen;
// where one of them alarms, an e-value over a block of fresh draws decides at 1e12, and a second
// fresh block must confirm it (the product of both). Explicit uniforms are judged exactly, without
// statistics.
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "properties/judges/failure.h"
#include "properties/judges/sampling.h"
#include "properties/property.h"
#include "properties/sampler_runs.h"
#include "properties/statistics/e_value.h"
#include "properties/subjects/sampler.h"

namespace crosscheck {
namespace {

// 0: screen, 1: decides, 2: confirms.
constexpr int kBlocks = 3;
constexpr double kMarginalFactor = 1.5;

Runs Plan(const Case& erased) {
  const auto& c = erased.As<SamplerCase>();
  if (c.mode == SamplerMode::kInvert) {
    return {{.role = Role::kEngine, .model = nullptr, .request = InvertMessage(c)}};
  }
  if (c.mode == SamplerMode::kGenerate) return PlanGenerations(erased, kBlocks);
  Runs plan;
  plan.AppendSeries(kBlocks, [erased](size_t block) {
    return Run{.role = Role::kEngine,
               .request = DrawMessage(erased.As<SamplerCase>(), static_cast<int>(block))};
  });
  return plan;
}

Verdict Support(const std::string& stage, int block, const std::string& violation) {
  return MakeVerdict(VerdictKind::kEngineBug, stage, ErrorClass::kSupport,
                     absl::StrCat("block ", block, ": ", violation));
}

Verdict Undecided(const std::string& stage) {
  return MakeVerdict(VerdictKind::kUnsupported, stage, ErrorClass::kNone,
                     "rounding decides the probabilities");
}

// Randomness of the transform: independent of the engine's streams.
Stream TransformStream(const SamplerCase& c, int block) {
  return Stream(c.seed, "randomised transform").Fork(absl::StrCat("block ", block));
}

// The reading of the law under which the block looks best.
Screen BestScreen(const SamplerCase& c, const DrawnBlock& block) {
  std::optional<Screen> best;
  for (const int reading : AllowedReadings(block)) {
    Screen screen = ScreenBlock(block, reading, TransformStream(c, 0));
    if (!best || screen.SmallestPValue() > best->SmallestPValue()) best = screen;
  }
  return *best;
}

// The report has a row for each mode.
std::string ModeOf(const SamplerCase& c) {
  return std::string(kSamplerModeNames[static_cast<size_t>(c.mode)]);
}

void AddMeasures(const Screen& screen, const std::string& mode, Verdict& verdict) {
  const int df = screen.pearson.degrees_of_freedom;
  if (df == 0) return;
  const double critical = ChiSquareCritical(df, kScreenLevel);
  verdict.measures.push_back(
      {.metric = "chi_square", .path = mode, .error = screen.pearson.statistic, .bound = critical});
  verdict.measures.push_back({.metric = "g_test",
                              .path = mode,
                              .error = screen.likelihood_ratio.statistic,
                              .bound = critical});
}

// Evidence of the blocks after the first, summed per reading as their draws are independent;
// readings that a block does not allow are out.
class FreshEvidence {
 public:
  explicit FreshEvidence(const SamplerCase& c) : c_(c) {}

  std::optional<Verdict> Add(const std::string& stage, int index, const DrawnBlock& block) {
    const std::string violation = SupportViolation(block);
    if (!violation.empty()) return Support(stage, index, violation);
    // Which readings there are follows from the law, equal in all blocks.
    log_e_.resize(block.law_of.empty() ? block.laws[0].readings.size() : 1, 0);
    std::vector<double> sum(log_e_.size(), std::numeric_limits<double>::infinity());
    for (const int r : AllowedReadings(block)) {
      sum[r] = log_e_[r] + LogEvidence(block, r, TransformStream(c_, index));
    }
    log_e_ = std::move(sum);
    return std::nullopt;
  }
  double smallest() const { return *std::min_element(log_e_.begin(), log_e_.end()); }

 private:
  const SamplerCase& c_;
  std::vector<double> log_e_;
};

std::optional<Verdict> Decide(const SamplerCase& c, const std::string& stage,
                              Observations& observations, Verdict& verdict) {
  const double threshold = std::log(kCaseThreshold);
  FreshEvidence evidence(c);
  double first = 0;
  for (int index = 1; index < kBlocks; ++index) {
    DrawnBlock block;
    if (auto failed = ReadBlock(c, stage, index, observations, block)) return failed;
    if (RoundingDecides(block)) return Undecided(stage);
    if (auto wrong = evidence.Add(stage, index, block)) return wrong;
    verdict.judged += static_cast<int>(block.tokens.size());
    if (index == 1) first = evidence.smallest();
    if (first < threshold) break;
  }
  verdict.measures.push_back({.metric = "ln_e_value",
                              .path = ModeOf(c),
                              .error = std::max(evidence.smallest(), 0.0),
                              .bound = threshold});
  absl::StrAppend(&verdict.message,
                  absl::StrFormat("; the screen alarmed, fresh draws give ln E = %.4g (%.4g is a "
                                  "finding)",
                                  first, threshold));
  if (first < threshold) return std::nullopt;
  const double both = evidence.smallest();
  absl::StrAppend(&verdict.message, absl::StrFormat(", with a second fresh block %.4g", both));
  verdict.kind = both >= threshold ? VerdictKind::kEngineBug : VerdictKind::kFlaky;
  verdict.signature.error = ErrorClass::kDistribution;
  verdict.marginal = both < kMarginalFactor * threshold;
  return std::nullopt;
}

Verdict JudgeDraws(const SamplerCase& c, const std::string& stage, Observations& observations) {
  DrawnBlock block;
  if (auto failed = ReadBlock(c, stage, 0, observations, block)) return *failed;
  if (RoundingDecides(block)) return Undecided(stage);
  const std::string violation = SupportViolation(block);
  if (!violation.empty()) return Support(stage, 0, violation);
  Verdict verdict;
  verdict.signature.stage = stage;
  verdict.judged = static_cast<int>(block.tokens.size());
  if (block.tokens.empty()) return verdict;
  const Screen screen = BestScreen(c, block);
  verdict.message = absl::StrCat(screen.ToString(), "; ", block.tokens.size(), " draws");
  AddMeasures(screen, ModeOf(c), verdict);
  if (screen.SmallestPValue() >= kScreenLevel) return verdict;
  if (auto failed = Decide(c, stage, observations, verdict)) return *failed;
  return verdict;
}

Verdict Judge(const Case& erased, Observations& observations) {
  const auto& c = erased.As<SamplerCase>();
  const std::string stage = StageOf(c);
  if (c.mode == SamplerMode::kInvert) return JudgeInvert(c, stage, observations);
  return JudgeDraws(c, stage, observations);
}

}  // namespace

const Property& PropertyNamed_sampler_distribution() {
  static const Property property = {
      .name = "sampler_distribution",
      .subject = &SamplerSubject(),
      .needs = {"sampler/1"},
      .kills = {"faulty:sampler_bias", "faulty:top_p_off_by_one", "faulty:ignored_seed",
                "faulty:correlated_stream", "faulty:scaled_uniforms", "faulty:ignored_top_k"},
      .benign = {"exact", "torch", "faulty:none"},
      .plan = Plan,
      .judge = Judge};
  return property;
}

}  // namespace crosscheck
