// The contract of engine_contract.h, applied to every engine in this process and in its own.
#include "tests/engines/engine_contract.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <string>

#include "engines/host_client.h"
#include "engines/registry.h"

namespace crosscheck {
namespace {

// A Python that has NumPy; "" when there is none.
const std::string& PythonWithNumpy() {
  static const auto* const python = [] {
    for (const char* name : {"python3", "/usr/bin/python3"}) {
      const std::string probe = std::string(name) + " -c 'import numpy' >/dev/null 2>&1";
      if (std::system(probe.c_str()) == 0) return new std::string(name);
    }
    return new std::string();
  }();
  return *python;
}

constexpr char kAdapter[] = "engines/process/example_adapter.py";

// Absent with a reason on a machine without cargo or NumPy; a name that is known but does not open
// is a failure.
std::string WhyMissing(const std::string& name) {
  if (name == kAdapter && PythonWithNumpy().empty()) {
    return "no Python with NumPy; ci/setup installs python3-numpy";
  }
  for (const EngineInfo& engine : ListEngines()) {
    if (engine.name == name && !engine.available) return engine.hint;
  }
  return "";
}

// Every version of lattice that is built beside the default, and a local checkout.
std::vector<std::string> OtherVersionsOfLattice() {
  std::vector<std::string> names;
  for (const EngineInfo& engine : ListEngines()) {
    if (engine.name != "lattice") continue;
    for (const std::string& version : engine.versions) {
      if (version != engine.version) names.push_back("lattice@" + version);
    }
  }
  return names;
}

class EngineContractTest : public testing::Test {
 public:
  EngineContractTest(std::string engine, bool in_host, Family family,
                     void (*check)(Engine&, const contract::Checkpoints&))
      : engine_(std::move(engine)), in_host_(in_host), family_(family), check_(check) {}

  void TestBody() override {
    if (const std::string hint = WhyMissing(engine_); !hint.empty()) {
      GTEST_SKIP() << engine_ << ": " << hint;
    }
    const std::unique_ptr<Engine> engine = Open();
    auto& checkpoints = checkpoints_[family_];
    if (checkpoints == nullptr) checkpoints = std::make_unique<contract::Checkpoints>(family_);
    if (engine != nullptr) check_(*engine, *checkpoints);
  }

 private:
  std::unique_ptr<Engine> Open() {
    if (in_host_) {
      const std::string engine = engine_ == kAdapter ? PythonWithNumpy() + " " + kAdapter : engine_;
      auto client = HostClient::Start({.engine = engine, .repeat_one_in = 2});
      EXPECT_TRUE(client.ok()) << client.status();
      return client.ok() ? *std::move(client) : nullptr;
    }
    auto engine = OpenInProcess(engine_);
    EXPECT_TRUE(engine.ok()) << engine.status();
    return engine.ok() ? *std::move(engine) : nullptr;
  }

  static std::map<Family, std::unique_ptr<contract::Checkpoints>> checkpoints_;
  const std::string engine_;
  const bool in_host_;
  const Family family_;
  void (*const check_)(Engine&, const contract::Checkpoints&);
};

std::map<Family, std::unique_ptr<contract::Checkpoints>> EngineContractTest::checkpoints_;

void AnswersBrokenFrames(Engine& engine, const contract::Checkpoints&) {
  contract::AnswersBrokenFrames(engine);
}

void Register(const std::string& engine, bool in_host, Family family = Family::kQwen35) {
  const auto add = [&](const char* law, void (*check)(Engine&, const contract::Checkpoints&)) {
    std::string name = std::string(law) + "/" + engine + (in_host ? "/host" : "");
    if (family != Family::kQwen35) {
      name += "/" + std::string(kFamilyNames[static_cast<size_t>(family)]);
    }
    testing::RegisterTest("EngineContractTest", name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
                          [=]() -> EngineContractTest* {
                            return new EngineContractTest(engine, in_host, family, check);
                          });
  };
  for (const contract::Law& law : contract::Laws()) add(law.name, law.check);
  if (!in_host) add("AnswersBrokenFrames", AnswersBrokenFrames);
}

const bool registered = [] {
  for (const char* engine : {"exact", "exact:fp32", "torch", "faulty:none", "lattice"}) {
    Register(engine, false);
  }
  for (const char* engine : {"exact", "lattice", kAdapter}) Register(engine, true);
  for (const Family family : {Family::kLlama, Family::kQwen35Moe}) {
    for (const char* engine : {"exact:fp32", "torch", "lattice"}) Register(engine, false, family);
  }
  for (const std::string& engine : OtherVersionsOfLattice()) {
    for (const Family family : {Family::kQwen35, Family::kQwen35Moe}) {
      Register(engine, false, family);
    }
  }
  return true;
}();

}  // namespace
}  // namespace crosscheck
