#include "properties/visitors/ranges.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "properties/fields.h"

namespace crosscheck {
namespace {

// Changes nothing and keeps how far each field could go.
class RangeVisitor final : public FieldVisitor {
 public:
  using Range = std::pair<std::string_view, uint64_t>;
  RangeVisitor() { ranges_.reserve(kUsualFields); }
  const std::vector<Range>& ranges() const { return ranges_; }

 protected:
  uint64_t Scalar(const ScalarField& field, uint64_t index) override {
    ranges_.emplace_back(field.name, field.max_index);
    return index;
  }
  ListPlan BeginList(const ListField& field) override {
    ranges_.emplace_back(field.name, field.range.max);
    return {.length = field.size};
  }

 private:
  static constexpr size_t kUsualFields = 128;  // a case has more only with long lists
  std::vector<Range> ranges_;
};

}  // namespace

std::vector<std::string> NarrowedFields(const Case& c, const Limits& limits, const Limits& open) {
  if (limits == open) return {};
  RangeVisitor narrow;
  RangeVisitor wide;
  c.subject().visit(c, narrow, limits);
  c.subject().visit(c, wide, open);
  std::vector<std::string_view> names;
  const size_t count = std::min(narrow.ranges().size(), wide.ranges().size());
  for (size_t i = 0; i < count; ++i) {
    const auto& [name, max] = narrow.ranges()[i];
    if (max >= wide.ranges()[i].second) continue;
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return {names.begin(), names.end()};
}

}  // namespace crosscheck
