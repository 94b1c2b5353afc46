#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>

#include "properties/subjects/model_run.h"
#include "properties/visitors/shrink.h"
#include "tests/properties/toy_subject.h"

namespace crosscheck {
namespace {

// The minimiser's loop with a predicate in place of a verdict; counts the evaluations.
template <class T>
std::string Minimum(Case c, bool (*fails)(const T&), int* evaluations) {
  for (bool again = true; again;) {
    again = false;
    for (const Case& smaller : c.subject().shrink(c)) {
      ++*evaluations;
      if (!fails(smaller.As<T>())) continue;
      c = smaller;
      again = true;
      break;
    }
  }
  return c.subject().print(c);
}

std::string Completed(const Subject& subject, std::string_view text) {
  return subject.print(subject.parse(text).value());
}

constexpr std::string_view kModel =
    "model.layers = linear full linear\nmodel.vocab = 50\nmodel.hidden = 20\nmodel.max_positions = "
    "64\n";

TEST(ShrinkVisitorTest, MatesComeBeforeStepsBeforeLengthBeforeModel) {
  const absl::StatusOr<Case> c =
      ModelRunSubject().parse(std::string(kModel) +
                              "path = session\n"
                              "sequences.0.ids = 5 6 7 8\nsequences.0.chunks = 2\n"
                              "sequences.1.ids = 9 9 9\nsequences.1.chunks = 3\n");
  const std::vector<Case> cases = ModelRunSubject().shrink(c.value());
  const auto first = [&](const std::function<bool(const ModelRunCase&)>& matches) {
    for (size_t i = 0; i < cases.size(); ++i) {
      if (matches(cases[i].As<ModelRunCase>())) return i;
    }
    return cases.size();
  };
  const size_t mates = first([](const auto& s) { return s.sequences.size() == 1; });
  const size_t steps = first([](const auto& s) {
    return s.sequences.size() == 2 && s.sequences[0].ids.size() == 4 &&
           s.sequences[0].chunks[0] == 4;
  });
  const size_t length =
      first([](const auto& s) { return s.sequences.size() == 2 && s.sequences[0].ids.size() < 4; });
  const size_t path = first([](const auto& s) { return s.path == ModelPath::kPrompt; });
  const size_t layers = first([](const auto& s) { return s.model->spec.layers.size() < 3; });
  const size_t token = first([](const auto& s) {
    return s.model->spec.vocab == 50 && s.sequences.size() == 2 && s.sequences[1].ids.size() == 3 &&
           s.sequences[1].ids[0] == 0;
  });
  EXPECT_LT(mates, steps);
  EXPECT_LT(steps, length);
  EXPECT_LT(length, path);
  EXPECT_LT(path, layers);
  EXPECT_LT(layers, token);
  EXPECT_LT(token, cases.size());
}

TEST(ShrinkVisitorTest, ReachesTheMinimumOfATokenPairAtADistance) {
  // Fails when id 7 appears somewhere after id 5 in a model with a full attention layer and hidden
  // >= 6.
  const auto fails = [](const ModelRunCase& c) {
    const std::vector<int32_t>& ids = c.sequences[0].ids;
    const auto five = std::find(ids.begin(), ids.end(), 5);
    const bool pair = std::find(five, ids.end(), 7) != ids.end();
    const std::vector<LayerKind>& layers = c.model->spec.layers;
    return pair && c.model->spec.hidden >= 6 &&
           std::find(layers.begin(), layers.end(), LayerKind::kFullAttention) != layers.end();
  };
  const std::string minimum = Completed(ModelRunSubject(),
                                        "model.layers = full\nmodel.vocab = 8\nmodel.hidden = "
                                        "6\nmodel.max_positions = 2\nmodel.eos = 7\n"
                                        "sequences.0.ids = 5 7\n");
  std::vector<int> evaluations;
  for (int i = 0; i < 3000 && evaluations.size() < 50; ++i) {
    Stream stream(static_cast<uint64_t>(i), "pair");
    const Case c = ModelRunSubject().random(stream, Limits{.max_tokens = 70});
    if (!fails(c.As<ModelRunCase>())) continue;
    EXPECT_EQ(Minimum<ModelRunCase>(c, fails, &evaluations.emplace_back()), minimum);
  }
  ASSERT_EQ(evaluations.size(), 50u);
  std::nth_element(evaluations.begin(), evaluations.begin() + 25, evaluations.end());
  EXPECT_LE(evaluations[25], 300);
}

TEST(ShrinkVisitorTest, ShortensAProgramToTheOperationsThatMatter) {
  // Fails when a fork comes after a push of at least 100 into row 1.
  const auto fails = [](const ToyCase& c) {
    bool pushed = false;
    for (const ToyOperation& operation : c.program) {
      if (operation.kind == ToyOperationKind::kFork && pushed) return true;
      pushed |=
          operation.kind == ToyOperationKind::kPush && operation.row == 1 && operation.count >= 100;
    }
    return false;
  };
  const std::string minimum =
      Completed(ToySubject(),
                "rows.0 =\nrows.1 =\nswarm = 2\nprogram.0.row = 1\nprogram.0.count = 100\n"
                "program.1.kind = fork\n");
  int found = 0, evaluations = 0;
  for (int i = 0; i < 3000 && found < 20; ++i) {
    Stream stream(static_cast<uint64_t>(i), "program");
    const Case c = ToySubject().random(stream, Limits{.max_tokens = 30});
    if (!fails(c.As<ToyCase>())) continue;
    ++found;
    EXPECT_EQ(Minimum<ToyCase>(c, fails, &evaluations), minimum);
  }
  ASSERT_EQ(found, 20);
}

TEST(ShrinkVisitorTest, UnchangedModelStaysTheSameObject) {
  const absl::StatusOr<Case> c =
      ModelRunSubject().parse(std::string(kModel) + "sequences.0.ids = 5 6 7 8\n");
  int shared = 0;
  for (const Case& smaller : ModelRunSubject().shrink(c.value())) {
    shared += smaller.As<ModelRunCase>().model == c->As<ModelRunCase>().model ? 1 : 0;
  }
  EXPECT_GT(shared, 5);
}

}  // namespace
}  // namespace crosscheck
