// The work of one input of a fuzz target is bounded by its fields: 50 ms of the exact model, which
// is counted in multiply-adds here (bench/input_work.cc prints both).
#include "fuzz/input_work.h"

#include <algorithm>
#include <memory>

#include "engines/in_process_client.h"
#include "engines/registry.h"
#include "fuzz/fuzz_target.h"
#include "gtest/gtest.h"
#include "properties/subjects/model_recipe_fields.h"
#include "properties/subjects/model_run.h"

namespace crosscheck {
namespace {

// bench/input_work: 25 million in 30 ms and 2,772 million in 2.4 s, on a busy machine.
constexpr int64_t kMostOfTheExactModel = 30'000'000;
constexpr int64_t kMostOfAllReferences = 4'000'000'000;

class InputWorkTest : public testing::Test {
 protected:
  void SetUp() override {
    auto engine = OpenInProcess("exact:fp32");
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
    const Reply hello = engine_->Call(
        {.head = {{"op", "hello"}, {"protocol", {1}}, {"client", "test"}}, .tensors = {}});
    ASSERT_TRUE(hello.ok());
    auto executor = Executor::Create({.engine = "exact:fp32", .torch = false, .models_kept = 2},
                                     MakeInProcessClient(*engine_, hello.message.head));
    ASSERT_TRUE(executor.ok()) << executor.status();
    executor_ = *std::move(executor);
    limits_ = FuzzLimits(executor_->limits());
  }

  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Executor> executor_;
  Limits limits_;
};

TEST_F(InputWorkTest, NoInputAsksMoreOfTheExactModelThanFiftyMilliseconds) {
  int with_a_model = 0;
  for (const Property* property : Properties()) {
    Stream stream(1, "input work");
    int64_t worst = 0;
    for (int i = 0; i < 20; ++i) {
      const Case c = LargeCase(*property->subject, stream, limits_);
      const InputWork work = MeasureWork(*property, c, *executor_, i == 0);
      EXPECT_LE(work.exact, kMostOfTheExactModel) << property->subject->print(c);
      EXPECT_LE(work.all_references, kMostOfAllReferences) << property->subject->print(c);
      worst = std::max(worst, work.exact);
    }
    with_a_model += worst > 0 ? 1 : 0;
  }
  EXPECT_GE(with_a_model, 10);
}

TEST_F(InputWorkTest, CountsTheTokensOfTheExactModel) {
  const Property& property = *FindProperty("logit_closeness");
  const Case simplest = property.subject->read({}, limits_);
  const auto model = std::make_shared<ModelRecipe>(*simplest.As<ModelRunCase>().model);
  model->spec.max_positions = 8;
  for (const int length : {1, 2, 7}) {
    SequenceCase sequence;
    sequence.ids.resize(static_cast<size_t>(length));
    sequence.chunks = {length};
    const ModelRunCase c{.model = model, .sequences = {sequence}};
    const InputWork work =
        MeasureWork(property, Case(ModelRunSubject(), c), *executor_, /*all_references=*/true);
    ASSERT_EQ(work.verdict.kind, VerdictKind::kPass) << work.verdict.message;
    EXPECT_EQ(work.exact, length * MultiplyAddsPerToken(model->spec));
    EXPECT_GT(work.all_references, work.exact);
  }
}

}  // namespace
}  // namespace crosscheck
