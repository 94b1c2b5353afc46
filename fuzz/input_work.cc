#include "fuzz/input_work.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "properties/fields.h"
#include "properties/subjects/loader.h"
#include "properties/subjects/model_recipe_fields.h"

namespace crosscheck {
namespace {

class LargeVisitor final : public FieldVisitor {
 public:
  explicit LargeVisitor(Stream& stream) : stream_(stream) {}

 protected:
  uint64_t Scalar(const ScalarField& field, uint64_t) override {
    if (field.seed) return stream_.Next();
    if (!field.ordered || stream_.OneIn(4)) {
      return static_cast<uint64_t>(stream_.Int(0, static_cast<int64_t>(field.max_index)));
    }
    return field.descending ? 0 : field.max_index;
  }
  ListPlan BeginList(const ListField& field) override {
    const auto most = static_cast<int64_t>(field.range.max);
    return {.length = static_cast<size_t>(stream_.OneIn(4) ? stream_.Int(0, most) : most)};
  }

 private:
  Stream& stream_;
};

// Ids of every list of them in the request, one for each further call of a session, and what it may
// generate.
int64_t TokensOf(const Json& head) {
  int64_t tokens = head.value("max_tokens", int64_t{0});
  if (const auto ids = head.find("ids"); ids != head.end() && ids->is_array()) {
    tokens += static_cast<int64_t>(ids->size());
  }
  for (const char* list : {"sequences", "steps"}) {
    const auto found = head.find(list);
    if (found == head.end() || !found->is_array()) continue;
    for (const Json& part : *found) tokens += TokensOf(part) + (part.contains("op") ? 1 : 0);
  }
  return tokens;
}

int64_t PerToken(const Run& run, const Case& c) {
  if (run.model != nullptr) return MultiplyAddsPerToken(run.model->spec);
  // Loaded from files that its plan made.
  if (&c.subject() == &LoaderSubject()) {
    return MultiplyAddsPerToken(c.As<LoaderCase>().model.spec);
  }
  return 0;
}

}  // namespace

Case LargeCase(const Subject& subject, Stream& stream, const Limits& limits) {
  LargeVisitor visitor(stream);
  return subject.visit(subject.read({}, limits), visitor, limits);
}

InputWork MeasureWork(const Property& property, const Case& c, Executor& executor,
                      bool all_references) {
  InputWork work;
  std::vector<Run> runs = property.plan(c);
  std::vector<size_t> exact, others;
  for (size_t i = 0; i < runs.size(); ++i) {
    Run& run = runs[i];
    if (run.role != Role::kExact && run.role != Role::kPerturbed) continue;
    const bool is_exact = run.role == Role::kExact;
    (is_exact ? exact : others).push_back(i);
    // A derived request is asked for once, when the run is first looked at.
    run.derive = [request = run.request, derive = run.derive, each = PerToken(run, c), is_exact,
                  &work](Observations& observations) {
      Message message = derive ? derive(observations) : request;
      const int64_t multiply_adds = TokensOf(message.head) * each;
      work.all_references += multiply_adds;
      if (is_exact) work.exact += multiply_adds;
      return message;
    };
  }
  const auto observations = executor.Observe(std::move(runs), false);
  const double before = executor.seconds().exact;
  work.verdict = property.judge(c, *observations);
  if (work.verdict.kind == VerdictKind::kPass) {
    for (const size_t i : exact) (*observations)[i];
    work.exact_seconds = executor.seconds().exact - before;
    for (size_t i = 0; all_references && i < others.size(); ++i) (*observations)[others[i]];
  }
  work.seconds = executor.seconds().exact - before;
  return work;
}

}  // namespace crosscheck
