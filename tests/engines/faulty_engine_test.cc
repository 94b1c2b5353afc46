// Each fault shows at its known minimum and not one step below it; over the exact model, so that
// libtorch is not needed.
#include "engines/faulty_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "engines/registry.h"
#include "reference/checkpoint.h"
#include "tests/engines/engine_requests.h"

namespace crosscheck {
namespace {

using contract::LogitsRequest;
using contract::Request;
using contract::SameAnswer;

// The smallest model of one layer that a fault may need.
ModelSpec SmallSpec(LayerKind kind = LayerKind::kFullAttention) {
  ModelSpec spec;
  spec.layers = {kind};
  spec.vocab = 12;
  spec.hidden = 8;
  spec.intermediate = 8;
  spec.head_dim = spec.rotary_dim = 4;
  spec.linear_key_dim = spec.linear_value_dim = 4;
  spec.max_positions = 32;
  return spec;
}

// A faulty engine beside a clean one, with the same model loaded.
class Pair {
 public:
  Pair(const std::string& fault, const ModelSpec& spec) {
    auto folder = ScratchFolder::Create();
    EXPECT_TRUE(folder.ok()) << folder.status();
    folder_ = *std::move(folder);
    EXPECT_EQ(WriteCheckpoint(GenerateModel({spec, {.seed = 3}}), folder_->path() + "/model"),
              absl::OkStatus());
    clean_ = *OpenInProcess("exact");
    auto faulty = MakeFaultyEngine(fault, *OpenInProcess("exact"));
    EXPECT_TRUE(faulty.ok()) << faulty.status();
    faulty_ = *std::move(faulty);
    const Message load = Request("load", {{"path", folder_->path() + "/model"}});
    for (Engine* engine : {clean_.get(), faulty_.get()}) EXPECT_TRUE(engine->Call(load).ok());
  }

  Reply Faulty(const Message& request) { return faulty_->Call(request); }
  bool Shows(const Message& request) { return !SameAnswer(clean_->Call(request), Faulty(request)); }
  bool Shows(const std::string& path, const std::vector<int>& ids) {
    return Shows(LogitsRequest("m1", path, ids));
  }

 private:
  std::unique_ptr<ScratchFolder> folder_;
  std::unique_ptr<Engine> clean_;
  std::unique_ptr<Engine> faulty_;
};

double LargestDifference(const Reply& a, const Reply& b) {
  const auto x = a.message.Find("logits.0")->As<double>();
  const auto y = b.message.Find("logits.0")->As<double>();
  double largest = 0;
  for (size_t i = 0; i < x.size(); ++i) largest = std::max(largest, std::abs(x[i] - y[i]));
  return largest;
}

TEST(FaultyEngineTest, NoneChangesNothing) {
  Pair pair("none", SmallSpec());
  for (const char* path : {"prompt", "readout", "session"}) {
    EXPECT_FALSE(pair.Shows(path, {3, 3, 10, 1, 2, 11}));
  }
}

TEST(FaultyEngineTest, RopePairingNeedsTwoTokensFullAttentionAndFourRotaryDimensions) {
  Pair pair("rope_pairing", SmallSpec());
  EXPECT_TRUE(pair.Shows("readout", {1, 2}));
  EXPECT_FALSE(pair.Shows("readout", {1}));
  EXPECT_FALSE(
      Pair("rope_pairing", SmallSpec(LayerKind::kLinearAttention)).Shows("readout", {1, 2, 4}));
  ModelSpec narrow = SmallSpec();
  narrow.rotary_dim = 2;
  EXPECT_FALSE(Pair("rope_pairing", narrow).Shows("readout", {1, 2, 4}));
}

// Position 0 is rotated by nothing, so a permutation that is not the same for q, k and their norms
// would show there.
TEST(FaultyEngineTest, RopePairingKeepsTheFirstPositionWithinRounding) {
  ModelSpec spec = SmallSpec();
  spec.heads = 4;
  spec.kv_heads = 2;
  spec.head_dim = 10;
  spec.rotary_dim = 6;
  Pair pair("rope_pairing", spec);
  const auto clean = OpenInProcess("exact");
  const Reply faulty = pair.Faulty(LogitsRequest("m1", "readout", {1}));
  Pair none("none", spec);
  EXPECT_LT(LargestDifference(faulty, none.Faulty(LogitsRequest("m1", "readout", {1}))), 1e-12);
  EXPECT_GT(LargestDifference(pair.Faulty(LogitsRequest("m1", "readout", {1, 2, 5})),
                              none.Faulty(LogitsRequest("m1", "readout", {1, 2, 5}))),
            1e-6);
}

TEST(FaultyEngineTest, TokenLogitNeedsTheTokenInThePrefix) {
  Pair pair("token_logit", SmallSpec());
  EXPECT_TRUE(pair.Shows("readout", {3}));
  EXPECT_TRUE(pair.Shows("prompt", {3, 1}));
  EXPECT_FALSE(pair.Shows("readout", {1, 2}));
  const Reply reply = pair.Faulty(LogitsRequest("m1", "readout", {1, 3}));
  Pair none("none", SmallSpec());
  const Reply clean = none.Faulty(LogitsRequest("m1", "readout", {1, 3}));
  EXPECT_EQ(reply.message.Find("logits.0")->bytes.substr(0, 12 * 8),
            clean.message.Find("logits.0")->bytes.substr(0, 12 * 8));
}

TEST(FaultyEngineTest, FutureLeakNeedsTwoAnsweredPositions) {
  Pair pair("future_leak", SmallSpec());
  EXPECT_TRUE(pair.Shows("readout", {1, 2}));
  EXPECT_FALSE(pair.Shows("readout", {1}));
  EXPECT_FALSE(pair.Shows("prompt", {1, 2}));
  EXPECT_FALSE(pair.Shows("session", {1, 2}));
}

TEST(FaultyEngineTest, StaleStateNeedsASecondSequenceOnEveryPath) {
  Pair pair("stale_state", SmallSpec());
  for (const char* path : {"prompt", "readout", "session"}) {
    Message request = LogitsRequest("m1", path, {1});
    EXPECT_FALSE(pair.Shows(request)) << path;
    request.head["sequences"].push_back({{"ids", {2, 4}}, {"chunks", {1}}});
    EXPECT_TRUE(pair.Shows(request)) << path;
    const Reply reply = pair.Faulty(request);
    EXPECT_EQ(CheckAnswer(request.head, reply.message, 12), "") << path;
  }
}

TEST(FaultyEngineTest, NanNeedsPositionTwo) {
  Pair pair("nan", SmallSpec());
  EXPECT_TRUE(pair.Shows("readout", {1, 2, 3}));
  EXPECT_TRUE(pair.Shows("prompt", {1, 2, 3}));
  EXPECT_FALSE(pair.Shows("readout", {1, 2}));
  EXPECT_FALSE(pair.Shows("prompt", {1, 2, 3, 4}));
}

TEST(FaultyEngineTest, PanicNeedsTwoLayers) {
  EXPECT_FALSE(Pair("panic", SmallSpec()).Shows("prompt", {1}));
  ModelSpec two = SmallSpec();
  two.layers.push_back(LayerKind::kLinearAttention);
  const Reply reply = Pair("panic", two).Faulty(LogitsRequest("m1", "prompt", {1}));
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.failure->kind, FailureKind::kInternal);
  EXPECT_THAT(reply.failure->message, testing::HasSubstr("panicked at"));
}

TEST(FaultyEngineTest, GarbageTravelsInsteadOfAFrame) {
  Pair pair("garbage", SmallSpec());
  EXPECT_FALSE(pair.Shows("prompt", {1, 2, 3, 4}));
  const std::string answer = EncodeAnswer(pair.Faulty(LogitsRequest("m1", "prompt", {1, 2, 3})), 1);
  EXPECT_FALSE(DecodeFrame(answer).ok());
}

TEST(FaultyEngineTest, FatalFaultsSpareCasesBelowTheirMinimum) {
  EXPECT_FALSE(Pair("crash", SmallSpec()).Shows("prompt", {1, 2, 3, 4}));
  EXPECT_FALSE(Pair("hang", SmallSpec()).Shows("prompt", {1, 2, 1, 2}));
  EXPECT_FALSE(Pair("allocate", SmallSpec()).Shows("prompt", {9, 9, 9}));
}

TEST(FaultyEngineDeathTest, CrashNeedsFiveTokens) {
  Pair pair("crash", SmallSpec());
  EXPECT_EXIT(pair.Faulty(LogitsRequest("m1", "prompt", {1, 2, 3, 4, 5})),
              testing::KilledBySignal(SIGSEGV), "");
}

TEST(FaultyEngineDeathTest, HangNeedsAnIdTwiceInARow) {
  Pair pair("hang", SmallSpec());
  EXPECT_EXIT((alarm(1), pair.Faulty(LogitsRequest("m1", "prompt", {4, 4}))),
              testing::KilledBySignal(SIGALRM), "");
}

TEST(FaultyEngineTest, AFaultOfATensorNeedsThatTensor) {
  EXPECT_TRUE(Pair("scaled_row@layers.0.mlp.up_proj.weight", SmallSpec()).Shows("prompt", {1}));
  EXPECT_FALSE(Pair("scaled_row@layers.1.mlp.up_proj.weight", SmallSpec()).Shows("prompt", {1}));
  // A tensor is named from the beginning of a word.
  EXPECT_FALSE(Pair("scaled_row@roj.weight", SmallSpec()).Shows("prompt", {1}));
  EXPECT_FALSE(MakeFaultyEngine("scaled_row", *OpenInProcess("exact")).ok());
  EXPECT_FALSE(MakeFaultyEngine("sloth@lm_head.weight", *OpenInProcess("exact")).ok());
}

TEST(FaultyEngineTest, AnUnknownFaultListsAll) {
  const auto engine = MakeFaultyEngine("sloth", *OpenInProcess("exact"));
  ASSERT_FALSE(engine.ok());
  for (const std::string_view name : FaultNames()) {
    EXPECT_THAT(std::string(engine.status().message()), testing::HasSubstr(std::string(name)));
  }
}

}  // namespace
}  // namespace crosscheck
