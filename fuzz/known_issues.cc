#include "fuzz/known_issues.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "reference/safetensors.h"

namespace crosscheck {
namespace {

constexpr std::string_view kForm =
    "signature | engine | when <conditions> | until <version> | explanation | case file";
constexpr size_t kColumns = 6;

// A piece of the file that knows where it stands, so that every error can say so.
struct Piece {
  std::string_view text;
  int column = 1;
};

Piece Trim(Piece piece) {
  const size_t first = piece.text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {{}, piece.column};
  const size_t last = piece.text.find_last_not_of(" \t\r");
  return {piece.text.substr(first, last - first + 1), piece.column + static_cast<int>(first)};
}

std::vector<Piece> Split(Piece piece, std::string_view separator) {
  std::vector<Piece> parts;
  size_t begin = 0;
  while (true) {
    const size_t end = piece.text.find(separator, begin);
    const size_t size = end == std::string_view::npos ? end : end - begin;
    parts.push_back(Trim({piece.text.substr(begin, size), piece.column + static_cast<int>(begin)}));
    if (end == std::string_view::npos) return parts;
    begin = end + separator.size();
  }
}

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

std::optional<double> Number(std::string_view text) {
  double value = 0;
  if (!absl::SimpleAtod(View(text), &value)) return std::nullopt;
  return value;
}

template <class T>
bool Compare(const T& a, std::string_view comparison, const T& b) {
  if (comparison == "=") return a == b;
  if (comparison == "!=") return a != b;
  if (comparison == "<") return a < b;
  if (comparison == "<=") return a <= b;
  if (comparison == ">") return a > b;
  return a >= b;
}

bool Holds(const FieldCondition& condition, std::string_view value) {
  const std::optional<double> wanted = Number(condition.value);
  const std::optional<double> found = Number(value);
  if (wanted && found) return Compare(*found, condition.comparison, *wanted);
  if (condition.comparison != "=" && condition.comparison != "!=") return false;
  return Compare(value, condition.comparison, std::string_view(condition.value));
}

// `mutations.` of `mutations.*.way`; the whole name of a field that is in no such list.
std::string_view ListOf(std::string_view field) { return field.substr(0, field.find('*')); }

std::string OfElement(std::string_view field, size_t element) {
  return absl::StrReplaceAll(View(field), {{"*", absl::StrCat(element)}});
}

// Versions are compared by their dotted numbers; nullopt when one of them is not made of numbers.
std::optional<bool> IsBefore(std::string_view version, std::string_view other) {
  const std::vector<Piece> a = Split({version}, "."), b = Split({other}, ".");
  for (size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    int left = 0, right = 0;
    if (i < a.size() && !absl::SimpleAtoi(View(a[i].text), &left)) return std::nullopt;
    if (i < b.size() && !absl::SimpleAtoi(View(b[i].text), &right)) return std::nullopt;
    if (left != right) return left < right;
  }
  return false;
}

class LineParser {
 public:
  LineParser(std::string_view file, int line) : file_(file), line_(line) {}

  absl::StatusOr<KnownIssue> Parse(std::string_view text) const {
    const std::vector<Piece> columns = Split({text}, "|");
    if (columns.size() != kColumns) {
      return Error(1, absl::StrCat("found ", columns.size(), " columns, expected ", kColumns, ": ",
                                   View(kForm)));
    }
    KnownIssue issue;
    issue.line = line_;
    absl::StatusOr<Signature> signature = Signature::Parse(columns[0].text);
    if (!signature.ok()) return Error(columns[0].column, signature.status().message());
    issue.signature = *std::move(signature);
    issue.engine = columns[1].text;
    if (issue.engine.empty()) return Error(columns[1].column, "the engine is missing");
    absl::StatusOr<Piece> when = AfterWord("when", columns[2]);
    if (!when.ok()) return when.status();
    absl::StatusOr<std::vector<FieldCondition>> conditions = ParseConditions(*when);
    if (!conditions.ok()) return conditions.status();
    issue.when = *std::move(conditions);
    absl::StatusOr<Piece> until = AfterWord("until", columns[3]);
    if (!until.ok()) return until.status();
    issue.until = until->text;
    issue.explanation = columns[4].text;
    if (issue.explanation.empty()) return Error(columns[4].column, "the explanation is missing");
    issue.case_file = columns[5].text;
    if (issue.case_file.empty()) return Error(columns[5].column, "the case file is missing");
    return issue;
  }

 private:
  absl::Status Error(int column, absl::string_view what) const {
    return absl::InvalidArgumentError(
        absl::StrCat(View(file_), ":", line_, ":", column, ": ", what));
  }

  absl::StatusOr<Piece> AfterWord(std::string_view word, Piece piece) const {
    const std::string_view rest = piece.text.substr(std::min(word.size(), piece.text.size()));
    const bool blank_follows = rest.empty() || rest[0] == ' ' || rest[0] == '\t';
    if (piece.text.substr(0, word.size()) != word || !blank_follows) {
      return Error(piece.column, absl::StrCat("expected '", View(word), " …'"));
    }
    return Trim({rest, piece.column + static_cast<int>(word.size())});
  }

  absl::StatusOr<std::vector<FieldCondition>> ParseConditions(Piece text) const {
    std::vector<FieldCondition> conditions;
    if (text.text == "always") return conditions;
    for (const Piece& part : Split(text, " and ")) {
      absl::StatusOr<FieldCondition> condition = ParseCondition(part);
      if (!condition.ok()) return condition.status();
      conditions.push_back(*std::move(condition));
    }
    return conditions;
  }

  absl::StatusOr<FieldCondition> ParseCondition(Piece part) const {
    const size_t begin = part.text.find_first_of("=!<>");
    if (begin == std::string_view::npos || begin == 0) {
      return Error(part.column, "expected '<field> <comparison> <value>' or 'always'");
    }
    const size_t end = std::min(part.text.find_first_not_of("=!<>", begin), part.text.size());
    const int column = part.column + static_cast<int>(begin);
    FieldCondition condition{.field = std::string(Trim({part.text.substr(0, begin)}).text),
                             .comparison = std::string(part.text.substr(begin, end - begin)),
                             .value = std::string(Trim({part.text.substr(end)}).text)};
    const bool ordered = condition.comparison == "<" || condition.comparison == "<=" ||
                         condition.comparison == ">" || condition.comparison == ">=";
    if (!ordered && condition.comparison != "=" && condition.comparison != "!=") {
      return Error(column, "a comparison is one of = != < <= > >=");
    }
    if (condition.value.empty()) return Error(column, "the value is missing");
    if (ordered && !Number(condition.value)) {
      return Error(column, absl::StrCat("'", condition.comparison, "' needs a number, not '",
                                        condition.value, "'"));
    }
    return condition;
  }

  std::string_view file_;
  int line_;
};

}  // namespace

bool KnownIssue::Matches(const Signature& found, std::string_view engine_name,
                         std::string_view engine_version, const Case& c) const {
  if (!(found == signature)) return false;
  const std::string versioned = absl::StrCat(found.engine_family, "@", View(engine_version));
  if (engine != found.engine_family && engine != versioned && engine != engine_name) return false;
  // An engine whose version cannot be ordered does not get the benefit of the doubt.
  if (!until.empty() && !IsBefore(engine_version, until).value_or(false)) return false;
  const auto fields = c.subject().fields(c);
  const auto holds = [&](FieldCondition condition, size_t element) {
    const std::string name = OfElement(condition.field, element);
    for (const auto& field : fields) {
      if (condition.value == "$" + field.first) condition.value = field.second;
    }
    return std::any_of(fields.begin(), fields.end(), [&](const auto& field) {
      return field.first == name && Holds(condition, field.second);
    });
  };
  return std::all_of(when.begin(), when.end(), [&](const FieldCondition& condition) {
    for (size_t element = 0; element < fields.size(); ++element) {
      const bool all = std::all_of(when.begin(), when.end(), [&](const FieldCondition& other) {
        return ListOf(other.field) != ListOf(condition.field) || holds(other, element);
      });
      if (all) return true;
    }
    return false;
  });
}

absl::StatusOr<std::vector<KnownIssue>> ParseKnownIssues(std::string_view text,
                                                         std::string_view file_name) {
  std::vector<KnownIssue> issues;
  int line = 0;
  for (absl::string_view raw : absl::StrSplit(View(text), '\n')) {
    ++line;
    const absl::string_view stripped = absl::StripAsciiWhitespace(raw);
    if (stripped.empty() || stripped[0] == '#') continue;
    absl::StatusOr<KnownIssue> issue = LineParser(file_name, line).Parse({raw.data(), raw.size()});
    if (!issue.ok()) return issue.status();
    issues.push_back(*std::move(issue));
  }
  return issues;
}

absl::StatusOr<std::vector<KnownIssue>> ReadKnownIssues(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path);
  if (absl::IsNotFound(text.status())) return std::vector<KnownIssue>();
  if (!text.ok()) return text.status();
  return ParseKnownIssues(*text, path);
}

}  // namespace crosscheck
