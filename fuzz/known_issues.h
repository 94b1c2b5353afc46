// corpus/known_issues.txt: defects that are understood, each with the field conditions under which
// it shows (design 6).
//
// Line: signature | engine | when <field conditions> | until <engine version> | link or explanation
// | case file
// `when` joins comparisons with "and": `model.layers > 30 and path = readout`; `when always` has no
// condition. `$` before a value takes that of another field: `model.heads != $model.kv_heads`. `*`
// is some element of a list, the same one in all conditions on that list: `mutations.*.way =
// removed and mutations.*.key = */rope_theta and model.layers.* = full`.
#ifndef CROSSCHECK_FUZZ_KNOWN_ISSUES_H_
#define CROSSCHECK_FUZZ_KNOWN_ISSUES_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "properties/subject.h"
#include "properties/verdict.h"

namespace crosscheck {

struct FieldCondition {
  std::string field, comparison, value;  // comparison: = != < <= > >=
};

struct KnownIssue {
  Signature signature;
  std::string engine;  // family, or family@version
  std::vector<FieldCondition> when;
  std::string until;  // engine version in which it is fixed, or ""
  std::string explanation;
  std::string case_file;  // relative to the corpus folder
  int line = 0;

  bool Matches(const Signature& found, std::string_view engine_name,
               std::string_view engine_version, const Case& c) const;
};

absl::StatusOr<std::vector<KnownIssue>> ParseKnownIssues(std::string_view text,
                                                         std::string_view file_name);
absl::StatusOr<std::vector<KnownIssue>> ReadKnownIssues(
    const std::string& path);  // a missing file is an empty list

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_KNOWN_ISSUES_H_
