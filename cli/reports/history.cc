#include "cli/reports/history.h"

#include <algorithm>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "fmt/format.h"
#include "fuzz/corpus_store.h"

namespace crosscheck {
namespace {

struct CaseSize {
  std::optional<int> tokens, layers;
};

// Token ids and layers of a case, from its text: `….ids`, `….prompt` and `model.layers` are lists.
CaseSize SizeOf(const Case& c) {
  CaseSize size;
  const std::string text = c.subject().print(c);
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::pair<absl::string_view, absl::string_view> field =
        absl::StrSplit(line, absl::MaxSplits(" =", 1));
    const std::vector<absl::string_view> words =
        absl::StrSplit(field.second, absl::ByAnyChar(" ,"), absl::SkipEmpty());
    const std::vector<absl::string_view> path = absl::StrSplit(field.first, '.');
    const int count = static_cast<int>(words.size());
    if (path.back() == "ids" || path.back() == "prompt")
      size.tokens = size.tokens.value_or(0) + count;
    if (path.back() == "layers") size.layers = std::max(size.layers.value_or(0), count);
  }
  return size;
}

std::string NumberOrDash(std::optional<int> number) { return number ? absl::StrCat(*number) : "–"; }

}  // namespace

absl::StatusOr<std::string> HistoryMarkdown(const std::string& folder) {
  const auto files = ListCaseFiles(folder);
  if (!files.ok()) return files.status();
  std::string text =
      "| bug | versions | property | tokens | layers | cases | seconds |\n"
      "|---|---|---|---|---|---|---|\n";
  for (const std::string& file : *files) {
    const auto entry = ReadEntry(file);
    if (!entry.ok()) return entry.status();
    if (entry->bug.empty() || entry->versions.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          file, ": its header lacks 'bug = …' or 'versions = …'; `crosscheck bracket --record`"));
    }
    const CaseSize size = SizeOf(entry->value);
    text +=
        fmt::format("| {} | {} | `{}` | {} | {} | {} | {:.2g} |\n", entry->bug, entry->versions,
                    entry->signature.property, NumberOrDash(size.tokens), NumberOrDash(size.layers),
                    entry->cases_until_found + 1, entry->seconds_until_found);
  }
  return text;
}

}  // namespace crosscheck
