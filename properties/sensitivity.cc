#include "properties/sensitivity.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "properties/bucket_draws.h"
#include "properties/judges/tolerance.h"
#include "properties/reference_panel.h"

namespace crosscheck {
namespace {

using Member = ReferencePanel::Member;
constexpr size_t kEngineRun = 0;  // of logit_closeness

// A row of uniform noise less its mean, scaled to a largest magnitude of `size`.
std::vector<double> NoiseRow(size_t vocab, double size, uint64_t seed) {
  std::vector<double> noise(vocab);
  double mean = 0, largest = 0;
  for (size_t i = 0; i < vocab; ++i) {
    noise[i] = static_cast<double>(MixBits(seed + i) >> 11) * 0x1p-52 - 1;
    mean += noise[i] / static_cast<double>(vocab);
  }
  for (double& value : noise) largest = std::max(largest, std::abs(value -= mean));
  for (double& value : noise) value *= size / largest;
  return noise;
}

// One logit of a row moved so that the row's centred L-inf is `size`.
std::vector<double> OneLogit(size_t vocab, double size, uint64_t seed) {
  std::vector<double> row(vocab, 0);
  double share = 1 - 1 / static_cast<double>(vocab);
  row[MixBits(seed) % vocab] = (MixBits(seed + 1) % 2 == 0 ? size : -size) / share;
  return row;
}

void AddRow(Tensor& tensor, int64_t row, const std::vector<double>& error) {
  char* bytes = tensor.bytes.data() + row * tensor.shape[1] * static_cast<int64_t>(sizeof(float));
  for (double value : error) {
    float logit;
    std::memcpy(&logit, bytes, sizeof logit);
    logit = static_cast<float>(logit + value);
    std::memcpy(bytes, &logit, sizeof logit);
    bytes += sizeof logit;
  }
}

// What one case contributes: whether each planted error was found.
struct CaseDetections {
  BucketKey key;
  std::array<std::array<bool, kPlantedFactors.size()>, std::size(kPlantedAtNames)> found{};
};

absl::StatusOr<double> ReferenceError(const ModelRunCase& c, ReferencePanel& panel) {
  auto exact = panel.Answer(ReferencePanel::kExact, c, c.path);
  if (!exact.ok()) return exact.status();
  double error = 0;
  for (Member member : {ReferencePanel::kTorch, ReferencePanel::kRecurrent,
                        ReferencePanel::kReversed, ReferencePanel::kPairwise}) {
    auto answer = panel.Answer(member, c, c.path);
    if (!answer.ok()) return answer.status();
    DistancePool pool = PoolDistances(*exact, *answer, *answer);
    error = std::max(error, pool.Result()[Index(Metric::kCentredLinf)]);
    const BucketBounds* bucket = CommittedErrorBounds().Find(BucketOf(c, c.path));
    if (bucket == nullptr) continue;
    error = std::max(error, bucket->typical[Index(Metric::kCentredLinf)] * pool.largest_exact());
  }
  return error;
}

absl::StatusOr<CaseDetections> PlantAll(const ModelRunCase& c, uint64_t seed,
                                        ReferencePanel& panel) {
  const Property& property = *FindProperty("logit_closeness");
  Case erased(ModelRunSubject(), c);
  PanelObservations observations(property.plan(erased), ReferencePanel::kTorch, panel);
  const Reply clean = observations[kEngineRun];
  if (!clean.ok()) return absl::InternalError(clean.failure->message);
  absl::StatusOr<double> unit = ReferenceError(c, panel);
  if (!unit.ok()) return unit.status();
  CaseDetections detections{.key = BucketOf(c, c.path)};
  for (size_t where = 0; where < detections.found.size(); ++where) {
    for (size_t i = 0; i < kPlantedFactors.size(); ++i) {
      Reply planted = clean;
      PlantError(planted.message, static_cast<PlantedAt>(where), kPlantedFactors[i] * *unit,
                 seed + where);
      observations.Replace(kEngineRun, std::move(planted));
      Verdict verdict = property.judge(erased, observations);
      if (verdict.kind != VerdictKind::kPass && verdict.kind != VerdictKind::kEngineBug) {
        return absl::InternalError(verdict.message);
      }
      detections.found[where][i] = verdict.IsFinding();
    }
  }
  return detections;
}

void Add(const CaseDetections& detections, DetectionCurve& curve) {
  for (size_t where = 0; where < detections.found.size(); ++where) {
    Detections& row = curve.rows[{detections.key, static_cast<PlantedAt>(where)}];
    ++row.cases;
    for (size_t i = 0; i < row.findings.size(); ++i) {
      row.findings[i] += detections.found[where][i] ? 1 : 0;
    }
  }
}

}  // namespace

void PlantError(Message& answer, PlantedAt where, double size, uint64_t seed) {
  std::vector<Tensor*> tensors;
  for (Tensor& tensor : answer.tensors) {
    if (tensor.dtype == DType::kF32 && tensor.shape.size() == 2 && tensor.ElementCount() > 0) {
      tensors.push_back(&tensor);
    }
  }
  if (tensors.empty()) return;
  if (where == PlantedAt::kAllPositions) {
    for (Tensor* tensor : tensors) {
      for (int64_t row = 0; row < tensor->shape[0]; ++row) {
        AddRow(*tensor, row, NoiseRow(tensor->shape[1], size, seed = MixBits(seed)));
      }
    }
    return;
  }
  Tensor& tensor = *tensors[MixBits(seed) % tensors.size()];
  auto row = static_cast<int64_t>(MixBits(seed + 1) % static_cast<uint64_t>(tensor.shape[0]));
  size_t vocab = tensor.shape[1];
  AddRow(tensor, row,
         where == PlantedAt::kOneLogit ? OneLogit(vocab, size, seed + 2)
                                       : NoiseRow(vocab, size, seed + 2));
}

std::string DetectionCurve::Print() const {
  std::string text;
  for (const std::string& line : provenance) absl::StrAppend(&text, "# ", line, "\n");
  absl::StrAppend(&text, "family\tpath\tlayers\ttokens\tstyle\tplanted\tcases");
  for (double factor : kPlantedFactors) absl::StrAppend(&text, "\tx", factor);
  absl::StrAppend(&text, "\n");
  for (const auto& [row, detections] : rows) {
    std::string_view where = kPlantedAtNames[static_cast<int>(row.second)];
    absl::StrAppend(&text, absl::StrJoin(absl::StrSplit(row.first.ToString(), '/'), "\t"), "\t",
                    std::string(where), "\t", detections.cases);
    for (int64_t findings : detections.findings) {
      absl::StrAppendFormat(&text, "\t%.4f",
                            static_cast<double>(findings) / static_cast<double>(detections.cases));
    }
    absl::StrAppend(&text, "\n");
  }
  return text;
}

absl::StatusOr<DetectionCurve> MeasureSensitivity(const SensitivityOptions& options) {
  DetectionCurve curve;
  std::mutex mutex;
  const auto measure = [&](const BucketDraw& draw, ModelRunCase c, ReferencePanel& panel) {
    for (ModelPath path : BucketPaths(c)) {
      c.path = path;
      auto detections = PlantAll(c, MixBits(draw.draw), panel);
      if (!detections.ok()) return detections.status();
      std::lock_guard lock(mutex);
      Add(*detections, curve);
    }
    return absl::OkStatus();
  };
  absl::Status status =
      BucketDraws(options.seed, "sensitivity", options.limits)
          .ForEach(options.cases_per_bucket, options.threads, measure, options.progress);
  if (!status.ok()) return status;
  curve.provenance = {
      "share of cases in which an error planted into libtorch's fp32 answers is a finding",
      "unit: largest centred L-inf of the case's four fp32 references, at least the bucket's "
      "typical one",
      absl::StrCat("seed ", options.seed, ", ", options.cases_per_bucket,
                   " cases for each bucket")};
  curve.provenance.insert(curve.provenance.end(), options.provenance.begin(),
                          options.provenance.end());
  return curve;
}

}  // namespace crosscheck
