// In which versions of an engine a case fails: since when a bug is there, and where it was fixed.
#ifndef CROSSCHECK_FUZZ_BRACKET_H_
#define CROSSCHECK_FUZZ_BRACKET_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "fuzz/executor.h"

namespace crosscheck {

// kBad: a finding with the signature that is looked for. kOther: a finding with another one.
enum class Standing { kGood, kBad, kOther, kUnjudged };
inline constexpr std::string_view kStandingNames[] = {"good", "bad", "other", "unjudged"};

struct VersionVerdict {
  std::string engine;   // "lattice@0.4.0"
  std::string version;  // as its hello states it
  Verdict verdict;
  Standing standing = Standing::kUnjudged;
};

struct Bracket {
  std::vector<VersionVerdict> versions;  // in the order of the engines, oldest first
  // Indices into `versions`; -1: there is none.
  int first_bad = -1;
  int last_bad = -1;
  int first_good = -1;  // the first good one after the last bad one: the fix
  // "bad 0.2.1-0.4.0, good 0.4.1-0.15.0"
  std::string ToString() const;
};

Bracket MakeBracket(std::vector<VersionVerdict> versions);

// The executor of an engine, or why there is none.
using ExecutorOf = std::function<absl::StatusOr<Executor*>(const std::string& engine)>;

// Runs the case on each engine. An empty `signature` stands for the one of the first finding. An
// engine that does not start is an error.
absl::StatusOr<Bracket> BracketCase(const Property& property, const Case& c, Signature signature,
                                    const std::vector<std::string>& engines,
                                    const ExecutorOf& executor_of);

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_BRACKET_H_
