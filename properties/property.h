// A property: which runs a case needs, and a pure judgement of what was observed.
//
// One property is one file `properties/<name>.cc` that defines `const Property&
// PropertyNamed_<name>()`, plus one word in CMakeLists.txt; it becomes a gtest, a row of `smoke`
// and `list`, and replayable. `judge` sees observations only, so its tests
// use hand-made ones and no engine.
#ifndef CROSSCHECK_PROPERTIES_PROPERTY_H_
#define CROSSCHECK_PROPERTIES_PROPERTY_H_

#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "engines/engine.h"
#include "engines/input_files.h"
#include "properties/subject.h"
#include "properties/verdict.h"
#include "reference/weights.h"

namespace crosscheck {

// A plan names roles; the engine is never part of a case.
enum class Role { kEngine, kExact, kTorch, kPerturbed };

class Observations;

// A request that depends on earlier observations. Copies share the function: a plan holds dozens.
class DerivedRequest {
 public:
  DerivedRequest() = default;
  template <class Function>
    requires std::is_invocable_r_v<Message, const Function&, Observations&>
  DerivedRequest(Function function)  // NOLINT(google-explicit-constructor): a plan gives a lambda
      : function_(
            std::make_shared<const std::function<Message(Observations&)>>(std::move(function))) {}
  explicit operator bool() const { return function_ != nullptr; }
  Message operator()(Observations& observations) const { return (*function_)(observations); }

 private:
  std::shared_ptr<const std::function<Message(Observations&)>> function_;
};

struct Run {
  Role role;
  // kTorch: TorchPrecision. kPerturbed: ExactVariant, not kFp64. Otherwise 0.
  int variant = 0;
  // Loaded before the request in the engine of this role; the executor fills request.head["model"].
  // Null: no model.
  std::shared_ptr<const ModelRecipe> model = nullptr;
  // Not 0: a reference runs on the model with this WeightRecipe::nudge.
  int nudge = 0;
  Message request = {};
  // A request that depends on earlier observations (the exact model over the tokens that the engine
  // produced). When set, the executor calls it once, when this run is first looked at, and sends
  // its result (with head["model"] filled) instead of `request`. It may look at other observations
  // of the plan, never at its own.
  DerivedRequest derive = {};
  // Written into a fresh folder that the executor names in request.head["path"]. Runs of one plan
  // that hold the same pointer get the same folder. It is removed with the observations, and what
  // a `load` of it answered as "model" is unloaded; later runs take that id through `derive`. Null:
  // no files.
  std::shared_ptr<const InputFiles> files = nullptr;
};

// The recipe that the run's engine computes, its nudge included; null when the run has no model.
std::shared_ptr<const ModelRecipe> ModelOf(const Run& run);

// The runs of a plan, in the order of their observations. References come by the dozen and most of
// them are never looked at, so that a series is one entry, and its runs are made when asked for.
//
// Example:
//   Runs runs = {{.role = Role::kEngine, .model = model, .request = request}};
//   runs.AppendSeries(12, [model](size_t i) {
//     return Run{.role = Role::kPerturbed, .variant = 1, .model = model, .nudge = int(i)};
//   });
class Runs {
 public:
  Runs() = default;
  Runs(std::initializer_list<Run> runs) : Runs(std::vector<Run>(runs)) {}
  Runs(std::vector<Run> runs)  // NOLINT(google-explicit-constructor): a list of runs is a plan
      : single_(std::move(runs)) {}
  operator std::vector<Run>() const;  // NOLINT(google-explicit-constructor): all of them, made

  void push_back(Run run) { single_.push_back(std::move(run)); }
  // `make(i)` gives the i-th of `count` runs, the same whenever it is called.
  void AppendSeries(size_t count, std::function<Run(size_t)> make);

  size_t size() const;
  bool empty() const { return size() == 0; }
  const Run operator[](size_t i) const;  // NOLINT(*-const-return-type): a change would be lost
  // As operator[], once for each run: what it holds is moved.
  Run Take(size_t i);

 private:
  struct Series {
    size_t first, count;
    std::function<Run(size_t)> make;
  };
  // The series of run i, or null and the place in single_.
  const Series* Locate(size_t i, size_t* place) const;

  std::vector<Run> single_;
  std::vector<Series> series_;
};

// Runs lazily: the i-th request is sent when it is first looked at, and its reply is kept.
class Observations {
 public:
  virtual ~Observations() = default;
  virtual const Reply& operator[](size_t i) = 0;
  // False for a reference that is the engine under test itself (it must not vouch for itself).
  virtual bool Available(size_t i) const = 0;
  // True when this run shall be looked at for the statistics of the report although the verdict
  // does not need it (`--references all`: libtorch in fp32 on every case).
  virtual bool Wanted(size_t) const { return false; }
  virtual std::string_view engine_family() const = 0;
};

struct Property {
  std::string_view name;
  const Subject* subject;
  std::vector<std::string_view> needs;   // extensions of the engine, e.g. "model/1"
  std::vector<std::string_view> kills;   // engines that it must catch: "faulty:rope_pairing"
  std::vector<std::string_view> benign;  // engines that it must pass: "exact:fp32"
  Runs (*plan)(const Case&);
  Verdict (*judge)(const Case&, Observations&);
  // How many cases it gets for each case of a property with share 1, in a sequence of several.
  int share = 1;
};

const std::vector<const Property*>& Properties();  // in the order of the list in CMakeLists.txt
const Property* FindProperty(std::string_view name);
void AddProperty(const Property& property);  // for tests; static lifetime

// Every engine that computes a model in fp32: the exact model in three orders, and libtorch.
inline std::vector<std::string_view> EnginesInFp32() {
  return {"exact:fp32", "exact:fp32-chunked-reversed", "exact:fp32-chunked-pairwise", "torch"};
}

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_PROPERTY_H_
