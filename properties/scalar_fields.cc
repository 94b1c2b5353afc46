#include "properties/scalar_fields.h"

#include <charconv>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace crosscheck {
namespace {

template <class T>
std::optional<T> ParseNumber(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string PrintDouble(double value) {
  char buffer[32];
  const auto result = std::to_chars(buffer, buffer + sizeof buffer, value);
  return std::string(buffer, result.ptr);
}

}  // namespace

uint64_t IntField::InterestingIndex(size_t i) const {
  const int64_t value = range_.interesting.begin()[i];
  const uint64_t index = Index(value);
  return Value(index) == value ? index : max_index + 1;
}

std::string IntField::Print(uint64_t index) const { return absl::StrCat(Value(index)); }

std::optional<uint64_t> IntField::Parse(std::string_view text) const {
  const std::optional<int64_t> value = ParseNumber<int64_t>(text);
  if (!value.has_value() || Value(Index(*value)) != *value) return std::nullopt;
  return Index(*value);
}

std::string IntField::Expected() const {
  const int64_t last = range_.descending ? Value(0) : Value(max_index);
  if (max_index == 0) return absl::StrCat("the integer ", last);
  std::string text = absl::StrCat("an integer from ", range_.lo, " to ", last);
  if (range_.step != 1) absl::StrAppend(&text, " in steps of ", range_.step);
  return text;
}

std::string ChoiceField::Print(uint64_t index) const { return std::string(names_[Number(index)]); }

std::optional<uint64_t> ChoiceField::Parse(std::string_view text) const {
  for (uint64_t i = 0; i <= max_index; ++i) {
    if (names_[Number(i)] == text) return i;
  }
  return std::nullopt;
}

std::string ChoiceField::Expected() const {
  std::string text = "one of";
  for (uint64_t i = 0; i <= max_index; ++i) absl::StrAppend(&text, i == 0 ? " " : ", ", Print(i));
  return text;
}

TableField::TableField(std::string_view field_name, absl::Span<const double> table,
                       ShrinkPhase shrink_phase)
    : table_(table) {
  name = field_name;
  phase = shrink_phase;
  max_index = typical_index = table.size() - 1;
}

uint64_t TableField::Index(double value) const {
  for (size_t i = 0; i < table_.size(); ++i) {
    if (table_[i] == value) return i;
  }
  return 0;
}

std::string TableField::Print(uint64_t index) const { return PrintDouble(table_[index]); }

std::optional<uint64_t> TableField::Parse(std::string_view text) const {
  const std::optional<double> value = ParseNumber<double>(text);
  if (!value.has_value() || table_[Index(*value)] != *value) return std::nullopt;
  return Index(*value);
}

std::string TableField::Expected() const {
  const auto print = [](std::string* out, double value) { out->append(PrintDouble(value)); };
  return absl::StrCat("one of ", absl::StrJoin(table_, ", ", print));
}

SeedField::SeedField(std::string_view field_name) {
  name = field_name;
  max_index = typical_index = std::numeric_limits<uint64_t>::max();
  seed = true;
  phase = ShrinkPhase::kValues;
}

std::string SeedField::Print(uint64_t index) const { return absl::StrCat(index); }

std::optional<uint64_t> SeedField::Parse(std::string_view text) const {
  return ParseNumber<uint64_t>(text);
}

std::string SeedField::Expected() const { return "an integer from 0 to 18446744073709551615"; }

}  // namespace crosscheck
