#include "engines/reference_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/engines/engine_requests.h"
#include "tests/small_spec.h"

namespace crosscheck {
namespace {

using contract::GenerateRequest;
using contract::LogitsRequest;
using contract::Request;

ModelSpec Spec() {
  ModelSpec spec = SmallSpec();
  spec.vocab = 19;
  spec.hidden = 12;
  spec.max_positions = 16;
  spec.eos = -1;
  return spec;
}

class ReferenceEngineTest : public testing::Test {
 protected:
  explicit ReferenceEngineTest(ModelSpec spec = Spec())
      : model_(std::make_shared<const Model>(GenerateModel({spec, {.seed = 11}}))),
        direct_(*MakeExactModel(model_, ExactVariant::kFp64)),
        engine_(*OpenReferenceEngine("exact", "")),
        id_(*engine_->LoadModel(model_)) {}

  Message Answer(const Message& request) {
    Reply reply = engine_->Call(request);
    EXPECT_TRUE(reply.ok()) << request.head.dump() << ": "
                            << (reply.ok() ? "" : reply.failure->message);
    return std::move(reply.message);
  }
  Logits All(const std::vector<int32_t>& ids) {
    return *direct_->NewSession()->Extend({.ids = ids});
  }

  const std::shared_ptr<const Model> model_;
  const std::unique_ptr<ReferenceModel> direct_;
  const std::unique_ptr<ReferenceEngine> engine_;
  const std::string id_;
};

const std::vector<int32_t> kIds = {3, 1, 4, 1, 5, 9};

TEST_F(ReferenceEngineTest, ReadoutAnswersEveryPositionOfOnePrefill) {
  const Message answer = Answer(LogitsRequest(id_, "readout", kIds));
  const Tensor* logits = answer.Find("logits.0");
  ASSERT_NE(logits, nullptr);
  EXPECT_EQ(logits->dtype, DType::kF64);
  EXPECT_EQ(logits->shape, (std::vector<int64_t>{6, 19}));
  EXPECT_EQ(std::vector<double>(logits->As<double>().begin(), logits->As<double>().end()),
            All(kIds).values);
  EXPECT_EQ(answer.head["counters"]["readout"], 6);
}

TEST_F(ReferenceEngineTest, PromptAnswersTheLastPosition) {
  const Message answer = Answer(LogitsRequest(id_, "prompt", kIds));
  EXPECT_EQ(answer.head["positions"], Json::parse("[[5]]"));
  const Logits last = *direct_->NewSession()->Extend({.ids = kIds, .all_positions = false});
  const auto values = answer.Find("logits.0")->As<double>();
  EXPECT_EQ(std::vector<double>(values.begin(), values.end()), last.values);
}

TEST_F(ReferenceEngineTest, SessionPrefillsItsChunksAndDecodesTheRest) {
  Message request = LogitsRequest(id_, "session", kIds);
  request.head["sequences"][0]["chunks"] = {2, 1, 1};
  const Message answer = Answer(request);
  EXPECT_EQ(answer.head["positions"], Json::parse("[[3,4,5]]"));
  EXPECT_EQ(answer.head["counters"], Json::parse(R"({"prefill":4,"step":2})"));
  const auto session = direct_->NewSession();
  std::vector<double> expected;
  for (const auto& [begin, count] :
       {std::pair(0, 2), std::pair(2, 1), std::pair(3, 1), std::pair(4, 1), std::pair(5, 1)}) {
    const Logits row = *session->Extend(
        {.ids = absl::MakeConstSpan(kIds).subspan(begin, count), .all_positions = false});
    if (begin >= 3) expected.insert(expected.end(), row.values.begin(), row.values.end());
  }
  const auto values = answer.Find("logits.0")->As<double>();
  EXPECT_EQ(std::vector<double>(values.begin(), values.end()), expected);
}

TEST_F(ReferenceEngineTest, AMaskHidesLeftPadding) {
  Message padded = LogitsRequest(id_, "readout", {7, 7, 3, 1, 4});
  padded.head["sequences"][0]["mask"] = {0, 0, 1, 1, 1};
  Message other = LogitsRequest(id_, "readout", {2, 8, 3, 1, 4});
  other.head["sequences"][0]["mask"] = {0, 0, 1, 1, 1};
  const std::string a = Answer(padded).Find("logits.0")->bytes;
  const std::string b = Answer(other).Find("logits.0")->bytes;
  EXPECT_EQ(a.substr(2 * 19 * 8), b.substr(2 * 19 * 8));
  other.head["sequences"][0].erase("mask");
  EXPECT_NE(a.substr(2 * 19 * 8), Answer(other).Find("logits.0")->bytes.substr(2 * 19 * 8));
  for (const Json& mask :
       {Json({1, 0, 1, 1, 1}), Json({0, 1, 1, 1}), Json({0, 0, 0, 0, 0}), Json({0, 0, 1, 2, 1})}) {
    padded.head["sequences"][0]["mask"] = mask;
    const Reply reply = engine_->Call(padded);
    ASSERT_FALSE(reply.ok()) << mask;
    EXPECT_EQ(reply.failure->kind, FailureKind::kBadRequest) << mask;
  }
}

TEST_F(ReferenceEngineTest, RefusesChunksThatDoNotFit) {
  for (const char* chunks :
       {"[]", "[0]", "[-1, 3]", "[7]", "[4, 4]", "[9223372036854775807, 9223372036854775807]"}) {
    Message request = LogitsRequest(id_, "session", kIds);
    request.head["sequences"][0]["chunks"] = Json::parse(chunks);
    const Reply reply = engine_->Call(request);
    ASSERT_FALSE(reply.ok()) << chunks;
    EXPECT_EQ(reply.failure->kind, FailureKind::kBadRequest) << chunks;
  }
}

TEST_F(ReferenceEngineTest, NllIsMinusLogSoftmaxOfTheNextId) {
  const Message answer = Answer(Request("nll", {{"ids", kIds}}, id_));
  const auto nll = answer.Find("nll")->As<double>();
  ASSERT_EQ(nll.size(), 5u);
  const Logits logits = All(kIds);
  for (size_t i = 0; i < nll.size(); ++i) {
    double sum = 0;
    for (const double logit : logits.row(static_cast<int>(i))) sum += std::exp(logit);
    const double expected = -std::log(
        std::exp(logits.row(static_cast<int>(i))[static_cast<size_t>(kIds[i + 1])]) / sum);
    EXPECT_NEAR(nll[i], expected, 1e-12);
  }
}

TEST_F(ReferenceEngineTest, HiddenIsTheFinalNormAndTapsNameLayers) {
  const Message hidden = Answer(Request("hidden", {{"ids", kIds}}, id_));
  EXPECT_EQ(hidden.Find("hidden")->shape, (std::vector<int64_t>{6, 12}));
  const Message taps =
      Answer(Request("taps", {{"ids", kIds}, {"stages", {"layer_out", "final_norm"}}}, id_));
  ASSERT_NE(taps.Find("L01.layer_out"), nullptr);
  EXPECT_NE(taps.Find("L00.layer_out")->bytes, taps.Find("L01.layer_out")->bytes);
  EXPECT_EQ(taps.Find("final_norm")->bytes, hidden.Find("hidden")->bytes);
  const Reply none =
      engine_->Call(Request("taps", {{"ids", kIds}, {"stages", Json::array({"soul"})}}, id_));
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.failure->kind, FailureKind::kUnsupported);
}

TEST_F(ReferenceEngineTest, GenerateFollowsTheLargestLogitAndEndsAtTheContext) {
  const Message answer = Answer(GenerateRequest(id_, kIds, 100));
  std::vector<int32_t> ids = kIds;
  for (const Json& id : answer.head["ids"]) {
    const Logits logits = All(ids);
    EXPECT_EQ(id, ArgMax(logits.row(logits.rows() - 1)));
    ids.push_back(id.get<int32_t>());
    if (ids.size() > 16) break;
  }
  EXPECT_EQ(ids.size(), 17u) << "the last id needs no position";
  EXPECT_EQ(answer.head["stop"], "length");
  EXPECT_EQ(answer.head["counters"],
            Json::parse(R"({"prefill":6,"step":10,"generated":11,"opened":11,"consumed":10})"));
  EXPECT_EQ(Answer(GenerateRequest(id_, kIds, 0)).head["ids"], Json::array());
}

TEST_F(ReferenceEngineTest, EosEndsGenerationAndIsNotInTheIds) {
  const Json free_run = Answer(GenerateRequest(id_, kIds, 1)).head["ids"];
  Model with_eos = *model_;
  with_eos.spec.eos = free_run.at(0).get<int>();
  const std::string id = *engine_->LoadModel(std::make_shared<const Model>(std::move(with_eos)));
  const Message answer = Answer(GenerateRequest(id, kIds, 5));
  EXPECT_EQ(answer.head["stop"], "eos");
  EXPECT_EQ(answer.head["ids"], Json::array());
}

TEST_F(ReferenceEngineTest, EverySamplingValueIsHonouredOrUnsupportedAndNeverLeftOut) {
  const std::pair<const char*, Json> values[] = {{"temperature", 0.5},
                                                 {"top_k", 5},
                                                 {"top_p", 0.9},
                                                 {"min_p", 0.1},
                                                 {"repetition_penalty", 1.1},
                                                 {"frequency_penalty", 0.1},
                                                 {"presence_penalty", 0.1}};
  for (const auto& [name, value] : values) {
    Message request = GenerateRequest(id_, kIds, 2);
    request.head["sampling"][name] = value;
    const Reply reply = engine_->Call(request);
    const std::string_view key = name;
    const bool served = key != "frequency_penalty" && key != "presence_penalty";
    EXPECT_EQ(reply.ok(), served) << name;
    if (!served) EXPECT_EQ(reply.failure->kind, FailureKind::kUnsupported) << name;
    request.head["sampling"].erase(name);
    EXPECT_EQ(engine_->Call(request).failure->kind, FailureKind::kBadRequest) << name;
  }
}

TEST_F(ReferenceEngineTest, AProgramGoesOnAfterARefusedStep) {
  const Json steps = {{{"op", "decode"}, {"sequence", 0}, {"id", 1}},
                      {{"op", "prefill"}, {"sequence", 0}, {"ids", {3, 1, 4}}},
                      {{"op", "decode"}, {"sequence", 0}, {"id", 99}},
                      {{"op", "fork"}, {"sequence", 0}},
                      {{"op", "decode"}, {"sequence", 0}, {"id", 1}}};
  const Message answer =
      Answer(Request("program", {{"steps", steps}, {"want", Json::array({"logits"})}}, id_));
  std::vector<std::string> codes;
  for (const Json& step : answer.head["steps"]) {
    codes.push_back(step["ok"] ? "" : step["error"]["code"]);
  }
  EXPECT_THAT(codes, testing::ElementsAre("refused", "", "refused", "unsupported", ""));
  const Message session = Answer([&] {
    Message request = LogitsRequest(id_, "session", {3, 1, 4, 1});
    request.head["sequences"][0]["chunks"] = {3};
    return request;
  }());
  EXPECT_EQ(answer.Find("step.1.logits")->bytes + answer.Find("step.4.logits")->bytes,
            session.Find("logits.0")->bytes);
}

TEST_F(ReferenceEngineTest, LoadsTensorsFromTheMessage) {
  Message load = Request("load", {{"config", ToHuggingFaceConfig(model_->spec, "float32")}});
  for (size_t i = 0; i < model_->tensors.size(); ++i) {
    load.tensors.push_back(MakeTensor(model_->tensors[i].name, model_->tensors[i].shape,
                                      absl::MakeConstSpan(model_->values[i])));
  }
  const Message loaded = Answer(load);
  EXPECT_EQ(Answer(LogitsRequest(loaded.head["model"], "readout", kIds)).Find("logits.0")->bytes,
            Answer(LogitsRequest(id_, "readout", kIds)).Find("logits.0")->bytes);
  load.tensors.pop_back();
  EXPECT_EQ(engine_->Call(load).failure->kind, FailureKind::kRefused);
  load.head["path"] = "/tmp";
  EXPECT_EQ(engine_->Call(load).failure->kind, FailureKind::kBadRequest);
}

TEST(ReferenceEngineNamesTest, AnswerInTheDtypeOfTheirArithmetic) {
  const auto model = std::make_shared<const Model>(GenerateModel({Spec(), {.seed = 11}}));
  for (const auto& [variant, dtype] :
       {std::pair("", DType::kF64), std::pair("fp64", DType::kF64), std::pair("fp32", DType::kF32),
        std::pair("fp32-chunked-reversed", DType::kF32)}) {
    const auto engine = OpenReferenceEngine("exact", variant);
    ASSERT_TRUE(engine.ok()) << engine.status();
    const Reply reply =
        (*engine)->Call(LogitsRequest(*(*engine)->LoadModel(model), "prompt", kIds));
    ASSERT_TRUE(reply.ok());
    EXPECT_EQ(reply.message.Find("logits.0")->dtype, dtype) << variant;
  }
}

}  // namespace
}  // namespace crosscheck
