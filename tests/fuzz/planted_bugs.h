// A subject that is no model, an engine with planted bugs and an executor without processes, for
// tests of fuzz/.
#ifndef CROSSCHECK_TESTS_FUZZ_PLANTED_BUGS_H_
#define CROSSCHECK_TESTS_FUZZ_PLANTED_BUGS_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fuzz/executor.h"
#include "properties/make_subject.h"

namespace crosscheck {

struct PlantedCase {
  static constexpr std::string_view kSubjectName = "planted";
  std::vector<int32_t> items;
  int width = 0;
  bool operator==(const PlantedCase&) const = default;
};

inline void Visit(FieldVisitor& v, const Limits&, PlantedCase& c) {
  v.List("items", c.items, {.min = 0, .max = 40},
         [](FieldVisitor& e, int32_t& item) { e.Int("item", item, {.lo = 0, .hi = 100}); });
  v.Int("width", c.width, {.lo = 0, .hi = 50});
}

inline std::vector<std::string> Labels(const PlantedCase& c) {
  return {c.items.empty() ? "empty" : "items"};
}

inline Case MakePlanted(std::vector<int32_t> items, int width) {
  return Case(MakeSubject<PlantedCase>(), PlantedCase{std::move(items), width});
}

// The property that asks the engine for the name of its bug: no name passes.
inline const Property& PlantedProperty() {
  static const Property property = {
      .name = "planted",
      .subject = &MakeSubject<PlantedCase>(),
      .needs = {},
      .kills = {},
      .benign = {},
      .plan =
          [](const Case& c) {
            Run run{.role = Role::kEngine, .model = nullptr, .request = {}};
            run.request.head = {{"op", "probe"},
                                {"items", c.As<PlantedCase>().items},
                                {"width", c.As<PlantedCase>().width}};
            return Runs{run};
          },
      .judge =
          [](const Case&, Observations& observations) {
            Verdict verdict;
            verdict.judged = 1;
            const Reply& reply = observations[0];
            const std::string bug = reply.ok() ? reply.message.head.value("bug", "") : "failure";
            if (bug.empty()) return verdict;
            verdict.kind = VerdictKind::kEngineBug;
            verdict.signature.stage = bug;
            verdict.signature.error = ErrorClass::kState;
            verdict.marginal = reply.ok() && reply.message.head.value("marginal", false);
            verdict.message = "bug " + bug;
            return verdict;
          }};
  return property;
}

// Answers every run with one function and counts.
class FakeExecutor : public Executor {
 public:
  using Answer = std::function<Reply(const Message&)>;
  explicit FakeExecutor(Answer answer) : answer_(std::move(answer)) {}

  std::unique_ptr<Observations> Observe(Runs runs, bool) override {
    ++observed;
    return std::make_unique<FakeObservations>(answer_, std::move(runs));
  }
  const Json& hello() const override { return hello_; }
  const Limits& limits() const override { return limits_; }
  const std::string& engine_name() const override { return name_; }
  const std::string& engine_family() const override { return name_; }
  ReferenceUse references() const override { return ReferenceUse::kAll; }
  StageSeconds seconds() const override { return {}; }

  int observed = 0;

 private:
  class FakeObservations : public Observations {
   public:
    FakeObservations(const Answer& answer, std::vector<Run> runs)
        : answer_(answer), runs_(std::move(runs)), replies_(runs_.size()) {}
    const Reply& operator[](size_t i) override {
      if (!replies_[i]) replies_[i] = answer_(runs_[i].request);
      return *replies_[i];
    }
    bool Available(size_t) const override { return true; }
    std::string_view engine_family() const override { return "fake"; }

   private:
    const Answer& answer_;
    std::vector<Run> runs_;
    std::vector<std::optional<Reply>> replies_;
  };

  const Answer answer_;
  const Json hello_ = {{"extensions", {"planted/1"}}};
  const Limits limits_;
  const std::string name_ = "fake";
};

// An answer that names the bug which a predicate over (items, width) finds.
template <class F>
FakeExecutor::Answer NamesBug(F bug_of) {
  return [bug_of](const Message& request) {
    Reply reply;
    reply.message.head["bug"] =
        bug_of(request.head["items"].get<std::vector<int32_t>>(), request.head["width"].get<int>());
    return reply;
  };
}

}  // namespace crosscheck

#endif  // CROSSCHECK_TESTS_FUZZ_PLANTED_BUGS_H_
