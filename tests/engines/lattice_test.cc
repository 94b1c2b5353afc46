// The engine lattice: recorded continuations step by step, counters, and its errors. Logits, hidden
// states and stages are compared by golden_engine_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "engines/generate_message.h"
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
  double Bound() const { return kErrors * errors.value("logits_f32_vs_f64", 0.0); }
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

// Greedy generation of as many tokens as the goldens record.
Json Greedy(const Json& model, const std::vector<int>& ids, const std::vector<int>& stop) {
  Message request = GenerateMessage(ids, 24);
  request.head["model"] = model["model"];
  request.head["stop"] = stop;
  return request.head;
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
                                         "qwen35-deep40", "qwen35-outlier"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_P(LatticeGoldenTest, GenerationAndForcedStepsFollowTheRecordedContinuation) {
  const Golden golden = ReadGolden(GetParam());
  const Json model = Load(GetParam());
  ASSERT_TRUE(golden.Has("p0.greedy_ids"));
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
    EXPECT_THAT(Distance(logits, golden.Values(prompt + ".greedy_logits_f64")), Lt(golden.Bound()));
  }
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
