// An engine whose answers to `taps` a test edits, for tests of the localiser.
#ifndef CROSSCHECK_TESTS_FUZZ_EDITED_TAPS_H_
#define CROSSCHECK_TESTS_FUZZ_EDITED_TAPS_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/fuzz/localise_rows.h"

namespace crosscheck {

// An executor whose engine answers `taps` otherwise.
class EditedTaps : public Executor {
 public:
  using Edit = std::function<void(Reply&)>;
  EditedTaps(Executor& inner, Edit edit) : inner_(inner), edit_(std::move(edit)) {}

  std::unique_ptr<Observations> Observe(Runs runs, bool want_torch) override {
    auto edited = std::make_unique<Edited>();
    for (size_t i = 0; i < runs.size(); ++i) {
      const Run run = runs[i];
      const Json& head = run.request.head;  // null where a reference has no request of its own
      const bool is_taps = head.is_object() && head.value("op", "") == "taps";
      if (run.role == Role::kEngine && is_taps) edited->taps = i;
    }
    edited->inner = inner_.Observe(std::move(runs), want_torch);
    edited->edit = edit_;
    return edited;
  }
  const Json& hello() const override { return inner_.hello(); }
  const Limits& limits() const override { return inner_.limits(); }
  const std::string& engine_name() const override { return inner_.engine_name(); }
  const std::string& engine_family() const override { return inner_.engine_family(); }
  ReferenceUse references() const override { return inner_.references(); }
  StageSeconds seconds() const override { return inner_.seconds(); }

 private:
  struct Edited : Observations {
    const Reply& operator[](size_t i) override {
      if (i != taps) return (*inner)[i];
      reply = (*inner)[i];
      edit(reply);
      return reply;
    }
    bool Available(size_t i) const override { return inner->Available(i); }
    bool Wanted(size_t i) const override { return inner->Wanted(i); }
    std::string_view engine_family() const override { return inner->engine_family(); }

    std::unique_ptr<Observations> inner;
    size_t taps = static_cast<size_t>(-1);
    Edit edit;
    Reply reply;
  };

  Executor& inner_;
  const Edit edit_;
};

inline Localisation LocaliseQwen(Executor& executor) {
  const Property& property = *FindProperty("logit_closeness");
  const Case c = MakeCase(Qwen());
  return Localise(property, c, RunCase(property, c, executor), executor);
}

inline std::unique_ptr<Executor> Open(const std::string& engine) {
  auto executor = Executor::Create({.engine = engine});
  EXPECT_TRUE(executor.ok()) << executor.status();
  return *std::move(executor);
}

}  // namespace crosscheck

#endif  // CROSSCHECK_TESTS_FUZZ_EDITED_TAPS_H_
