#include "fuzz/bracket.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "fuzz/run_case.h"

namespace crosscheck {
namespace {

Standing StandingOf(const Verdict& verdict, const Signature& signature) {
  if (verdict.kind == VerdictKind::kPass || verdict.kind == VerdictKind::kNearTie) {
    return Standing::kGood;
  }
  if (!verdict.IsFinding()) return Standing::kUnjudged;
  return verdict.signature == signature ? Standing::kBad : Standing::kOther;
}

}  // namespace

std::string Bracket::ToString() const {
  std::string text;
  for (size_t i = 0; i < versions.size();) {
    size_t last = i;
    while (last + 1 < versions.size() && versions[last + 1].standing == versions[i].standing) {
      ++last;
    }
    absl::StrAppend(&text, i > 0 ? ", " : "",
                    std::string(kStandingNames[static_cast<int>(versions[i].standing)]), " ",
                    versions[i].version);
    if (last > i) absl::StrAppend(&text, "-", versions[last].version);
    i = last + 1;
  }
  return text;
}

Bracket MakeBracket(std::vector<VersionVerdict> versions) {
  Bracket bracket;
  bracket.versions = std::move(versions);
  for (int i = 0; i < static_cast<int>(bracket.versions.size()); ++i) {
    const Standing standing = bracket.versions[i].standing;
    if (standing == Standing::kBad) {
      if (bracket.first_bad < 0) bracket.first_bad = i;
      bracket.last_bad = i;
      bracket.first_good = -1;
    } else if (standing == Standing::kGood && bracket.last_bad >= 0 && bracket.first_good < 0) {
      bracket.first_good = i;
    }
  }
  return bracket;
}

absl::StatusOr<Bracket> BracketCase(const Property& property, const Case& c, Signature signature,
                                    const std::vector<std::string>& engines,
                                    const ExecutorOf& executor_of) {
  std::vector<VersionVerdict> versions;
  for (const std::string& engine : engines) {
    absl::StatusOr<Executor*> executor = executor_of(engine);
    if (!executor.ok()) return executor.status();
    VersionVerdict row{.engine = engine, .version = engine, .verdict = {}};
    const auto version = (*executor)->hello().find("version");
    if (version != (*executor)->hello().end() && version->is_string()) {
      row.version = version->get<std::string>();
    }
    row.verdict = RunCase(property, c, **executor);
    if (signature.property.empty() && row.verdict.IsFinding()) signature = row.verdict.signature;
    row.standing = StandingOf(row.verdict, signature);
    versions.push_back(std::move(row));
  }
  return MakeBracket(std::move(versions));
}

}  // namespace crosscheck
