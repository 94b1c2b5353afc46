#include "fuzz/model_coverage.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "absl/strings/str_format.h"
#include "fuzz/request_prompts.h"

namespace crosscheck {
namespace {

constexpr int kClasses = static_cast<int>(std::size(kLengthClasses));
constexpr int kOther = kClasses - 1;

int ClassNamed(std::string_view name) {
  return static_cast<int>(std::find(std::begin(kLengthClasses), std::end(kLengthClasses), name) -
                          std::begin(kLengthClasses));
}

void AddAnswer(const ModelSpec& spec, const Json& request, const Json& answer,
               ModelCoverage& coverage) {
  const auto counters = answer.find("counters");
  if (counters == answer.end() || !counters->is_object()) return;
  std::set<int> lengths;
  for (const RequestPrompt& prompt : PromptsOf(request)) {
    for (const int length : LengthClassesOf(spec, static_cast<int64_t>(prompt.ids.size()))) {
      lengths.insert(length);
    }
  }
  const std::string family(kFamilyNames[static_cast<size_t>(spec.family)]);
  for (const auto& [name, count] : counters->items()) {
    if (!count.is_number() || count.get<double>() <= 0) continue;
    for (const int length : lengths) ++coverage[{family, name, length}];
  }
}

}  // namespace

std::vector<int> LengthClassesOf(const ModelSpec& spec, int64_t length) {
  std::vector<int> classes;
  for (int i = 0; i < kOther; ++i) {
    if (kLengthClasses[static_cast<size_t>(i)] == absl::StrFormat("%d", length)) {
      classes.push_back(i);
    }
  }
  const bool linear = std::find(spec.layers.begin(), spec.layers.end(),
                                LayerKind::kLinearAttention) != spec.layers.end();
  if (linear && length + 1 >= spec.conv_kernel && length <= spec.conv_kernel + 1) {
    classes.push_back(ClassNamed("kernel"));
  }
  if (length == spec.max_positions) classes.push_back(ClassNamed("context"));
  if (classes.empty()) classes.push_back(kOther);
  return classes;
}

void AddModelCoverage(const Property& property, const Case& c, Executor& executor,
                      ModelCoverage& coverage) {
  const std::vector<Run> runs = property.plan(c);
  if (!MissingExtensions(property, executor.hello()).empty()) return;
  const auto observations = executor.Observe(runs, false);
  for (size_t i = 0; i < runs.size(); ++i) {
    const Run& run = runs[i];
    if (run.role != Role::kEngine || run.model == nullptr || run.derive) continue;
    const Reply& reply = (*observations)[i];
    if (reply.ok()) AddAnswer(run.model->spec, run.request.head, reply.message.head, coverage);
  }
}

std::string ModelCoverageTable(const ModelCoverage& coverage, const Limits& limits) {
  std::set<std::string> counters;
  for (const auto& [cell, count] : coverage) counters.insert(cell.counter);
  std::string text = absl::StrFormat("%-12s %-10s", "family", "path");
  for (const std::string_view name : kLengthClasses) absl::StrAppendFormat(&text, " %8s", name);
  text += "\n";
  for (size_t family = 0; family < std::size(kFamilyNames); ++family) {
    if ((limits.families >> family & 1) == 0) continue;
    const std::string name(kFamilyNames[family]);
    for (const std::string& counter : counters) {
      absl::StrAppendFormat(&text, "%-12s %-10s", name, counter);
      for (int length = 0; length < kClasses; ++length) {
        const auto found = coverage.find({name, counter, length});
        const std::string count =
            found == coverage.end() ? "-" : absl::StrFormat("%d", found->second);
        absl::StrAppendFormat(&text, " %8s", count);
      }
      text += "\n";
    }
  }
  return text;
}

}  // namespace crosscheck
