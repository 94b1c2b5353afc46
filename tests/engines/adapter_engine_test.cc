// The golden adapter through engines: the folder that PEFT wrote, applied as PEFT applied it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "engines/registry.h"
#include "engines/scratch_folder.h"
#include "reference/safetensors.h"

namespace crosscheck {
namespace {

constexpr char kGolden[] = "tests/golden/qwen35-lora";

class AdapterEngineTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::vector<EngineInfo> engines = ListEngines();
    const auto info = std::find_if(engines.begin(), engines.end(),
                                   [](const EngineInfo& e) { return e.name == GetParam(); });
    ASSERT_NE(info, engines.end());
    if (!info->available) GTEST_SKIP() << info->hint;
    auto scratch = ScratchFolder::Create();
    ASSERT_TRUE(scratch.ok()) << scratch.status();
    scratch_ = *std::move(scratch);
    std::filesystem::copy(kGolden, Folder());
    for (const auto& file : std::filesystem::directory_iterator(Folder())) {
      std::filesystem::permissions(file.path(), std::filesystem::perms(0644));
    }
    auto opened = OpenInProcess(GetParam());
    ASSERT_TRUE(opened.ok()) << opened.status();
    engine_ = *std::move(opened);
    const auto tensors = DecodeSafetensors(*ReadFile(Folder() + "/expected.safetensors"));
    ASSERT_TRUE(tensors.ok());
    expected_ = *tensors;
  }

  std::string Folder() const { return scratch_->path() + "/golden"; }
  const Tensor& Expected(const std::string& name) const {
    return *std::find_if(expected_.begin(), expected_.end(),
                         [&](const Tensor& tensor) { return tensor.name == name; });
  }
  Reply Call(Json head) {
    head["id"] = ++id_;
    Message request;
    request.head = std::move(head);
    return engine_->Call(request);
  }
  // Largest error of the logits of a prompt against the recorded float64 ones of this name.
  double Error(const std::string& model, const std::string& prompt, const std::string& recorded,
               bool adapter) {
    const auto wide = Expected(prompt + ".input_ids").As<int64_t>();
    const std::vector<int64_t> ids(wide.begin(), wide.end());
    const Reply reply = Call({{"op", "logits"},
                              {"model", model},
                              {"path", "readout"},
                              {"batched", false},
                              {"adapter", adapter},
                              {"sequences", {{{"ids", ids}}}}});
    EXPECT_TRUE(reply.ok()) << reply.failure->message;
    EXPECT_EQ(reply.message.head["counters"].value("adapter", 0) > 0, adapter);
    const auto logits = *reply.message.Find("logits.0")->ToDoubles();
    return Largest(logits, *Expected(prompt + recorded).ToDoubles());
  }
  static double Largest(const std::vector<double>& a, const std::vector<double>& b) {
    double largest = a.size() == b.size() ? 0 : INFINITY;
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
      largest = std::max(largest, std::abs(a[i] - b[i]));
    }
    return largest;
  }

  std::unique_ptr<ScratchFolder> scratch_;
  std::unique_ptr<Engine> engine_;
  std::vector<Tensor> expected_;
  int id_ = 0;
};

TEST_P(AdapterEngineTest, GivesWhatIsRecordedWithAndWithoutTheAdapter) {
  const Reply loaded =
      Call({{"op", "load"}, {"path", Folder()}, {"options", {{"adapter", Folder()}}}});
  ASSERT_TRUE(loaded.ok()) << loaded.failure->message;
  const std::string model = loaded.message.head["model"];
  double recorded = 0;
  for (const char* prompt : {"p0", "p1", "p2"}) {
    recorded = std::max(recorded,
                        Largest(*Expected(std::string(prompt) + ".lora_logits_f32").ToDoubles(),
                                *Expected(std::string(prompt) + ".lora_logits_f64").ToDoubles()));
  }
  // The rule of goldens in float32: four times the largest error of the recorded float32 run.
  for (const char* prompt : {"p0", "p1", "p2"}) {
    EXPECT_LE(Error(model, prompt, ".lora_logits_f64", true), 4 * recorded) << prompt;
    EXPECT_LE(Error(model, prompt, ".logits_f64", false), 4 * recorded) << prompt;
    EXPECT_LE(Error(model, prompt, ".lora_logits_f64", true), 4 * recorded) << prompt << " again";
    EXPECT_GT(Largest(*Expected(std::string(prompt) + ".logits_f64").ToDoubles(),
                      *Expected(std::string(prompt) + ".lora_logits_f64").ToDoubles()),
              1);
  }
}

TEST_P(AdapterEngineTest, RefusesAFolderWithoutAnAdapter) {
  const Reply reply =
      Call({{"op", "load"}, {"path", Folder()}, {"options", {{"adapter", scratch_->path()}}}});
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.failure->kind, FailureKind::kRefused) << reply.failure->message;
}

INSTANTIATE_TEST_SUITE_P(Engines, AdapterEngineTest, testing::Values("exact", "torch", "lattice"));

}  // namespace
}  // namespace crosscheck
