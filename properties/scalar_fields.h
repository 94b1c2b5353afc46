// The kinds of scalar fields: how a value maps to an index (0 = simplest), to text and back.
//
// Used by FieldVisitor and its interpreters; authors of a subject only write the ranges.
#ifndef CROSSCHECK_PROPERTIES_SCALAR_FIELDS_H_
#define CROSSCHECK_PROPERTIES_SCALAR_FIELDS_H_

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "absl/types/span.h"

namespace crosscheck {

// The order in which the minimiser makes fields smaller (judging.md 6).
enum class ShrinkPhase { kMates, kSteps, kLength, kConfiguration, kDimensions, kValues };

// lo, lo + step, … up to hi. `descending`: the simplest value is hi (step 1).
struct IntRange {
  int64_t lo = 0;
  int64_t hi = 0;
  int64_t step = 1;
  bool descending = false;
  int64_t typical = std::numeric_limits<int64_t>::max();  // largest of the ordinary random draws
  std::initializer_list<int64_t> interesting =
      {};  // illegal ones are skipped; repeat one to weigh it
  ShrinkPhase phase = ShrinkPhase::kDimensions;
};

template <class E>
struct EnumRange {
  // Legal values, simplest first; empty: all in the order of the names.
  absl::Span<const E> values = {};
  size_t count = std::numeric_limits<size_t>::max();  // only the first `count` of them
  size_t typical =
      std::numeric_limits<size_t>::max();  // ordinary random draws: the first `typical` of them
  std::initializer_list<E> interesting = {};
  ShrinkPhase phase = ShrinkPhase::kConfiguration;
};

inline constexpr std::string_view kBoolNames[] = {"false", "true"};

class ScalarField {
 public:
  virtual ~ScalarField() = default;
  // Index of the i-th interesting value, above max_index when it is not legal now.
  virtual uint64_t InterestingIndex(size_t i) const = 0;
  virtual std::string Print(uint64_t index) const = 0;
  virtual std::optional<uint64_t> Parse(std::string_view text) const = 0;
  virtual std::string Expected() const = 0;  // "an integer from 2 to 8"

  std::string_view name;
  uint64_t max_index = 0;
  uint64_t typical_index = 0;  // ordinary random draws lie in 0..typical_index
  size_t interesting = 0;      // how many interesting values there are
  bool seed = false;           // all 64 bits, always eight bytes
  bool descending = false;     // the simplest value is the largest
  bool ordered = true;         // its bounds are worth drawing more often
  ShrinkPhase phase = ShrinkPhase::kConfiguration;
};

class IntField final : public ScalarField {
 public:
  IntField(std::string_view field_name, const IntRange& range)
      : range_(range), hi_(std::max(range.lo, range.hi)) {
    name = field_name;
    phase = range.phase;
    descending = range.descending;
    interesting = range.interesting.size();
    max_index = Steps(hi_ - range.lo);
    typical_index = range.descending || range.typical >= hi_ ? max_index : Index(range.typical);
  }
  int64_t Value(uint64_t index) const {
    const int64_t distance = static_cast<int64_t>(index) * range_.step;
    return range_.descending ? hi_ - distance : range_.lo + distance;
  }
  // Of the nearest legal value, rounded down to a step.
  uint64_t Index(int64_t value) const {
    const int64_t inside = std::clamp(value, range_.lo, hi_);
    return Steps(range_.descending ? hi_ - inside : inside - range_.lo);
  }
  uint64_t InterestingIndex(size_t i) const override;
  std::string Print(uint64_t index) const override;
  std::optional<uint64_t> Parse(std::string_view text) const override;
  std::string Expected() const override;

 private:
  // Most steps are 1, and this is the inner loop of every interpreter: no division then.
  uint64_t Steps(int64_t distance) const {
    return static_cast<uint64_t>(range_.step == 1 ? distance : distance / range_.step);
  }

  const IntRange& range_;
  int64_t hi_;
};

// An enum in terms of the numbers of its values.
class ChoiceField : public ScalarField {
 public:
  std::string Print(uint64_t index) const override;
  std::optional<uint64_t> Parse(std::string_view text) const override;
  std::string Expected() const override;

 protected:
  explicit ChoiceField(absl::Span<const std::string_view> names) : names_(names) {}
  virtual size_t Number(uint64_t index) const = 0;
  absl::Span<const std::string_view> names_;
};

template <class E>
class EnumField final : public ChoiceField {
 public:
  EnumField(std::string_view field_name, absl::Span<const std::string_view> names,
            const EnumRange<E>& range)
      : ChoiceField(names), range_(range) {
    name = field_name;
    const size_t all = range.values.empty() ? names.size() : range.values.size();
    max_index = std::min(all, range.count) - 1;
    typical_index = std::min<uint64_t>(max_index, range.typical - 1);
    ordered = false;
    interesting = range.interesting.size();
    phase = range.phase;
  }
  E Value(uint64_t index) const {
    return range_.values.empty() ? static_cast<E>(index) : range_.values[index];
  }
  uint64_t Index(E value) const {  // 0 for a value that is not legal
    for (uint64_t i = 0; i <= max_index; ++i) {
      if (Value(i) == value) return i;
    }
    return 0;
  }
  uint64_t InterestingIndex(size_t i) const override {
    const E value = range_.interesting.begin()[i];
    const uint64_t index = Index(value);
    return Value(index) == value ? index : max_index + 1;
  }

 private:
  size_t Number(uint64_t index) const override { return static_cast<size_t>(Value(index)); }
  EnumRange<E> range_;
};

class TableField final : public ScalarField {
 public:
  TableField(std::string_view field_name, absl::Span<const double> table, ShrinkPhase shrink_phase);
  uint64_t Index(double value) const;  // 0 for a value that is not in the table
  uint64_t InterestingIndex(size_t) const override { return 0; }
  std::string Print(uint64_t index) const override;
  std::optional<uint64_t> Parse(std::string_view text) const override;
  std::string Expected() const override;

 private:
  absl::Span<const double> table_;
};

class SeedField final : public ScalarField {
 public:
  explicit SeedField(std::string_view field_name);
  uint64_t InterestingIndex(size_t) const override { return 0; }
  std::string Print(uint64_t index) const override;
  std::optional<uint64_t> Parse(std::string_view text) const override;
  std::string Expected() const override;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_SCALAR_FIELDS_H_
