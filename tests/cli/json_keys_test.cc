// The keys that other programs rely on: present, of their type, in every machine-readable report.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <sstream>

#include "nlohmann/json.hpp"
#include "tests/cli/command.h"

namespace crosscheck {
namespace {

using nlohmann::json;
using testing::HasSubstr;

struct Key {
  const char* pointer;  // "*" in the place of an index: of each element, at least one
  json::value_t type;
};

bool SameType(const json& value, json::value_t type) {
  if (type == json::value_t::number_float) return value.is_number();
  if (type == json::value_t::number_integer) return value.is_number_integer();
  return value.type() == type;
}

void ExpectKey(const json& value, const std::string& pointer, json::value_t type) {
  const size_t star = pointer.find("/*");
  if (star != std::string::npos) {
    const json& list = value[json::json_pointer(pointer.substr(0, star))];
    ASSERT_TRUE(list.is_array() && !list.empty()) << pointer;
    for (const json& element : list) ExpectKey(element, pointer.substr(star + 2), type);
    return;
  }
  ASSERT_TRUE(value.contains(json::json_pointer(pointer))) << pointer << " in " << value.dump();
  EXPECT_TRUE(SameType(value[json::json_pointer(pointer)], type)) << pointer;
}

void ExpectKeys(const json& report, const std::vector<Key>& keys) {
  for (const Key& key : keys) ExpectKey(report, key.pointer, key.type);
}

constexpr auto kText = json::value_t::string;
constexpr auto kCount = json::value_t::number_integer;
constexpr auto kNumber = json::value_t::number_float;
constexpr auto kFlag = json::value_t::boolean;
constexpr auto kList = json::value_t::array;
constexpr auto kObject = json::value_t::object;

const std::vector<Key>& RunKeys() {
  static const auto* const keys = new std::vector<Key>{
      {"/schema", kCount},
      {"/command", kText},
      {"/engine", kText},
      {"/seed", kCount},
      {"/build", kText},
      {"/properties/*/name", kText},
      {"/properties/*/judged", kCount},
      {"/properties/*/passed", kCount},
      {"/properties/*/near_ties", kCount},
      {"/properties/*/findings", kCount},
      {"/properties/*/known", kCount},
      {"/properties/*/unsupported", kList},
      {"/properties/*/coverage", kObject},
      {"/findings/*/property", kText},
      {"/findings/*/signature", kText},
      {"/findings/*/engine", kText},
      {"/findings/*/verdict", kText},
      {"/findings/*/case", kText},
      {"/findings/*/marginal", kFlag},
      {"/findings/*/evaluations", kCount},
      {"/findings/*/localised", kText},
      {"/cases", kCount},
      {"/cases_per_second", kNumber},
      {"/complete", kFlag},
  };
  return *keys;
}

class JsonKeysTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder();
    smoke_ = new CommandResult(RunCrosscheck(
        "smoke --engine faulty:token_logit --property logit_closeness,greedy_prefix "
        "--cases 48 --evaluations 15 --json - --corpus '' --sarif " +
        Path("smoke.sarif") + " --junit " + Path("smoke.xml") + " --out " + Path("findings")));
  }
  static void TearDownTestSuite() {
    delete smoke_;
    delete folder_;
  }
  static std::string Path(const std::string& name) { return (folder_->path() / name).string(); }
  static json Smoke() { return json::parse(smoke_->out, nullptr, false); }

  static TemporaryFolder* folder_;
  static CommandResult* smoke_;
};
TemporaryFolder* JsonKeysTest::folder_ = nullptr;
CommandResult* JsonKeysTest::smoke_ = nullptr;

TEST_F(JsonKeysTest, Smoke) {
  ASSERT_EQ(smoke_->exit_code, 2) << smoke_->err;
  const json report = Smoke();
  ExpectKeys(report, RunKeys());
  EXPECT_EQ(report["command"], "smoke");
  EXPECT_EQ(report["schema"], 1);
  const json& property = report["properties"][0];
  EXPECT_FALSE(property["coverage"].empty());
  EXPECT_TRUE(property["narrowed"].is_object());
  EXPECT_LE(property["narrowed_cases"], property["cases"]);
  const json sarif = json::parse(Slurp(Path("smoke.sarif")), nullptr, false);
  const json& result = sarif["runs"][0]["results"][0];
  EXPECT_EQ(result["ruleId"], report["findings"][0]["signature"]);
  EXPECT_THAT(Slurp(Path("smoke.xml")), HasSubstr("name=\"greedy_prefix\""));
}

// token_logit edits the answers: edited models find nothing in the layers.
TEST_F(JsonKeysTest, TheFirstBadStageOfAFinding) {
  const json finding = Smoke()["findings"][0];
  ExpectKeys(
      finding,
      {{"/first_bad/layer", kCount}, {"/first_bad/stage", kText}, {"/first_bad/means", kText}});
  EXPECT_EQ(finding["first_bad"]["stage"], "outside the layers");
  const auto line = finding["localised"].get<std::string>();
  EXPECT_THAT(line, HasSubstr("first bad: outside the layers (edited models)"));
  EXPECT_THAT(Slurp(Path("smoke.xml")), HasSubstr("first bad: outside the layers"));
  EXPECT_THAT(Slurp(Path("smoke.sarif")), HasSubstr("first bad: outside the layers"));
  EXPECT_THAT(Slurp(finding["case"].get<std::string>()), HasSubstr(line));
  const CommandResult show =
      RunCrosscheck("show " + finding["case"].get<std::string>() + " --json " + Path("show.json"));
  EXPECT_THAT(show.out, HasSubstr("first bad: outside the layers"));
  const json shown = json::parse(Slurp(Path("show.json")), nullptr, false);
  EXPECT_EQ(shown["properties"][0]["first_bad"], finding["first_bad"]);
}

TEST_F(JsonKeysTest, Replay) {
  const CommandResult result =
      RunCrosscheck("replay " + Path("findings") + " --corpus '' --json -");
  ASSERT_EQ(result.exit_code, 2) << result.err;
  const json report = json::parse(result.out, nullptr, false);
  ExpectKeys(report, RunKeys());
  ExpectKeys(report,
             {{"/rows/*/case", kText}, {"/rows/*/verdict", kText}, {"/rows/*/known", kFlag}});
  EXPECT_EQ(report["command"], "replay");
  EXPECT_FALSE(report["properties"][0]["coverage"].empty());
}

TEST_F(JsonKeysTest, AnEarlierReportIsABaselineForReplayAndSmoke) {
  std::ofstream(Path("last.json")) << smoke_->out;
  const std::string baseline = " --corpus '' --json - --baseline " + Path("last.json");
  const CommandResult replay = RunCrosscheck("replay " + Path("findings") + baseline);
  EXPECT_EQ(replay.exit_code, 0) << replay.err;
  EXPECT_EQ(json::parse(replay.out)["findings"][0]["baseline"], true);
  EXPECT_EQ(RunCrosscheck("replay " + Path("findings") + " --baseline no.json").exit_code, 1);
  EXPECT_EQ(RunCrosscheck("replay " + Path("findings") + " --json - --sarif -").exit_code, 1);
}

TEST_F(JsonKeysTest, GoldenCheck) {
  const CommandResult result = RunCrosscheck(
      "golden check tests/golden/qwen35-tiny --engine exact:fp32 --json " + Path("golden.json"));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const json report = json::parse(Slurp(Path("golden.json")), nullptr, false);
  ExpectKeys(report, {{"/schema", kCount},
                      {"/goldens/*/name", kText},
                      {"/goldens/*/judged", kFlag},
                      {"/goldens/*/implementations/*/name", kText},
                      {"/goldens/*/implementations/0/worst/logits/absolute", kNumber},
                      {"/goldens/*/implementations/0/worst/logits/relative", kNumber},
                      {"/goldens/*/skipped/*/tensor", kText},
                      {"/goldens/*/skipped/*/reason", kText}});
}

TEST_F(JsonKeysTest, Fuzz) {
  const CommandResult result = RunCrosscheck(
      "fuzz --engine exact --property generation_contract --strategy random --for 1s --jobs 1 "
      "--corpus '' --workdir " +
      Path("campaign") + " --json -");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const json report = json::parse(result.out, nullptr, false);
  EXPECT_EQ(report["command"], "fuzz");
  ExpectKeys(report, {{"/schema", kCount},
                      {"/engine", kText},
                      {"/properties/*/name", kText},
                      {"/properties/*/judged", kCount},
                      {"/findings", kList},
                      {"/cases", kCount},
                      {"/cases_per_second", kNumber},
                      {"/complete", kFlag},
                      {"/restarts", kList},
                      {"/coverage_over_time/*/seconds", kNumber},
                      {"/coverage_over_time/*/features", kCount},
                      {"/runs/*/strategy", kText},
                      {"/memory_megabytes_per_hour/all", kNumber},
                      {"/memory_megabytes_per_hour/supervisor", kNumber},
                      {"/memory_megabytes_per_hour/workers", kNumber},
                      {"/memory_megabytes_per_hour/engines", kNumber}});
}

TEST_F(JsonKeysTest, FuzzJsonLines) {
  const CommandResult result = RunCrosscheck(
      "fuzz --engine exact --property generation_contract --for 1s --jobs 1 --corpus '' "
      "--json-lines --strategy corpus --workdir " +
      Path("campaign_lines"));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  std::istringstream lines(result.out);
  std::map<std::string, int> events;
  for (std::string line; std::getline(lines, line);) {
    const json event = json::parse(line, nullptr, false);
    ASSERT_TRUE(event.is_object()) << line;
    ++events[event.value("event", "")];
  }
  EXPECT_GT(events["batch"], 0);
  EXPECT_GT(events["sample"], 0);
}

TEST_F(JsonKeysTest, List) {
  const json report = json::parse(RunCrosscheck("list --json -").out, nullptr, false);
  ExpectKeys(report, {{"/engines/*/name", kText},
                      {"/engines/*/version", kText},
                      {"/engines/*/extensions", kList},
                      {"/properties/*/name", kText},
                      {"/properties/*/subject", kText},
                      {"/properties/*/needs", kList},
                      {"/properties/*/kills", kList},
                      {"/subjects", kList},
                      {"/families", kList}});
}

}  // namespace
}  // namespace crosscheck
