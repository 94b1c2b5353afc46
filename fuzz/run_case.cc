#include "fuzz/run_case.h"

#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace crosscheck {
namespace {

// Lazy references: one case in so many has its libtorch runs looked at for the statistics of the
// report.
constexpr uint64_t kFullOneIn = 16;

bool WantsTorch(const Case& c, const Executor& executor) {
  if (executor.references() == ReferenceUse::kAll) return true;
  return HashName(c.subject().write(c)) % kFullOneIn == 0;
}

Verdict Judge(const Property& property, const Case& c, Executor& executor) {
  Runs runs = property.plan(c);
  const size_t count = runs.size();
  const auto observations = executor.Observe(std::move(runs), WantsTorch(c, executor));
  Verdict verdict = property.judge(c, *observations);
  if (verdict.kind != VerdictKind::kPass && verdict.kind != VerdictKind::kNearTie) return verdict;
  if (verdict.measures.empty())
    return verdict;  // nothing for the statistics: files that were refused
  // A judge that is satisfied early may not have looked at a run that was asked for.
  for (size_t i = 0; i < count; ++i) {
    if (!observations->Wanted(i) || (*observations)[i].ok()) continue;
    const Failure& failure = *(*observations)[i].failure;
    verdict.kind = VerdictKind::kSetupError;
    verdict.message =
        absl::StrCat("a reference that the statistics need failed: ", failure.message);
  }
  return verdict;
}

}  // namespace

Verdict RunCase(const Property& property, const Case& c, Executor& executor) {
  Verdict verdict;
  const std::vector<std::string> missing = MissingExtensions(property, executor.hello());
  if (!missing.empty()) {
    verdict.kind = VerdictKind::kUnsupported;
    verdict.message = absl::StrCat("the engine lacks ", absl::StrJoin(missing, ", "));
  } else {
    // Third-party code (json, Eigen, libtorch) may throw; nothing may end the run.
    try {
      verdict = Judge(property, c, executor);
    } catch (const std::exception& e) {
      verdict = Verdict();
      verdict.kind = VerdictKind::kSetupError;
      verdict.message = absl::StrCat("exception while judging: ", e.what());
    }
  }
  if (verdict.kind == VerdictKind::kPass && verdict.judged == 0) {
    verdict.kind = VerdictKind::kUnsupported;
    if (verdict.message.empty()) verdict.message = "nothing was judged";
  }
  verdict.signature.property = std::string(property.name);
  verdict.signature.engine_family = executor.engine_family();
  return verdict;
}

}  // namespace crosscheck
