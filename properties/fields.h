// The field visitor: a subject enumerates the fields of its struct once, and every interpreter
// follows from that.
//
// A scalar field is a choice among the indices 0..max_index, and index 0 is its simplest value; an
// interpreter sees indices only, so random draws, bytes, text and shrinking can never disagree
// about what is legal. Rules for a `Visit(FieldVisitor&, const Limits&, T&)`:
//  - fields are visited in one order, whatever their values and the limits are; a new field is
//    visited after all others, and its index 0 is the previous behaviour, so that old bytes keep
//    their meaning;
//  - `limits` may only change upper bounds (of a descending field: the lower one); all bounds may
//    depend on fields visited before, because the struct holds their current values.
//
// Example:
//   void Visit(FieldVisitor& v, const Limits& limits, PromptCase& c) {
//     v.Int("vocab", c.vocab, {.lo = 2, .hi = limits.max_vocab});
//     v.List("ids", c.ids, {.min = 1, .max = 16}, [&](FieldVisitor& e, int32_t& id) {
//       e.Int("id", id, {.lo = 0, .hi = c.vocab - 1, .phase = ShrinkPhase::kValues});
//     });
//   }
#ifndef CROSSCHECK_PROPERTIES_FIELDS_H_
#define CROSSCHECK_PROPERTIES_FIELDS_H_

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "absl/types/span.h"
#include "properties/limits.h"
#include "properties/scalar_fields.h"

namespace crosscheck {

struct ListRange {
  size_t min = 0;
  size_t max = 0;
  size_t typical = std::numeric_limits<size_t>::max();  // longest of the ordinary random lengths
  std::initializer_list<size_t> interesting = {};
  // Random lists often repeat a period of earlier elements. Only where all elements have the same
  // range.
  bool repeats = false;
  // When set: asked before each element after the first `min`, false ends the list (a bound that
  // elements decide).
  std::function<bool()> more = nullptr;
  ShrinkPhase phase = ShrinkPhase::kLength;
};

struct ListField {
  std::string_view name;
  const ListRange& range;
  bool scalars;  // elements are single values; text prints them on one line
  size_t size;   // current length
};

// What an interpreter decides about a list before its elements are visited.
struct ListPlan {
  size_t length = 0;
  size_t erase_from = 0, erase_count = 0;  // current elements to delete first
  size_t repeat_from = std::numeric_limits<size_t>::max(),
         period = 1;  // element i >= repeat_from copies i - period
};

class FieldVisitor {
 public:
  virtual ~FieldVisitor() = default;

  template <std::integral T>
  void Int(std::string_view name, T& value, const IntRange& range) {
    const IntField field(name, range);
    value = static_cast<T>(field.Value(Scalar(field, field.Index(static_cast<int64_t>(value)))));
  }

  // `names` are indexed by the value; `range.values` restricts and orders the legal ones.
  template <class E>
  void Enum(std::string_view name, E& value, absl::Span<const std::string_view> names,
            const EnumRange<E>& range = {}) {
    const EnumField<E> field(name, names, range);
    value = field.Value(Scalar(field, field.Index(value)));
  }

  void Bool(std::string_view name, bool& value, const EnumRange<bool>& range = {}) {
    Enum(name, value, kBoolNames, range);
  }

  // A float is one of `table`, the simplest first; text and bytes therefore agree exactly.
  void Table(std::string_view name, double& value, absl::Span<const double> table,
             ShrinkPhase phase = ShrinkPhase::kConfiguration) {
    const TableField field(name, table, phase);
    value = table[Scalar(field, field.Index(value))];
  }

  // A seed: all 64 bits count and no value is more interesting than another.
  void U64(std::string_view name, uint64_t& value) { value = Scalar(SeedField(name), value); }

  template <class T, class F>
  void List(std::string_view name, std::vector<T>& list, const ListRange& range, F element) {
    const ListField field{name, range, std::is_arithmetic_v<T> || std::is_enum_v<T>, list.size()};
    const ListPlan plan = BeginList(field);
    const auto first = list.begin() + static_cast<std::ptrdiff_t>(plan.erase_from);
    list.erase(first, first + static_cast<std::ptrdiff_t>(plan.erase_count));
    size_t size = 0;
    while (Continue(field, plan, size)) {
      if (size == list.size()) list.emplace_back();
      if (size >= plan.repeat_from) {
        list[size] = list[size - plan.period];
      } else {
        BeginElement(field, size);
        element(*this, list[size]);
        EndElement(field);
      }
      ++size;
    }
    list.resize(size);
    EndList(field, plan, size);
  }

  template <class F>
  void Group(std::string_view name, F fields) {
    BeginGroup(name, false);
    fields();
    EndGroup();
  }

  // Fields that successive random cases share (Stream::Shared).
  template <class F>
  void Shared(std::string_view name, F fields) {
    BeginGroup(name, true);
    fields();
    EndGroup();
  }

 protected:
  // `index` is the current value, brought into range; the answer is the new one,
  // 0..field.max_index.
  virtual uint64_t Scalar(const ScalarField& field, uint64_t index) = 0;
  virtual ListPlan BeginList(const ListField& field) = 0;
  // Called before every element, also the first after the last one; `planned`: the plan wants one
  // more.
  virtual bool OneMore(bool planned) { return planned; }
  virtual void EndList(const ListField& /*field*/, const ListPlan& /*plan*/, size_t /*size*/) {}
  virtual void BeginElement(const ListField& /*field*/, size_t /*index*/) {}
  virtual void EndElement(const ListField& /*field*/) {}
  virtual void BeginGroup(std::string_view /*name*/, bool /*shared*/) {}
  virtual void EndGroup() {}

 private:
  bool Continue(const ListField& field, const ListPlan& plan, size_t size) {
    const bool wanted = OneMore(size < plan.length);
    if (size < field.range.min) return true;
    return wanted && size < field.range.max && (!field.range.more || field.range.more());
  }
};

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_FIELDS_H_
