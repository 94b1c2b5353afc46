// Every committed golden against every reference, and proof that the check notices what it should.
#include "reference/golden.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "nlohmann/json.hpp"
#include "reference/golden_implementations.h"
#include "reference/golden_recording.h"
#include "reference/safetensors.h"
#include "tests/own_folder.h"

namespace crosscheck {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr char kFolder[] = "tests/golden/";

std::vector<std::string> GoldenNames() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class GoldenTest : public testing::TestWithParam<std::string> {};

// With CROSSCHECK_GOLDEN_FIGURES set: golden, implementation, kind, absolute, relative, share of
// the tolerance.
void PrintFigures(const GoldenResult& result) {
  if (std::getenv("CROSSCHECK_GOLDEN_FIGURES") == nullptr) return;
  for (const GoldenImplementationResult& implementation : result.implementations) {
    for (const auto& [kind, error] : implementation.worst) {
      std::printf("%s\t%s\t%s\t%.2e\t%.2e\t%.3f\n", result.name.c_str(),
                  implementation.name.c_str(), kind.c_str(), error.absolute, error.relative,
                  error.of_tolerance);
    }
  }
}

TEST_P(GoldenTest, ReferencesReproduceWhatIsRecorded) {
  const auto result = CheckGolden(kFolder + GetParam(), GoldenImplementations());
  ASSERT_TRUE(result.ok()) << result.status();
  PrintFigures(*result);
  EXPECT_THAT(result->failures, IsEmpty());
  bool ours = false;
  for (const char* family : {"qwen35-", "qwen35moe-", "llama-"}) {
    ours = ours || GetParam().starts_with(family);
  }
  EXPECT_EQ(result->judged(), ours);
  if (!ours) {
    ASSERT_EQ(result->skipped.size(), 1);
    EXPECT_THAT(result->skipped[0].reason, HasSubstr("is not supported"));
  }
}

// Step-wise on qwen35-long the reversed order misses 4 x 1.76e-5 by 0.7 % at position 61. All
// implementations have their worst error at that position, both in fp64 (7e-14, median 7e-15) and
// in fp32: the recorded prefill 4.8e-5, torch 4.3e-5, while the recorded step-wise run came out
// at 1.5e-5 there. Its median error, 3.35e-6, is that of the others.
bool IsIllConditionedPosition(const std::string& golden, const std::string& failure) {
  return golden == "qwen35-long" &&
         failure.starts_with("exact-fp32-chunked-reversed: p1.logits_f64: error 7.") &&
         failure.ends_with("exceeds 7.03e-05 (decode_logits)");
}

TEST_P(GoldenTest, OtherOrdersOfSummationReproduceWhatIsRecorded) {
  const auto result = CheckGolden(kFolder + GetParam(), PerturbedGoldenImplementations());
  ASSERT_TRUE(result.ok()) << result.status();
  PrintFigures(*result);
  for (const std::string& failure : result->failures) {
    EXPECT_TRUE(IsIllConditionedPosition(GetParam(), failure)) << failure;
  }
}

INSTANTIATE_TEST_SUITE_P(All, GoldenTest, testing::ValuesIn(GoldenNames()), [](const auto& param) {
  std::string name = param.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

// What a planted error changes in the answers of the exact model.
struct Plant {
  std::string_view state = "";  // name of the state whose first element moves
  std::string_view stage = "";  // "layer.stage" whose first element moves
  int logit_call = 0;           // 1-based Extend call of a session whose first logit moves; 0: none
  double amount = 0;
};

class PlantedSink : public TapSink {
 public:
  PlantedSink(TapSink* inner, const Plant& plant) : inner_(inner), plant_(plant) {}
  bool Wants(int layer, std::string_view stage) const override {
    return inner_->Wants(layer, stage);
  }
  void Tap(int layer, std::string_view stage, std::vector<int64_t> shape,
           std::vector<double> values) override {
    if (std::string(plant_.stage) == std::to_string(layer) + "." + std::string(stage)) {
      values[0] += plant_.amount;
    }
    inner_->Tap(layer, stage, std::move(shape), std::move(values));
  }

 private:
  TapSink* inner_;
  const Plant& plant_;
};

class PlantedSession : public ReferenceSession {
 public:
  PlantedSession(std::unique_ptr<ReferenceSession> inner, const Plant& plant)
      : inner_(std::move(inner)), plant_(plant) {}
  absl::StatusOr<Logits> Extend(const ExtendRequest& request) override {
    PlantedSink sink(request.taps, plant_);
    ExtendRequest planted = request;
    if (request.taps != nullptr) planted.taps = &sink;
    absl::StatusOr<Logits> logits = inner_->Extend(planted);
    if (logits.ok() && ++calls_ == plant_.logit_call) logits->values.back() += plant_.amount;
    return logits;
  }
  int length() const override { return inner_->length(); }
  std::vector<Tensor> States() const override {
    std::vector<Tensor> states = inner_->States();
    for (Tensor& state : states) {
      if (state.name != plant_.state) continue;
      std::vector<double> values = *state.ToDoubles();
      values[0] += plant_.amount;
      state = MakeTensor(state.name, state.shape, absl::MakeConstSpan(values));
    }
    return states;
  }

 private:
  std::unique_ptr<ReferenceSession> inner_;
  const Plant& plant_;
  int calls_ = 0;
};

class PlantedModel : public ReferenceModel {
 public:
  PlantedModel(std::unique_ptr<ReferenceModel> inner, Plant plant)
      : inner_(std::move(inner)), plant_(std::move(plant)) {}
  const ModelSpec& spec() const override { return inner_->spec(); }
  std::unique_ptr<ReferenceSession> NewSession() const override {
    return std::make_unique<PlantedSession>(inner_->NewSession(), plant_);
  }

 private:
  std::unique_ptr<ReferenceModel> inner_;
  Plant plant_;
};

std::vector<std::string> FailuresWith(const Plant& plant,
                                      ExactVariant variant = ExactVariant::kFp64) {
  const GoldenImplementation planted = {
      "planted", variant == ExactVariant::kFp64 ? GoldenPrecision::kFp64 : GoldenPrecision::kFp32,
      [&](std::shared_ptr<const Model> model) -> absl::StatusOr<std::unique_ptr<ReferenceModel>> {
        auto exact = MakeExactModel(std::move(model), variant);
        if (!exact.ok()) return exact.status();
        return std::make_unique<PlantedModel>(*std::move(exact), plant);
      }};
  const auto result = CheckGolden("tests/golden/qwen35-base", {&planted, 1});
  return result.ok() ? result->failures : std::vector<std::string>{result.status().ToString()};
}

TEST(GoldenCheckTest, NothingPlantedIsNoFailure) { EXPECT_THAT(FailuresWith({}), IsEmpty()); }

TEST(GoldenCheckTest, OneMovedLogitFailsPrefillDecodeGreedyOrPadding) {
  const auto first = FailuresWith({.logit_call = 1, .amount = 1e-6});
  EXPECT_THAT(first, Contains(HasSubstr("planted: p3.logits_f64: error 1e-06")));
  EXPECT_THAT(first, Contains(HasSubstr("p3.greedy_logits_f64")));
  EXPECT_THAT(first, Contains(HasSubstr("pad.logits_f64")));
  const auto later = FailuresWith({.logit_call = 9, .amount = 1e-6});
  EXPECT_THAT(later, Contains(HasSubstr("(decode_logits)")));
  EXPECT_THAT(later, Contains(HasSubstr("(greedy_logits)")));
  EXPECT_THAT(later, Not(Contains(HasSubstr("(logits)"))));
}

TEST(GoldenCheckTest, OneMovedStateFails) {
  for (const char* state : {"layer0.recurrent", "layer4.conv", "layer3.key", "layer3.value"}) {
    EXPECT_THAT(FailuresWith({.state = state, .amount = 1e-6}),
                Contains(HasSubstr(std::string("p3.state.") + state)));
  }
}

TEST(GoldenCheckTest, OneMovedStageFails) {
  for (const char* stage :
       {"1.gdn.u", "1.gdn.q_hat", "1.mlp_out", "3.attn.probs", "3.attn.gated"}) {
    EXPECT_THAT(FailuresWith({.stage = stage, .amount = 1e-6}),
                testing::ElementsAre(HasSubstr(std::string("stage.layer") + stage)));
  }
  EXPECT_THAT(FailuresWith({.stage = "2.layer_out", .amount = 1e-6}),
              Contains(HasSubstr("p2.hidden_f64")));
}

TEST(GoldenCheckTest, OtherGreedyTokensFail) {
  EXPECT_THAT(FailuresWith({.logit_call = 3, .amount = 100}),
              Contains(HasSubstr("p0.greedy_ids: other tokens")));
}

TEST(GoldenCheckTest, NaNFails) {
  EXPECT_THAT(FailuresWith({.logit_call = 1, .amount = 0.0 / 0.0}),
              Contains(HasSubstr("error inf")));
}

TEST(GoldenCheckTest, Float32IsJudgedAgainstTheRecordedFloat32Error) {
  constexpr ExactVariant kVariant = ExactVariant::kFp32Recurrent;
  EXPECT_THAT(FailuresWith({.logit_call = 1, .amount = 1e-6}, kVariant), IsEmpty());
  EXPECT_THAT(FailuresWith({.logit_call = 1, .amount = 1e-3}, kVariant),
              Contains(HasSubstr("(logits)")));
  EXPECT_THAT(FailuresWith({.logit_call = 5, .amount = 1e-3}, kVariant),
              Contains(HasSubstr("(decode_logits)")));
}

// A copy of a golden whose expected.safetensors went through `change`.
class ChangedGoldenTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::copy("tests/golden/qwen35-tiny", folder_); }
  template <class Change>
  absl::StatusOr<GoldenResult> CheckAfter(Change change) {
    const std::string path = folder_ + "/expected.safetensors";
    std::vector<Tensor> tensors = *DecodeSafetensors(*ReadFile(path));
    change(&tensors);
    EXPECT_TRUE(WriteFile(path, EncodeSafetensors(tensors)).ok());
    return CheckGolden(folder_, absl::MakeConstSpan(GoldenImplementations()).subspan(0, 1));
  }
  const OwnFolder own_;
  const std::string folder_ = own_.path();
};

TEST_F(ChangedGoldenTest, UnknownTensorsAreFailures) {
  const double value = 1;
  const auto result = CheckAfter([&](std::vector<Tensor>* tensors) {
    tensors->push_back(MakeTensor("p0.surprise_f64", {1}, absl::MakeConstSpan(&value, 1)));
  });
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->failures,
              testing::ElementsAre("p0.surprise_f64: neither compared nor skipped"));
}

TEST_F(ChangedGoldenTest, SkippedTensorsAreListedWithTheReason) {
  const float value = 1;
  const auto result = CheckAfter([&](std::vector<Tensor>* tensors) {
    tensors->push_back(MakeTensor("p0.logits_bf16", {1}, absl::MakeConstSpan(&value, 1)));
  });
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->failures, IsEmpty());
  ASSERT_EQ(result->skipped.size(), 1);
  EXPECT_EQ(result->skipped[0].tensor, "p0.logits_bf16");
  EXPECT_THAT(result->skipped[0].reason, HasSubstr("bfloat16"));
  const GoldenResult results[] = {*result};
  const nlohmann::json json = GoldenResultsToJson(results)["goldens"][0];
  EXPECT_EQ(json["judged"], true);
  EXPECT_EQ(json["implementations"][0]["name"], "exact-fp64");
  EXPECT_LT(json["implementations"][0]["worst"]["logits"]["relative"], 1e-10);
  EXPECT_EQ(json["skipped"][0]["tensor"], "p0.logits_bf16");
}

TEST_F(ChangedGoldenTest, BrokenFilesAreErrorsThatNameThem) {
  const auto wrong_ids = CheckAfter([](std::vector<Tensor>* tensors) {
    for (Tensor& tensor : *tensors) {
      if (tensor.name == "p0.input_ids") tensor.bytes.assign(tensor.bytes.size(), '\x7F');
    }
  });
  EXPECT_THAT(std::string(wrong_ids.status().message()), HasSubstr("p0.input_ids holds"));
  std::filesystem::remove(folder_ + "/expected.safetensors");
  const auto missing = CheckGolden(folder_, GoldenImplementations());
  EXPECT_THAT(std::string(missing.status().message()), HasSubstr("expected.safetensors: No such"));
}

TEST(GoldenKindTest, DropsPromptLayerAndPrecision) {
  EXPECT_EQ(GoldenKind("p12.state.layer30.recurrent.f64"), "state.recurrent");
  EXPECT_EQ(GoldenKind("p0.decode_logits_f32"), "decode_logits");
  EXPECT_EQ(GoldenKind("pad.logits_f64"), "pad.logits");
  EXPECT_EQ(GoldenKind("stage.layer1.gdn.q_hat.f32"), "stage.gdn.q_hat");
}

}  // namespace
}  // namespace crosscheck
