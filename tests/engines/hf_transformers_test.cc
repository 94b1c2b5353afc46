// Transformers itself behind the protocol, against libtorch and the exact model: what the
// references were written after. Runs where CROSSCHECK_PYTHON names a Python that has it
// (ci/test-hf).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <tuple>

#include "engines/golden_engine.h"
#include "engines/host_client.h"
#include "engines/registry.h"
#include "reference/golden_implementations.h"

namespace crosscheck {
namespace {

constexpr char kCheckpoint[] = "seeds/checkpoints/tiny-qwen35";
constexpr char kAdapter[] = "seeds/checkpoints/tiny-qwen35-lora";

// Why the tests cannot run; "" when they can.
std::string WhyMissing() {
  for (const EngineInfo& engine : ListEngines()) {
    if (engine.name == "hf") return engine.hint;
  }
  return "no engine hf";
}

// Prompts of the checkpoint, one of each kind.
std::vector<std::vector<int>> Prompts() {
  std::ifstream file(std::string(kCheckpoint) + "/prompts.jsonl");
  std::map<std::string, std::vector<int>> of_kind;
  for (std::string line; std::getline(file, line);) {
    const Json prompt = Json::parse(line);
    of_kind[prompt["kind"]] = prompt["ids"].get<std::vector<int>>();
  }
  std::vector<std::vector<int>> prompts;
  for (const auto& [kind, ids] : of_kind) prompts.push_back(ids);
  return prompts;
}

// One engine with the checkpoint loaded.
class Loaded {
 public:
  Loaded(const std::string& name, const std::string& adapter) {
    if (CommandLineOf(name).has_value()) {
      auto client = HostClient::Start(
          {.engine = name, .hello_deadline_seconds = 300, .deadline_seconds = 300});
      EXPECT_TRUE(client.ok()) << client.status();
      if (client.ok()) engine_ = *std::move(client);
    } else {
      auto opened = OpenInProcess(name);
      EXPECT_TRUE(opened.ok()) << opened.status();
      if (opened.ok()) engine_ = *std::move(opened);
    }
    Json options = Json::object();
    if (!adapter.empty()) options["adapter"] = adapter;
    const Json head = Call({{"op", "load"}, {"path", kCheckpoint}, {"options", options}}).head;
    model_ = head.value("model", Json());
  }

  bool works() const { return !model_.is_null(); }

  Message Call(Json head) {
    head["id"] = ++id_;
    if (!model_.is_null()) head["model"] = model_;
    if (engine_ == nullptr) return {};
    Reply reply = engine_->Call({.head = std::move(head), .tensors = {}});
    EXPECT_TRUE(reply.ok()) << reply.failure->message << "\n" << reply.failure->stderr_tail;
    return reply.ok() ? std::move(reply.message) : Message();
  }

  std::vector<double> Logits(const std::vector<int>& ids, const std::string& path, int chunk) {
    Json sequence = {{"ids", ids}};
    if (chunk > 0) sequence["chunks"] = {chunk};
    const Message answer = Call({{"op", "logits"},
                                 {"path", path},
                                 {"batched", false},
                                 {"sequences", Json::array({sequence})}});
    const Tensor* logits = answer.Find("logits.0");
    return logits == nullptr ? std::vector<double>() : *logits->ToDoubles();
  }

 private:
  std::unique_ptr<Engine> engine_;
  Json model_;
  int id_ = 0;
};

double Largest(const std::vector<double>& a, const std::vector<double>& b) {
  double largest = a.size() == b.size() && !a.empty() ? 0 : INFINITY;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    largest = std::max(largest, std::abs(a[i] - b[i]));
  }
  return largest;
}

struct Pair {
  const char *transformers, *reference;
  double tolerance;  // of a logit, absolute
  const char* adapter;
};

class HfTransformersTest : public testing::TestWithParam<Pair> {
 protected:
  void SetUp() override {
    if (const std::string why = WhyMissing(); !why.empty()) GTEST_SKIP() << why;
  }
};
// Float64 through and through agrees to rounding; float32 to what two orders of summation differ
// by.
INSTANTIATE_TEST_SUITE_P(Pairs, HfTransformersTest,
                         testing::Values(Pair{"hf:f64", "exact", 1e-10, ""},
                                         Pair{"hf:f64", "torch:fp64", 1e-10, ""},
                                         Pair{"hf", "torch", 1e-4, ""},
                                         Pair{"hf:f64", "exact", 1e-10, kAdapter},
                                         Pair{"hf", "torch", 1e-4, kAdapter}));

TEST_P(HfTransformersTest, LogitsOfEveryPathAgreeWithTheReference) {
  const Pair& pair = GetParam();
  Loaded transformers(pair.transformers, pair.adapter), reference(pair.reference, pair.adapter);
  double largest = 0;
  for (const std::vector<int>& ids : Prompts()) {
    const int half = static_cast<int>(ids.size()) / 2;
    ASSERT_TRUE(transformers.works() && reference.works());
    for (const auto& [path, chunk] : {std::pair("readout", 0), {"session", 1}, {"session", half}}) {
      const double error =
          Largest(transformers.Logits(ids, path, chunk), reference.Logits(ids, path, chunk));
      EXPECT_LE(error, pair.tolerance) << path << " " << chunk;
      largest = std::max(largest, error);
    }
  }
  std::cout << pair.transformers << " and " << pair.reference
            << (*pair.adapter == '\0' ? "" : " with adapter") << ": largest difference of a logit "
            << largest << "\n";
}

class HfGoldenTest : public testing::TestWithParam<std::tuple<const char*, const char*>> {
 protected:
  void SetUp() override {
    if (const std::string why = WhyMissing(); !why.empty()) GTEST_SKIP() << why;
  }
};
INSTANTIATE_TEST_SUITE_P(Goldens, HfGoldenTest,
                         testing::Combine(testing::Values("qwen35-base", "llama-gqa",
                                                          "qwen35moe-top2"),
                                          testing::Values("hf", "hf:f64")));

TEST_P(HfGoldenTest, TheAdapterGivesWhatIsRecorded) {
  const auto& [golden, engine] = GetParam();
  const auto result = CheckGolden(
      std::string("tests/golden/") + golden,
      {ExactGoldenImplementation(ExactVariant::kFp64), EngineGoldenImplementation(engine)});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->failures, testing::IsEmpty());
  const auto judged = std::find_if(result->implementations.begin(), result->implementations.end(),
                                   [&, name = std::string(engine)](const auto& implementation) {
                                     return implementation.name == name;
                                   });
  ASSERT_NE(judged, result->implementations.end());
  for (const auto& [kind, error] : judged->worst) {
    std::cout << golden << ", " << engine << ", " << kind << ": largest error " << error.absolute
              << "\n";
  }
}

}  // namespace
}  // namespace crosscheck
