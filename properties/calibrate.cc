#include "properties/calibrate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "properties/bucket_draws.h"
#include "properties/judges/router.h"
#include "properties/judges/tolerance.h"
#include "properties/reference_panel.h"

namespace crosscheck {
namespace {

using Member = ReferencePanel::Member;

constexpr size_t kFp32References = 4;  // libtorch, then the perturbed variants

// Samples of one bucket, one entry for each case; float is precise enough for a quantile.
struct Samples {
  std::array<std::array<std::vector<float>, kMetricCount>, kFp32References> error;
  std::vector<float> fp64;
  std::array<int64_t, kFp32References> exceeds{};
  int64_t cases = 0, torch_cases = 0;
};
using AllSamples = std::map<BucketKey, Samples>;

// What the references answered on one case and path, as errors against the exact model.
struct CaseErrors {
  std::array<std::optional<Distances>, kFp32References> fp32;
  std::optional<double> fp64;
  double largest = 0;
};

void AddFp64(const CaseErrors& errors, Samples& samples) {
  constexpr size_t kSpread = Index(Metric::kCentredRms);
  samples.fp64.push_back(static_cast<float>(*errors.fp64 / errors.largest));
  for (size_t k = 1; k < kFp32References; ++k) {
    samples.exceeds[k] += (*errors.fp32[k])[kSpread] > 2 * (*errors.fp32[0])[kSpread] ? 1 : 0;
  }
  ++samples.torch_cases;
}

void AddCase(const CaseErrors& errors, Samples& samples) {
  if (!(errors.largest > 0)) return;  // all logits zero: nothing to scale by
  for (size_t k = 0; k < kFp32References; ++k) {
    for (size_t metric = 0; errors.fp32[k] && metric < kMetricCount; ++metric) {
      samples.error[k][metric].push_back(
          static_cast<float>((*errors.fp32[k])[metric] / errors.largest));
    }
  }
  if (errors.fp64) AddFp64(errors, samples);
  ++samples.cases;
}

LogitsAnswer LastRows(const LogitsAnswer& exact) {
  LogitsAnswer last;
  for (const SequenceLogits& sequence : exact.sequences) {
    last.sequences.push_back({{sequence.positions.back()}, sequence.vocab, {}});
  }
  return last;
}

// The positions that count: all, or those before near ties of a router as these references show
// them.
LogitsAnswer Judged(const ModelRunCase& c, const BucketKey& key, const LogitsAnswer& exact,
                    const std::vector<LogitsAnswer>& fp32, const LogitsAnswer& answer) {
  if (exact.routers.empty()) return answer;
  RouterTies ties(CommittedErrorBounds().Find(key), c.model->spec.experts_per_token, exact);
  ties.Consult(fp32);
  int dropped = 0;
  return ties.Before(answer, dropped);
}

absl::Status MeasureErrors(const ModelRunCase& c, bool torch, ReferencePanel& panel,
                           std::map<BucketKey, CaseErrors>& errors) {
  std::vector<ModelPath> paths = BucketPaths(c);
  auto exact = panel.Answer(ReferencePanel::kExact, c, paths.front());
  if (!exact.ok()) return exact.status();
  std::vector<std::pair<size_t, LogitsAnswer>> answers;  // fp32 references, then libtorch fp64
  for (size_t k = 0; k <= kFp32References; ++k) {
    auto member = static_cast<Member>(ReferencePanel::kTorch + k);
    bool is_torch = member == ReferencePanel::kTorch || member == ReferencePanel::kTorchFp64;
    if (is_torch && !torch) continue;
    auto answer = panel.Answer(member, c, paths.front());
    if (!answer.ok()) return answer.status();
    answers.emplace_back(k, *std::move(answer));
  }
  std::vector<LogitsAnswer> fp32;
  for (const auto& [k, answer] : answers) {
    if (k < kFp32References && !exact->routers.empty()) fp32.push_back(answer);
  }
  for (ModelPath path : paths) {
    const BucketKey key = BucketOf(c, path);
    const LogitsAnswer& all = answers.front().second;
    const LogitsAnswer judged =
        Judged(c, key, *exact, fp32, path == ModelPath::kPrompt ? LastRows(*exact) : all);
    for (const auto& [k, answer] : answers) {
      DistancePool pool = PoolDistances(*exact, answer, judged);
      if (pool.rows() == 0) continue;
      CaseErrors& of_path = errors[key];
      of_path.largest = pool.largest_exact();
      if (k < kFp32References) {
        of_path.fp32[k] = pool.Result();
      } else {
        of_path.fp64 = pool.Result()[Index(Metric::kLinf)];
      }
    }
  }
  return absl::OkStatus();
}

double Quantile(std::vector<float>& values, double share) {
  if (values.empty()) return 0;
  auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(values.size())));
  auto at =
      values.begin() + static_cast<std::ptrdiff_t>(std::clamp<size_t>(rank, 1, values.size()) - 1);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

BucketBounds Summarise(Samples& samples) {
  constexpr double kTypical = 0.75, kTail = 0.999;
  BucketBounds bounds;
  bounds.cases = samples.cases;
  bounds.torch_cases = samples.torch_cases;
  for (size_t metric = 0; metric < kMetricCount; ++metric) {
    for (auto& reference : samples.error) {
      bounds.typical[metric] =
          std::max(bounds.typical[metric], Quantile(reference[metric], kTypical));
      bounds.h[metric] = std::max(bounds.h[metric], Quantile(reference[metric], kTail));
    }
  }
  bounds.fp64_spread = std::min(kLargestFp64Spread, Quantile(samples.fp64, kTail));
  int64_t exceeds = *std::max_element(samples.exceeds.begin(), samples.exceeds.end());
  if (samples.torch_cases > 0) {
    bounds.exceed_rate = static_cast<double>(exceeds) / static_cast<double>(samples.torch_cases);
  }
  return bounds;
}

}  // namespace

absl::StatusOr<ErrorBoundTable> Calibrate(const CalibrateOptions& options) {
  // The samples of a bucket come in any order; quantiles do not depend on it.
  AllSamples samples;
  std::mutex mutex;
  const auto measure = [&](const BucketDraw& draw, const ModelRunCase& c, ReferencePanel& panel) {
    std::map<BucketKey, CaseErrors> errors;
    const bool torch = draw.rank < options.torch_cases_per_bucket;
    if (absl::Status status = MeasureErrors(c, torch, panel, errors); !status.ok()) return status;
    std::lock_guard lock(mutex);
    for (const auto& [key, of_path] : errors) AddCase(of_path, samples[key]);
    return absl::OkStatus();
  };
  absl::Status status =
      BucketDraws(options.seed, "calibrate", options.limits)
          .ForEach(options.cases_per_bucket, options.threads, measure, options.progress);
  if (!status.ok()) return status;
  ErrorBoundTable table;
  table.provenance = {"written by `crosscheck calibrate`; columns: reference/error_bound.h",
                      absl::StrCat("seed ", options.seed, ", ", options.cases_per_bucket,
                                   " cases for each bucket, ", options.torch_cases_per_bucket,
                                   " of them with libtorch"),
                      "quantiles: typical 0.75; h and fp64_spread 0.999"};
  table.provenance.insert(table.provenance.end(), options.provenance.begin(),
                          options.provenance.end());
  for (auto& [key, of_bucket] : samples) table.Set(key, Summarise(of_bucket));
  return table;
}

ErrorBoundTable MergeFamilies(const ErrorBoundTable& kept, const ErrorBoundTable& measured) {
  std::set<Family> families;
  for (const auto& [key, bounds] : measured.buckets()) families.insert(key.family);
  ErrorBoundTable merged;
  merged.provenance = kept.provenance;
  std::string names;
  for (const Family family : families) {
    absl::StrAppend(&names, names.empty() ? "" : ", ",
                    std::string(kFamilyNames[static_cast<size_t>(family)]));
  }
  merged.provenance.push_back(absl::StrCat(names, ": ", absl::StrJoin(measured.provenance, "; ")));
  for (const auto& [key, bounds] : kept.buckets()) {
    if (!families.contains(key.family)) merged.Set(key, bounds);
  }
  for (const auto& [key, bounds] : measured.buckets()) merged.Set(key, bounds);
  return merged;
}

}  // namespace crosscheck
