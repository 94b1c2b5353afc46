// The engine lattice against the recorded answers of the original implementation, and its errors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "engines/registry.h"
#include "engines/scratch_folder.h"
#include "reference/safetensors.h"

namespace crosscheck {
namespace {

using testing::HasSubstr;
using testing::Lt;

constexpr char kGoldens[] = "tests/golden/";
// The files of a golden that make a checkpoint.
constexpr const char* kCheckpointFiles[] = {"config.json", "tokenizer.json", "model.safetensors"};
// How far an fp32 engine may be from fp64, in units of the recorded error of the original
// implementation in fp32.
constexpr double kErrors = 4;

struct Golden {
  Json errors;
  std::map<std::string, Tensor> tensors;

  std::vector<double> Values(const std::string& name) const {
    const auto values = tensors.at(name).ToDoubles();
    EXPECT_TRUE(values.ok()) << name;
    return values.ok() ? *values : std::vector<double>();
  }
  std::vector<int> Ids(const std::string& name) const {
    const auto ids = tensors.at(name).As<int64_t>();
    return {ids.begin(), ids.end()};
  }
  bool Has(const std::string& name) const { return tensors.count(name) > 0; }
  // Without the fp32 error of a single kind, that of the logits stands for it.
  double Bound(const char* kind) const {
    return kErrors * errors.value(kind, errors.value("logits_f32_vs_f64", 0.0));
  }
};

Golden ReadGolden(const std::string& name) {
  Golden golden;
  const auto json = ReadFile(kGoldens + name + "/golden.json");
  const auto bytes = ReadFile(kGoldens + name + "/expected.safetensors");
  EXPECT_TRUE(json.ok() && bytes.ok()) << name;
  if (!json.ok() || !bytes.ok()) return golden;
  golden.errors = Json::parse(*json, nullptr, false)["errors"];
  auto tensors = DecodeSafetensors(*bytes);
  EXPECT_TRUE(tensors.ok()) << tensors.status();
  if (!tensors.ok()) return golden;
  for (Tensor& tensor : *tensors) golden.tensors.emplace(tensor.name, std::move(tensor));
  return golden;
}

// The largest absolute difference; shapes are the caller's to check.
double Distance(const std::vector<double>& a, const std::vector<double>& b) {
  EXPECT_EQ(a.size(), b.size());
  double largest = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    largest = std::isfinite(a[i]) ? std::max(largest, std::abs(a[i] - b[i])) : INFINITY;
  }
  return largest;
}

std::vector<double> Rows(const std::vector<double>& values, int64_t width, int64_t first,
                         int64_t end) {
  return {values.begin() + first * width, values.begin() + end * width};
}

// Greedy generation of as many tokens as the goldens record.
Json Greedy(const Json& model, const std::vector<int>& ids, const std::vector<int>& stop) {
  const Json sampling = {{"temperature", 0},
                         {"top_k", 0},
                         {"top_p", 1},
                         {"min_p", 0},
                         {"repetition_penalty", 1},
                         {"frequency_penalty", 0},
                         {"presence_penalty", 0},
                         {"seed", 0}};
  return {{"op", "generate"}, {"model", model["model"]}, {"ids", ids},  {"path", "session"},
          {"max_tokens", 24}, {"sampling", sampling},    {"stop", stop}};
}

class LatticeTest : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = OpenInProcess("lattice");
    if (absl::IsNotFound(opened.status())) GTEST_SKIP() << opened.status().message();
    ASSERT_TRUE(opened.ok()) << opened.status();
    engine_ = *std::move(opened);
    auto scratch = ScratchFolder::Create();
    ASSERT_TRUE(scratch.ok()) << scratch.status();
    scratch_ = *std::move(scratch);
  }

  Reply Call(Json head) { return engine_->Call({.head = std::move(head), .tensors = {}}); }

  // The checkpoint of a golden in a folder that only this user may write, as lattice demands.
  std::string Checkpoint(const std::string& golden) {
    for (const char* file : kCheckpointFiles) {
      const auto bytes = ReadFile(kGoldens + golden + "/" + file);
      EXPECT_TRUE(bytes.ok()) << bytes.status();
      EXPECT_TRUE(bytes.ok() && WriteFile(scratch_->path() + "/" + file, *bytes).ok()) << file;
    }
    return scratch_->path();
  }

  Json Load(const std::string& golden) {
    const Reply reply = Call({{"op", "load"}, {"path", Checkpoint(golden)}});
    EXPECT_TRUE(reply.ok()) << golden << ": " << reply.failure->message;
    return reply.message.head;
  }

  // The only tensor of an answer as fp64, with its shape.
  std::pair<std::vector<int64_t>, std::vector<double>> Only(const Reply& reply) {
    EXPECT_TRUE(reply.ok()) << reply.failure->message;
    if (!reply.ok() || reply.message.tensors.size() != 1) return {};
    const Tensor& tensor = reply.message.tensors.front();
    return {tensor.shape, *tensor.ToDoubles()};
  }

  void ExpectFailure(Json request, FailureKind kind, std::string_view type,
                     std::string_view message) {
    const Reply reply = Call(request);
    ASSERT_FALSE(reply.ok()) << request;
    EXPECT_EQ(reply.failure->kind, kind) << request << reply.failure->message;
    EXPECT_EQ(reply.failure->type, type) << request;
    EXPECT_THAT(reply.failure->message, HasSubstr(std::string(message))) << request;
  }

  std::unique_ptr<Engine> engine_;
  std::unique_ptr<ScratchFolder> scratch_;
};

class LatticeGoldenTest : public LatticeTest, public testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Goldens, LatticeGoldenTest,
                         testing::Values("qwen35-tiny", "qwen35-base", "qwen35-tied-r3",
                                         "qwen35-equal-heads", "qwen35-bf16", "qwen35-long",
                                         "qwen35-deep40", "qwen35-outlier", "qwen35-lora",
                                         "qwen35-mtp"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_P(LatticeGoldenTest, EveryPathGivesTheRecordedLogits) {
  const Golden golden = ReadGolden(GetParam());
  const Json model = Load(GetParam());
  const int64_t vocab = model["vocab"];
  const double bound = golden.Bound("logits_f32_vs_f64");
  for (int p = 0; golden.Has("p" + std::to_string(p) + ".input_ids"); ++p) {
    const std::string prompt = "p" + std::to_string(p);
    const std::vector<int> ids = golden.Ids(prompt + ".input_ids");
    const int64_t length = ids.size();
    const std::vector<double> expected = golden.Values(prompt + ".logits_f64");
    struct {
      const char* path;
      int64_t chunk;
      int64_t first;
      const char* counter;
    } const cases[] = {{"prompt", 0, length - 1, "prompt"},
                       {"readout", 0, 0, "readout"},
                       {"session", length, length - 1, "prefill"},
                       {"session", 1, 0, length > 1 ? "step" : "prefill"},
                       {"session", (length + 1) / 2, (length + 1) / 2 - 1, "prefill"}};
    for (const auto& run : cases) {
      SCOPED_TRACE(testing::Message() << prompt << " " << run.path << " " << run.chunk);
      Json sequence = {{"ids", ids}};
      if (run.chunk > 0) sequence["chunks"] = {run.chunk};
      const Reply reply = Call({{"op", "logits"},
                                {"model", model["model"]},
                                {"path", run.path},
                                {"sequences", {sequence}}});
      const auto [shape, logits] = Only(reply);
      ASSERT_EQ(shape, (std::vector<int64_t>{length - run.first, vocab}));
      EXPECT_EQ(reply.message.head["positions"][0].front(), run.first);
      EXPECT_EQ(reply.message.head["positions"][0].back(), length - 1);
      EXPECT_GT(reply.message.head["counters"][run.counter], 0);
      EXPECT_THAT(Distance(logits, Rows(expected, vocab, run.first, length)), Lt(bound));
    }
  }
}

TEST_P(LatticeGoldenTest, HiddenStatesAndNllsAreTheRecordedOnes) {
  const Golden golden = ReadGolden(GetParam());
  const Json model = Load(GetParam());
  const int64_t vocab = model["vocab"];
  for (int p = 0; golden.Has("p" + std::to_string(p) + ".input_ids"); ++p) {
    const std::string prompt = "p" + std::to_string(p);
    const std::vector<int> ids = golden.Ids(prompt + ".input_ids");
    const int64_t length = ids.size();
    if (golden.Has(prompt + ".hidden_f64")) {
      const auto [shape, hidden] =
          Only(Call({{"op", "hidden"}, {"model", model["model"]}, {"ids", ids}}));
      const std::vector<double> expected = golden.Values(prompt + ".hidden_f64");
      ASSERT_EQ(shape.size(), 2u);
      ASSERT_EQ(shape[0], length);
      EXPECT_THAT(Distance(hidden, {expected.end() - length * shape[1], expected.end()}),
                  Lt(golden.Bound("hidden_f32_vs_f64")));
    }
    if (length < 2) continue;
    const auto [shape, nll] = Only(Call({{"op", "nll"}, {"model", model["model"]}, {"ids", ids}}));
    const std::vector<double> logits = golden.Values(prompt + ".logits_f64");
    ASSERT_EQ(shape, std::vector<int64_t>{length - 1});
    for (int64_t t = 0; t + 1 < length; ++t) {
      const std::vector<double> row = Rows(logits, vocab, t, t + 1);
      const double largest = *std::max_element(row.begin(), row.end());
      double sum = 0;
      for (const double logit : row) sum += std::exp(logit - largest);
      EXPECT_NEAR(nll[t], largest + std::log(sum) - row[ids[t + 1]],
                  golden.Bound("logits_f32_vs_f64"));
    }
  }
}

TEST_P(LatticeGoldenTest, GenerationAndForcedStepsFollowTheRecordedContinuation) {
  const Golden golden = ReadGolden(GetParam());
  const Json model = Load(GetParam());
  if (!golden.Has("p0.greedy_ids"))
    GTEST_SKIP() << "the golden has no greedy continuation of the plain model";
  for (int p = 0; golden.Has("p" + std::to_string(p) + ".greedy_ids"); ++p) {
    const std::string prompt = "p" + std::to_string(p);
    const std::vector<int> ids = golden.Ids(prompt + ".input_ids");
    const std::vector<int> greedy = golden.Ids(prompt + ".greedy_ids");
    const Reply generated = Call(Greedy(model, ids, {}));
    ASSERT_TRUE(generated.ok()) << generated.failure->message;
    EXPECT_EQ(generated.message.head["ids"], Json(greedy));
    EXPECT_EQ(generated.message.head["stop"], "length");
    EXPECT_EQ(generated.message.head["counters"]["prefill"], ids.size());
    EXPECT_EQ(generated.message.head["counters"]["step"], greedy.size() - 1);

    Json steps = {{{"op", "prefill"}, {"sequence", 7}, {"ids", ids}}};
    for (size_t i = 0; i + 1 < greedy.size(); ++i)
      steps.push_back({{"op", "decode"}, {"sequence", 7}, {"id", greedy[i]}});
    const Reply run = Call(
        {{"op", "program"}, {"model", model["model"]}, {"steps", steps}, {"want", {"logits"}}});
    ASSERT_TRUE(run.ok()) << run.failure->message;
    ASSERT_EQ(run.message.tensors.size(), greedy.size());
    std::vector<double> logits;
    for (const Tensor& row : run.message.tensors) {
      const std::vector<double> values = *row.ToDoubles();
      logits.insert(logits.end(), values.begin(), values.end());
    }
    EXPECT_THAT(Distance(logits, golden.Values(prompt + ".greedy_logits_f64")),
                Lt(golden.Bound("logits_f32_vs_f64")));
  }
}

class LatticeTapsTest : public LatticeGoldenTest {};
INSTANTIATE_TEST_SUITE_P(Goldens, LatticeTapsTest, testing::Values("qwen35-base", "qwen35-long"),
                         [](const auto& test) { return std::string(test.param).substr(7); });

TEST_P(LatticeTapsTest, EveryStageThatTheEngineShowsIsTheRecordedOne) {
  const Golden golden = ReadGolden(GetParam());
  const Json model = Load(GetParam());
  const Json stages = Call({{"op", "hello"}, {"protocol", {1}}}).message.head["limits"]["taps"];
  const Json request = {{"op", "taps"},
                        {"model", model["model"]},
                        {"ids", golden.Ids("stage.input_ids")},
                        {"stages", stages}};
  const Reply reply = Call(request);
  ASSERT_TRUE(reply.ok()) << reply.failure->message;
  std::map<std::string, int> compared;
  for (const Tensor& tap : reply.message.tensors) {
    const std::string layer = std::to_string(std::stoi(tap.name.substr(1)));
    const std::string stage = tap.name.substr(tap.name.find('.') + 1);
    const std::string recorded = "layer" + layer + "." + stage;
    if (!golden.Has("stage." + recorded + ".f64")) continue;
    const double error = golden.errors["stages_f32_vs_f64"][recorded];
    EXPECT_EQ(tap.shape, golden.tensors.at("stage." + recorded + ".f64").shape) << recorded;
    EXPECT_THAT(Distance(*tap.ToDoubles(), golden.Values("stage." + recorded + ".f64")),
                Lt(kErrors * error))
        << recorded;
    ++compared[stage];
  }
  EXPECT_EQ(compared.size(), stages.size());
}

TEST_F(LatticeTest, RefusesWhatTheEngineRejectsByAnErrorOfItsOwn) {
  const Json model = Load("qwen35-tiny");
  const int vocab = model["vocab"];
  const std::vector<int> longest(model["context"].get<size_t>(), 1), longer(longest.size() + 1, 1);
  const auto logits = [&](const char* path, const std::vector<int>& ids) {
    return Json{{"op", "logits"},
                {"model", model["model"]},
                {"path", path},
                {"sequences", {{{"ids", ids}}}}};
  };
  for (const char* path : {"prompt", "readout", "session"}) {
    EXPECT_TRUE(Call(logits(path, longest)).ok()) << path;
    const bool checks_input = std::string_view(path) == "readout";
    const char* type = checks_input ? "InvalidInput" : "Inference";
    ExpectFailure(logits(path, {}), FailureKind::kRefused, type, "empty");
    ExpectFailure(logits(path, longer), FailureKind::kRefused, type, std::to_string(longer.size()));
  }
  for (const char* path : {"readout", "session"}) {
    ExpectFailure(logits(path, {1, vocab}), FailureKind::kRefused, "InvalidInput", "vocab");
  }
  ExpectFailure({{"op", "nll"}, {"model", model["model"]}, {"ids", {1}}}, FailureKind::kRefused,
                "Inference", "at least 2");
}

TEST_F(LatticeTest, PanicsBecomeInternalErrorsAndTheModelStaysUsable) {
  const Json model = Load("qwen35-tiny");
  const int vocab = model["vocab"];
  const Json good = {{"op", "logits"},
                     {"model", model["model"]},
                     {"path", "prompt"},
                     {"sequences", {{{"ids", {1, 2}}}}}};
  const auto [shape, before] = Only(Call(good));
  Json bad = good;
  bad["sequences"][0]["ids"] = {1, vocab};
  // The debug forward asserts its ids. The adapter hook of the taps must be gone after the panic.
  ExpectFailure(bad, FailureKind::kInternal, "panic", "out of range");
  ExpectFailure({{"op", "taps"}, {"model", model["model"]}, {"ids", {vocab}}},
                FailureKind::kInternal, "panic", "out of range");
  EXPECT_EQ(Only(Call(good)).second, before);
}

TEST_F(LatticeTest, ProgramReportsErrorsStepByStep) {
  const Json model = Load("qwen35-tiny");
  const Json steps = {{{"op", "prefill"}, {"sequence", 0}, {"ids", {1, 2}}},
                      {{"op", "prefill"}, {"sequence", 0}, {"ids", {3}}},
                      {{"op", "fork"}, {"sequence", 0}},
                      {{"op", "decode"}, {"sequence", 0}, {"id", 3}},
                      {{"op", "prefill"}, {"sequence", 1}, {"ids", {1}}},
                      {{"op", "decode"}, {"sequence", 0}, {"id", 3}},
                      {{"op", "reset"}, {"sequence", 0}},
                      {{"op", "decode"}, {"sequence", 0}, {"id", 3}},
                      {{"op", "prefill"}, {"sequence", 0}, {"ids", Json::array()}}};
  const Reply reply =
      Call({{"op", "program"}, {"model", model["model"]}, {"steps", steps}, {"want", {"logits"}}});
  ASSERT_TRUE(reply.ok()) << reply.failure->message;
  std::vector<std::string> outcomes;
  for (const Json& step : reply.message.head["steps"]) {
    outcomes.push_back(step["ok"] == true ? "ok" : step["error"]["code"].get<std::string>());
  }
  EXPECT_THAT(outcomes, testing::ElementsAre("ok", "unsupported", "unsupported", "ok", "ok",
                                             "unsupported", "ok", "bad_request", "refused"));
  EXPECT_EQ(reply.message.head["counters"]["prefill"], 3);
  EXPECT_EQ(reply.message.head["counters"]["step"], 1);
}

TEST_F(LatticeTest, GenerationEndsAtStopIdsWhichAreNotInTheAnswer) {
  const Json model = Load("qwen35-base");
  const Golden golden = ReadGolden("qwen35-base");
  const std::vector<int> greedy = golden.Ids("p1.greedy_ids");
  Json request = Greedy(model, golden.Ids("p1.input_ids"), {greedy[3]});
  const auto first = std::find(greedy.begin(), greedy.end(), greedy[3]);
  const Reply stopped = Call(request);
  ASSERT_TRUE(stopped.ok()) << stopped.failure->message;
  EXPECT_EQ(stopped.message.head["ids"], Json(std::vector<int>(greedy.begin(), first)));
  EXPECT_EQ(stopped.message.head["stop"], "stop");
  request["sampling"]["presence_penalty"] = 0.5;
  ExpectFailure(request, FailureKind::kUnsupported, "", "presence_penalty");
}

TEST_F(LatticeTest, RefusesDamagedAndMissingCheckpoints) {
  ExpectFailure({{"op", "load"}, {"path", scratch_->path() + "/nothing"}}, FailureKind::kRefused,
                "ModelNotFound", "nothing");
  const std::string folder = Checkpoint("qwen35-tiny");
  const std::string weights = folder + "/model.safetensors";
  std::filesystem::resize_file(weights, std::filesystem::file_size(weights) - 1);
  ExpectFailure({{"op", "load"}, {"path", folder}}, FailureKind::kRefused, "InvalidSafetensors",
                "past data_len");
  ExpectFailure({{"op", "load"}, {"config", Json::object()}}, FailureKind::kUnsupported, "",
                "folder");
  ExpectFailure({{"op", "load"}, {"path", folder}, {"options", {{"dtype", "bf16"}}}},
                FailureKind::kUnsupported, "", "dtype");
}

}  // namespace
}  // namespace crosscheck
