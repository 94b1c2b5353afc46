// The contract of sampler/1 and of sampling through generate/1 (docs/engine_protocol.md), applied
// to every engine that serves them.
#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "engines/registry.h"
#include "reference/sampling_law.h"
#include "tests/engines/engine_requests.h"

namespace crosscheck {
namespace {

using contract::ExpectAnswers;
using contract::ExpectFails;
using contract::Request;

Message Draw(const std::string& op, const std::vector<float>& logits, const Json& changes = {}) {
  Json parameters = SamplingJson(SamplingParameters());
  if (!changes.is_null()) parameters.update(changes);
  Message request = Request(op, {{"parameters", parameters}, {"history", Json::array()}});
  request.tensors.push_back(
      MakeTensor("logits", {static_cast<int64_t>(logits.size())}, absl::MakeConstSpan(logits)));
  return request;
}

Message Seeds(const std::vector<float>& logits, const Json& changes = {}) {
  Message request = Draw("draw", logits, changes);
  request.head["seeds"] = {1ull, 99ull, ~0ull, 1ull};
  return request;
}

Message StreamOf(const std::vector<float>& logits, int draws, const Json& changes = {}) {
  Message request = Draw("draw", logits, changes);
  request.head["seed"] = 7u;
  request.head["draws"] = draws;
  return request;
}

Message Invert(const std::vector<float>& logits, const std::vector<float>& uniforms,
               const Json& changes = {}) {
  Message request = Draw("invert", logits, changes);
  request.tensors.push_back(MakeTensor("uniforms", {static_cast<int64_t>(uniforms.size())},
                                       absl::MakeConstSpan(uniforms)));
  return request;
}

class SamplerContractTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    for (const EngineInfo& info : ListEngines()) {
      if (info.name == GetParam() && !info.available) GTEST_SKIP() << info.hint;
    }
    auto opened = OpenInProcess(GetParam());
    ASSERT_TRUE(opened.ok()) << opened.status();
    engine_ = *std::move(opened);
  }

  std::vector<int> Tokens(const Message& request) {
    const Reply reply = ExpectAnswers(*engine_, request);
    if (!reply.ok()) return {};
    EXPECT_NE(FindSamplingOrder(reply.message.head["order"].get<std::string>()), nullptr);
    const auto tokens = reply.message.head["tokens"].get<std::vector<int>>();
    EXPECT_EQ(reply.message.head["counters"]["drawn"], tokens.size());
    return tokens;
  }

  std::unique_ptr<Engine> engine_;
};

const std::vector<float> kLogits = {1, 3, 2, 2.5, -std::numeric_limits<float>::infinity()};

TEST_P(SamplerContractTest, EqualSeedsDrawEqualTokens) {
  const std::vector<int> tokens = Tokens(Seeds(kLogits));
  ASSERT_EQ(tokens.size(), 4u);
  EXPECT_EQ(tokens[0], tokens[3]);
  EXPECT_EQ(tokens, Tokens(Seeds(kLogits)));
  EXPECT_EQ(Tokens(StreamOf(kLogits, 50)), Tokens(StreamOf(kLogits, 50)));
}

TEST_P(SamplerContractTest, AStreamMovesOn) {
  const std::vector<int> tokens = Tokens(StreamOf(kLogits, 200));
  ASSERT_EQ(tokens.size(), 200u);
  for (int token = 0; token < 4; ++token) {
    EXPECT_GT(std::count(tokens.begin(), tokens.end(), token), 0) << token;
  }
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), 4), 0);
  EXPECT_TRUE(Tokens(StreamOf(kLogits, 0)).empty());
}

TEST_P(SamplerContractTest, DegenerateParametersAreGreedy) {
  for (const Json& changes : {Json{{"temperature", 0}}, Json{{"top_k", 1}}, Json{{"top_p", 0}},
                              Json{{"min_p", 1}}, Json{{"temperature", 1e-36f}}}) {
    EXPECT_EQ(Tokens(Seeds(kLogits, changes)), (std::vector<int>{1, 1, 1, 1})) << changes.dump();
    EXPECT_EQ(Tokens(Invert(kLogits, {0, 0.75f}, changes)), (std::vector<int>{1, 1}))
        << changes.dump();
  }
}

TEST_P(SamplerContractTest, UniformsRunOverDecreasingProbability) {
  // exp of 3, 2.5, 2, 1: shares 0.467, 0.283, 0.172, 0.063 (rounded), cumulative 0.474, 0.761,
  // 0.936.
  EXPECT_EQ(Tokens(Invert(kLogits, {0, 0.3f, 0.6f, 0.85f, 0.99f})),
            (std::vector<int>{1, 1, 3, 2, 0}));
  EXPECT_TRUE(Tokens(Invert(kLogits, {})).empty());
}

TEST_P(SamplerContractTest, HistoryIsPenalisedOnceForEachId) {
  Message request = Seeds({2, 3, -1}, {{"temperature", 0}, {"repetition_penalty", 1.4f}});
  request.head["history"] = {1, 1};
  EXPECT_EQ(Tokens(request)[0], 1);  // 3 / 1.4 is still above 2
  request.head["parameters"]["repetition_penalty"] = 2;
  EXPECT_EQ(Tokens(request)[0], 0);
}

TEST_P(SamplerContractTest, MalformedRequestsAreBad) {
  const std::pair<const char*, Json> wrong[] = {{"/parameters", 3},
                                                {"/parameters/top_k", "2"},
                                                {"/parameters/temperature", nullptr},
                                                {"/history", 5},
                                                {"/seeds", 5},
                                                {"/seeds", Json::array({-1})},
                                                {"/seeds", Json::array({"1"})}};
  for (const auto& [pointer, value] : wrong) {
    Message request = Seeds(kLogits);
    request.head[Json::json_pointer(pointer)] = value;
    ExpectFails(*engine_, request, FailureKind::kBadRequest);
  }
  for (const char* field : {"parameters", "history", "seeds"}) {
    Message request = Seeds(kLogits);
    request.head.erase(field);
    ExpectFails(*engine_, request, FailureKind::kBadRequest);
  }
  Message no_logits = Seeds(kLogits);
  no_logits.tensors.clear();
  ExpectFails(*engine_, no_logits, FailureKind::kBadRequest);
  ExpectFails(*engine_, Draw("invert", kLogits), FailureKind::kBadRequest);
  ExpectFails(*engine_, StreamOf(kLogits, 1 << 21), FailureKind::kBadRequest);
  EXPECT_EQ(Tokens(Seeds(kLogits)).size(), 4u);
}

TEST_P(SamplerContractTest, WhatCannotBeHonouredIsUnsupported) {
  for (const char* penalty : {"frequency_penalty", "presence_penalty"}) {
    ExpectFails(*engine_, Seeds(kLogits, {{penalty, 0.5}}), FailureKind::kUnsupported);
  }
}

TEST_P(SamplerContractTest, BiasIsServedOrUnsupportedAsHelloSays) {
  const Reply hello =
      ExpectAnswers(*engine_, Request("hello", {{"protocol", {1}}, {"client", "contract test"}}));
  ASSERT_TRUE(hello.ok());
  Message request = Seeds(kLogits, {{"temperature", 0}});
  const std::vector<float> bias = {10, 0, 0, 0, 0};
  request.tensors.push_back(MakeTensor("bias", {5}, absl::MakeConstSpan(bias)));
  if (hello.message.head["limits"].value("logit_bias", false)) {
    EXPECT_EQ(Tokens(request)[0], 0);
  } else {
    ExpectFails(*engine_, request, FailureKind::kUnsupported);
  }
}

// Sampling through `generate`.
TEST_P(SamplerContractTest, GenerationHonoursItsParameters) {
  const contract::Checkpoints checkpoints;
  const std::string model = contract::Load(*engine_, checkpoints, 0);
  const auto generate = [&](uint64_t seed, const Json& changes) {
    Message request = contract::GenerateRequest(model, {1, 2, 3}, 6);
    request.head["sampling"].update(changes);
    request.head["sampling"]["seed"] = seed;
    const Reply reply = ExpectAnswers(*engine_, request, checkpoints.spec(0).vocab);
    return reply.ok() ? reply.message.head["ids"] : Json();
  };
  const Json greedy = generate(1, Json::object());
  EXPECT_EQ(generate(~0ull, {{"temperature", 0.9f}, {"top_k", 1}}), greedy);
  EXPECT_EQ(generate(3, {{"temperature", 5}, {"top_p", 0}}), greedy);
  const Json sampled = generate(~0ull / 3, {{"temperature", 2}});
  EXPECT_EQ(generate(~0ull / 3, {{"temperature", 2}}), sampled);
  bool differs = false;
  for (uint64_t seed = 1; seed < 20 && !differs; ++seed) {
    differs = generate(seed * 0x9e3779b97f4a7c15ull, {{"temperature", 2}}) != sampled;
  }
  EXPECT_TRUE(differs);
}

INSTANTIATE_TEST_SUITE_P(Every, SamplerContractTest,
                         testing::Values("exact", "torch", "faulty:none", "lattice"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), ':', '_');
                           return name;
                         });

}  // namespace
}  // namespace crosscheck
