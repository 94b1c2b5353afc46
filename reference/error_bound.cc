#include "reference/error_bound.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "reference/error_bounds_text.h"

namespace crosscheck {
namespace {

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

std::string HeaderLine() {
  std::string line = "family\tpath\tlayers\ttokens\tstyle\tcases\ttorch_cases";
  for (std::string_view metric : kMetricNames) absl::StrAppend(&line, "\ttypical_", View(metric));
  for (std::string_view metric : kMetricNames) absl::StrAppend(&line, "\th_", View(metric));
  return line + "\tfp64_spread\texceed_rate";
}

// The numbers of a bucket in the order of the header line.
template <class Bounds>
auto NumbersOf(Bounds& bounds) {
  std::vector<decltype(&bounds.fp64_spread)> numbers;
  for (auto& value : bounds.typical) numbers.push_back(&value);
  for (auto& value : bounds.h) numbers.push_back(&value);
  numbers.insert(numbers.end(), {&bounds.fp64_spread, &bounds.exceed_rate});
  return numbers;
}

template <class Names>
std::optional<int> IndexOf(const Names& names, absl::string_view word) {
  auto found =
      std::find(std::begin(names), std::end(names), std::string_view(word.data(), word.size()));
  if (found == std::end(names)) return std::nullopt;
  return static_cast<int>(found - std::begin(names));
}

// Nine significant digits, the same text on every machine.
std::string Number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.8e", value);
  return text;
}

absl::Status ParseRow(absl::string_view line, ErrorBoundTable& table) {
  std::vector<absl::string_view> field = absl::StrSplit(line, '\t');
  constexpr size_t kFirstNumber = 5;
  BucketBounds bounds;
  auto numbers = NumbersOf(bounds);
  if (field.size() != kFirstNumber + 2 + numbers.size()) {
    return absl::InvalidArgumentError(absl::StrCat("has ", field.size(), " fields"));
  }
  auto family = IndexOf(kFamilyNames, field[0]);
  auto depth = IndexOf(kDepthClassNames, field[2]), length = IndexOf(kLengthClassNames, field[3]);
  auto style = IndexOf(kWeightStyleNames, field[4]);
  if (!family || !depth || !length || !style) {
    return absl::InvalidArgumentError("names an unknown family, class or weight style");
  }
  BucketKey key{static_cast<Family>(*family), std::string(field[1]), *depth, *length,
                static_cast<WeightStyle>(*style)};
  bool ok = absl::SimpleAtoi(field[kFirstNumber], &bounds.cases) &&
            absl::SimpleAtoi(field[kFirstNumber + 1], &bounds.torch_cases);
  for (size_t i = 0; i < numbers.size(); ++i) {
    ok = ok && absl::SimpleAtod(field[kFirstNumber + 2 + i], numbers[i]) &&
         std::isfinite(*numbers[i]) && *numbers[i] >= 0;
  }
  if (!ok) return absl::InvalidArgumentError("holds a field that is no finite number >= 0");
  if (table.buckets().contains(key)) return absl::InvalidArgumentError("repeats a bucket");
  table.Set(key, bounds);
  return absl::OkStatus();
}

}  // namespace

std::string BucketKey::ToString() const {
  return absl::StrCat(View(kFamilyNames[static_cast<int>(family)]), "/", path, "/",
                      View(kDepthClassNames[depth]), "/", View(kLengthClassNames[length]), "/",
                      View(kWeightStyleNames[static_cast<int>(style)]));
}

int DepthClass(int layers) { return layers <= 2 ? 0 : layers <= 6 ? 1 : 2; }
int LengthClass(int tokens) { return tokens <= 8 ? 0 : tokens <= 64 ? 1 : 2; }

absl::StatusOr<ErrorBoundTable> ErrorBoundTable::Parse(std::string_view text) {
  ErrorBoundTable table;
  bool header_seen = false;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(View(text), '\n')) {
    ++number;
    if (line.empty()) continue;
    if (line[0] == '#') {
      table.provenance.emplace_back(absl::StripLeadingAsciiWhitespace(line.substr(1)));
      continue;
    }
    absl::Status status;
    if (header_seen) {
      status = ParseRow(line, table);
    } else if (line != HeaderLine()) {
      status = absl::InvalidArgumentError("is not the header that this version writes");
    }
    header_seen = true;
    if (!status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("error bounds, line ", number, " ",
                                                     status.message(),
                                                     "; `crosscheck calibrate` writes the table"));
    }
  }
  return table;
}

std::string ErrorBoundTable::Print() const {
  std::string text;
  for (const std::string& entry : provenance) {
    for (absl::string_view line : absl::StrSplit(entry, '\n')) {
      absl::StrAppend(&text, "# ", line, "\n");
    }
  }
  absl::StrAppend(&text, HeaderLine(), "\n");
  for (const auto& [key, bounds] : buckets_) {
    absl::StrAppend(&text, absl::StrJoin(absl::StrSplit(key.ToString(), '/'), "\t"), "\t",
                    bounds.cases, "\t", bounds.torch_cases);
    for (const double* number : NumbersOf(bounds)) absl::StrAppend(&text, "\t", Number(*number));
    absl::StrAppend(&text, "\n");
  }
  return text;
}

const BucketBounds* ErrorBoundTable::Find(const BucketKey& key) const {
  BucketKey nearest = key;
  for (nearest.length = key.length; nearest.length >= 0; --nearest.length) {
    for (nearest.depth = key.depth; nearest.depth >= 0; --nearest.depth) {
      auto found = buckets_.find(nearest);
      if (found != buckets_.end()) return &found->second;
    }
  }
  return nullptr;
}

const ErrorBoundTable& CommittedErrorBounds() {
  static const ErrorBoundTable* const table = [] {
    auto parsed = ErrorBoundTable::Parse(kErrorBoundsText);
    if (!parsed.ok()) {  // reference/error_bounds.tsv itself is wrong: a test reads it before
                         // anybody else does
      std::fprintf(stderr, "%s\n", std::string(parsed.status().message()).c_str());
      std::abort();
    }
    return new ErrorBoundTable(*std::move(parsed));
  }();
  return *table;
}

ErrorBound::ErrorBound(const BucketBounds* bucket, double largest_exact, DType stored)
    : floor_(kFloorUlps * Ulp(stored, largest_exact)) {
  if (bucket == nullptr) return;
  for (size_t i = 0; i < kMetricCount; ++i) typical_[i] = bucket->typical[i] * largest_exact;
}

void ErrorBound::Widen(const Distances& reference) {
  for (size_t i = 0; i < kMetricCount; ++i) reference_[i] = std::max(reference_[i], reference[i]);
}

double ErrorBound::Of(Metric metric) const {
  size_t i = Index(metric);
  return kReferenceMultiplier * std::max(typical_[i], kLuck * reference_[i]) + floor_;
}

double ErrorBound::FloorOf(Metric metric) const {
  return kReferenceMultiplier * typical_[Index(metric)] + floor_;
}

bool ErrorBound::Covers(const Distances& error) const {
  return std::all_of(std::begin(kVerdictMetrics), std::end(kVerdictMetrics),
                     [&](Metric metric) { return error[Index(metric)] <= Of(metric); });
}

double ErrorBound::WorstRatio(const Distances& error) const {
  double worst = 0;
  for (Metric metric : kVerdictMetrics) worst = std::max(worst, error[Index(metric)] / Of(metric));
  return worst;
}

}  // namespace crosscheck
