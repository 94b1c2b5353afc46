// Every property as a test through RapidCheck: it holds on the engines that it names as benign and
// catches every engine that it names in `kills`. A property appears here because it is in the list;
// nothing is typed.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "fuzz/executor.h"
#include "fuzz/run_case.h"
#include "properties/arbitrary.h"
#include "properties/property.h"

namespace crosscheck {
namespace {

constexpr uint64_t kSeed = 1;
constexpr int kBenignCases = 60;
constexpr int kMostCasesToCatch = 1500;

class PropertyTest : public testing::Test {
 public:
  PropertyTest(const Property& property, std::string engine, bool kills)
      : property_(property), engine_(std::move(engine)), kills_(kills) {}

  void TestBody() override {
    auto executor = Executor::Create({.engine = engine_, .deadline_seconds = 2});
    ASSERT_TRUE(executor.ok()) << executor.status();
    kills_ ? ExpectCaught(**executor) : ExpectHolds(**executor);
  }

 private:
  void ExpectHolds(Executor& executor) const {
    int judged = 0;
    EXPECT_TRUE(CheckCases(std::string(property_.name), kSeed, kBenignCases, [&] {
      const Case c = *ArbitraryCase(*property_.subject, executor.limits());
      const Verdict verdict = RunCase(property_, c, executor);
      judged += verdict.kind == VerdictKind::kPass ? 1 : 0;
      RC_ASSERT(verdict.kind != VerdictKind::kSetupError);
      RC_ASSERT(!verdict.IsFinding());
    }));
    EXPECT_GT(judged, kBenignCases / 2);
  }

  void ExpectCaught(Executor& executor) const {
    for (int i = 0; i < kMostCasesToCatch; ++i) {
      Stream stream(kSeed + static_cast<uint64_t>(i), "properties_test");
      const Case c = property_.subject->random(stream, executor.limits());
      if (RunCase(property_, c, executor).IsFinding()) return;
    }
    ADD_FAILURE() << property_.name << " does not catch " << engine_ << " in " << kMostCasesToCatch
                  << " cases";
  }

  const Property& property_;
  const std::string engine_;
  const bool kills_;
};

void Register(const Property& property, const std::string& engine, bool kills) {
  const std::string name = std::string(property.name) + (kills ? "/catches/" : "/passes/") + engine;
  testing::RegisterTest("PropertyTest", name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
                        [&property, engine, kills]() -> PropertyTest* {
                          return new PropertyTest(property, engine, kills);
                        });
}

const bool registered = [] {
  for (const Property* property : Properties()) {
    for (std::string_view engine : property->kills) Register(*property, std::string(engine), true);
    for (std::string_view engine : property->benign)
      Register(*property, std::string(engine), false);
    // A property in which no engine takes part still runs.
    if (property->benign.empty()) Register(*property, "exact", false);
  }
  return true;
}();

}  // namespace
}  // namespace crosscheck
