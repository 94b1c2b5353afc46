// Oracle-relative tolerance with lazily consulted references (judging.md 3.1-3.3).
#ifndef CROSSCHECK_PROPERTIES_JUDGES_TOLERANCE_H_
#define CROSSCHECK_PROPERTIES_JUDGES_TOLERANCE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "properties/logits.h"
#include "properties/property.h"
#include "reference/error_bound.h"

namespace crosscheck {

// What is compared: the exact model's logits at the judged positions, for sequences that ran on
// `path`.
struct JudgedRows {
  const ModelRunCase& c;
  ModelPath path;
  const LogitsAnswer& exact;
  const LogitsAnswer& judged;  // the engine's answer; its positions are the judged ones
};

// A reference's logits run in the plan: its observation and its name for messages.
struct ReferenceRun {
  size_t observation;
  std::string_view name;
};

// libtorch in fp32, three perturbed variants, and these on twelve nudges of the weights.
inline constexpr size_t kReferenceRuns = 40;
// Appends their runs, all with the request that `wanted` makes when a judge looks at one; of a
// mixture of experts they answer the router logits too.
void AppendReferences(Runs& plan, const std::shared_ptr<const ModelRecipe>& model,
                      const DerivedRequest& wanted);
// Those runs, the first of them being observation `first`, in the order in which they are
// consulted: cheapest first. The bound only grows, so the order changes the work and never a
// verdict.
std::vector<ReferenceRun> ReferencesFrom(size_t first);
// Of those, libtorch.
inline ReferenceRun LibtorchFrom(size_t first) { return {first, "torch:fp32"}; }

// The same without libtorch, for runs whose reference errors are no statistics of a report:
// `--references all` would run it on each of them.
inline constexpr size_t kPerturbedRuns = kReferenceRuns - 1;
void AppendPerturbed(Runs& plan, const std::shared_ptr<const ModelRecipe>& model,
                     const DerivedRequest& wanted);
// The i-th of either: role, variant and nudge.
Run ReferenceAt(size_t i);
Run PerturbedAt(size_t i);
std::vector<ReferenceRun> PerturbedFrom(size_t first);

BucketKey BucketOf(const ModelRunCase& c, ModelPath path);

// Calls `judge` with the rows before the near ties of a router (judges/router.h) and counts the
// others. Near ties are first those within the bucket's bound, and `judge` then gets observations
// without references: what passes by the bucket's bound alone needs none. Otherwise they are as the
// first three references show them, and, where a bug is left, as all do. Without routers `judge`
// gets `rows` and `observations`.
Verdict JudgeBeforeRouterTies(
    const JudgedRows& rows, absl::Span<const ReferenceRun> references, Observations& observations,
    const std::function<Verdict(const JudgedRows&, Observations&)>& judge);

// One reference's distances to the exact model, over the judged rows. A reference that fails, lies
// or is not finite where the exact model is gives the verdict instead.
std::optional<Verdict> MeasureReference(const JudgedRows& rows, ReferenceRun reference,
                                        Observations& observations, Distances& distances);

// Widens the bound by one available reference after another until `passes()`. Returns a verdict
// when a reference could not be used.
std::optional<Verdict> WidenUntil(const JudgedRows& rows, absl::Span<const ReferenceRun> references,
                                  Observations& observations, ErrorBound& bound,
                                  const std::function<bool()>& passes);

// The whole judgement; the references start at observation `first_reference`: PASS, or
// ENGINE_BUG/numeric with the worst place in its message. Both answers are finite.
Verdict JudgeTolerance(const JudgedRows& rows, size_t first_reference, Observations& observations);

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_JUDGES_TOLERANCE_H_
