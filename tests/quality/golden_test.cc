// Recorded goldens: an unchanged engine and other legal roundings pass, planted faults are named
// with the first place, and what does not belong together is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "quality/check_golden.h"
#include "quality/record_golden.h"
#include "reference/json_input.h"
#include "reference/safetensors.h"
#include "tests/own_folder.h"

namespace crosscheck::quality {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

constexpr char kModel[] = "seeds/checkpoints/tiny-qwen35";

// faulty:token_logit shows where id 3 occurred.
constexpr char kPrompts[] = R"({"id": "first", "ids": [17, 300, 5, 999, 1, 42]}
{"id": "with three", "ids": [8, 3, 120, 77, 640]}
{"id": "last", "ids": [259, 40, 296]}
)";

RecordGoldenOptions Small(const std::string& folder, int prompts = 3) {
  static const auto* const file = new OwnFolder();
  const std::string path = file->path() + ".jsonl";
  EXPECT_TRUE(WriteFile(path, kPrompts).ok());
  RecordGoldenOptions options;
  options.folder = folder;
  options.model = kModel;
  options.inputs.prompts_file = path;
  options.inputs.limit = prompts;
  options.greedy_tokens = 12;
  return options;
}

// One golden for all tests that only read it.
class GoldenTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new OwnFolder();
    const auto golden = RecordGolden(Small(folder_->path()));
    ASSERT_TRUE(golden.ok()) << golden.status();
    recorded_ = new RecordedGolden(*golden);
  }
  static void TearDownTestSuite() {
    delete recorded_;
    delete folder_;
  }
  static absl::StatusOr<GoldenResult> Check(const std::string& engine) {
    return CheckRecordedGolden(folder_->path(), {.model = "", .engines = {engine}});
  }
  // A copy whose files a test may change.
  static std::string Copy(const OwnFolder& into) {
    fs::copy(folder_->path(), into.path(), fs::copy_options::recursive);
    return into.path();
  }

  static OwnFolder* folder_;
  static RecordedGolden* recorded_;
};
OwnFolder* GoldenTest::folder_ = nullptr;
RecordedGolden* GoldenTest::recorded_ = nullptr;

TEST_F(GoldenTest, IsSmallAndHasAReferenceErrorForEveryPrompt) {
  EXPECT_EQ(recorded_->index.engine, "torch:fp64");
  EXPECT_EQ(recorded_->index.prompts.size(), 3U);
  EXPECT_GT(recorded_->positions, 20);
  EXPECT_LT(recorded_->bytes, 100000U);
  EXPECT_EQ(recorded_->of_allowed, 0);  // it is the exact one
  for (const GoldenPrompt& prompt : recorded_->index.prompts) {
    for (const double error : prompt.reference_error) {
      EXPECT_GT(error, 1e-8) << prompt.id;
      EXPECT_LT(error, 1e-3) << prompt.id;
    }
  }
}

TEST_F(GoldenTest, AnUnchangedEngineMovedNowhere) {
  const auto result = Check("torch:fp64");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->failures, testing::IsEmpty());
  ASSERT_TRUE(result->judged());
  for (const auto& [kind, error] : result->implementations[0].worst) {
    EXPECT_EQ(error.absolute, 0) << kind;
  }
  EXPECT_EQ(result->implementations[0].worst.size(), 3U);  // two measures and the ids
}

TEST_F(GoldenTest, OtherLegalRoundingsPassByTheStoredReferenceError) {
  for (const char* engine : {"torch:fp32", "exact", "exact:fp32", "exact:fp32-chunked-reversed",
                             "exact:fp32-chunked-pairwise", "faulty:none"}) {
    const auto result = Check(engine);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_THAT(result->failures, testing::IsEmpty()) << engine;
    ASSERT_TRUE(result->judged()) << engine;
    const GoldenError& error = result->implementations[0].worst.at("log_probability");
    RecordProperty(engine, std::to_string(error.of_tolerance));
    EXPECT_LT(error.of_tolerance, 1) << engine;
    EXPECT_GT(error.absolute, 0) << engine;  // it does differ
  }
}

TEST_F(GoldenTest, PlantedFaultsAreNamedWithTheirFirstPlace) {
  for (const char* fault : {"faulty:token_logit", "faulty:rope_pairing"}) {
    const auto result = Check(fault);
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_FALSE(result->failures.empty()) << fault;
    EXPECT_THAT(result->failures[0], AllOf(HasSubstr(fault), HasSubstr("positions moved"),
                                           HasSubstr("reference error")));
    const bool everywhere = fault == std::string("faulty:rope_pairing");
    EXPECT_THAT(result->failures[0],
                HasSubstr(everywhere ? "prompt \"first\": 12 of 12" : "prompt \"with three\""));
    EXPECT_THAT(result->failures[0], HasSubstr("first position 0: ln p of token"));
    EXPECT_GT(result->implementations[0].worst.at("log_probability").of_tolerance, 10) << fault;
  }
  // One that answers right logits and generates other tokens.
  const auto second = Check("faulty:second_token");
  ASSERT_TRUE(second.ok()) << second.status();
  ASSERT_FALSE(second->failures.empty());
  EXPECT_THAT(second->failures[0], HasSubstr("greedy ids part at token "));
}

TEST_F(GoldenTest, ValuesThatAreNoLogitsAndADeadEngineAreFailures) {
  const auto nan = Check("faulty:nan");
  ASSERT_TRUE(nan.ok()) << nan.status();
  ASSERT_FALSE(nan->failures.empty());
  EXPECT_THAT(nan->failures[0], HasSubstr("no logits"));
  const auto crash = Check("faulty:crash");
  ASSERT_TRUE(crash.ok()) << crash.status();
  EXPECT_FALSE(crash->failures.empty());
}

// A thousandth of a nat: far beyond rounding.
TEST_F(GoldenTest, ASmallChangeOfOneLogitIsSeenAtItsPosition) {
  auto dump = DumpReader::Open(folder_->path());
  ASSERT_TRUE(dump.ok());
  auto item = ReadGoldenItem(**dump, 1, 1024);
  ASSERT_TRUE(item.ok()) << item.status();
  GoldenPosition moved = item->positions[4];
  moved.logits[0] += 1e-3F;
  const GoldenChange change = ChangeOf(item->positions[4], moved);
  EXPECT_EQ(change.token, moved.tokens[0]);
  EXPECT_NEAR(change.distance[0], 1e-3, 1e-6);
  EXPECT_GT(change.distance[0],
            recorded_->index.Allowed(recorded_->index.prompts[1], LargestLogit(*item))[0]);
  // A constant on all logits is no change.
  GoldenPosition shifted = item->positions[4];
  for (float& logit : shifted.logits) logit += 2;
  shifted.lse += 2;
  EXPECT_LT(ChangeOf(item->positions[4], shifted).distance[0], 1e-5);
}

TEST_F(GoldenTest, AnotherModelIsRefusedWithTheFileAndBothHashes) {
  const OwnFolder model;
  fs::copy(kModel, model.path());
  std::string config = *ReadFile(model.path() + "/config.json");
  ASSERT_TRUE(WriteFile(model.path() + "/config.json", config + "\n").ok());
  const auto result =
      CheckRecordedGolden(folder_->path(), {.model = model.path(), .engines = {"torch:fp64"}});
  EXPECT_TRUE(absl::IsFailedPrecondition(result.status()));
  EXPECT_THAT(std::string(result.status().message()),
              AllOf(HasSubstr("not the recorded one"), HasSubstr("/config.json")));
  // The same files elsewhere are the same model.
  ASSERT_TRUE(WriteFile(model.path() + "/config.json", config).ok());
  const auto same =
      CheckRecordedGolden(folder_->path(), {.model = model.path(), .engines = {"torch:fp64"}});
  ASSERT_TRUE(same.ok()) << same.status();
  EXPECT_THAT(same->failures, testing::IsEmpty());
}

TEST_F(GoldenTest, AModelThatIsNotThereAndABrokenGoldenAreErrors) {
  const auto gone = CheckRecordedGolden(folder_->path(), {.model = "no/such/model", .engines = {}});
  EXPECT_THAT(std::string(gone.status().message()),
              AllOf(HasSubstr("no/such/model"), HasSubstr("--model")));
  const OwnFolder copy;
  const std::string folder = Copy(copy);
  std::string shard;
  for (const auto& entry : fs::directory_iterator(folder + "/shards")) {
    if (entry.path().filename().string().starts_with("forced")) shard = entry.path();
  }
  std::string bytes = *ReadFile(shard);
  bytes.back() ^= 1;
  ASSERT_TRUE(WriteFile(shard, bytes).ok());
  EXPECT_TRUE(absl::IsDataLoss(CheckRecordedGolden(folder, {}).status()));
  ASSERT_TRUE(WriteFile(folder + "/golden.json", R"({"format": "crosscheck-golden/1"})").ok());
  EXPECT_THAT(std::string(CheckRecordedGolden(folder, {}).status().message()),
              HasSubstr("no proper \"model\""));
}

TEST_F(GoldenTest, AnEngineOfAnotherVocabularyIsRefused) {
  const OwnFolder copy;
  const std::string folder = Copy(copy);
  auto manifest = ParseJson(*ReadFile(folder + "/manifest.json"));
  (*manifest)["model"]["vocab"] = 1030;
  ASSERT_TRUE(WriteFile(folder + "/manifest.json", manifest->dump()).ok());
  const auto result = CheckRecordedGolden(folder, {.model = kModel, .engines = {}});
  EXPECT_THAT(std::string(result.status().message()),
              AllOf(HasSubstr("vocabulary of 1024"), HasSubstr("1030")));
}

TEST_F(GoldenTest, RecordingAgainChangesNothingAndAnotherRecordingIsRefused) {
  const std::string before = *ReadFile(folder_->path() + "/golden.json");
  ASSERT_TRUE(RecordGolden(Small(folder_->path())).ok());
  EXPECT_EQ(*ReadFile(folder_->path() + "/golden.json"), before);
  RecordGoldenOptions other = Small(folder_->path());
  other.greedy_tokens = 13;
  const absl::Status refused = RecordGolden(other).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("/tracks/"));
}

TEST(RecordGoldenTest, MoreThanAMegabyteIsRefusedBeforeAnythingIsWritten) {
  const OwnFolder folder;
  RecordGoldenOptions options = Small(folder.path());
  options.greedy_tokens = 300;
  const absl::Status status = RecordGolden(options).status();
  EXPECT_TRUE(absl::IsOutOfRange(status)) << status;
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("1000000"), HasSubstr("--limit")));
  EXPECT_FALSE(fs::exists(folder.path()));
}

TEST(RecordGoldenTest, AFolderOfTransformersIsLeftAlone) {
  RecordGoldenOptions options = Small("tests/golden/qwen35-tiny");
  const absl::Status status = RecordGolden(options).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("another kind"));
  EXPECT_FALSE(fs::exists("tests/golden/qwen35-tiny/manifest.json"));
}

// What an fp32 engine answers is itself rounded, so twice as much is allowed; a wrong engine is
// said to be wrong when it is recorded.
TEST(RecordGoldenTest, AnyEngineCanBeRecorded) {
  const OwnFolder right, wrong;
  RecordGoldenOptions options = Small(right.path(), 1);
  options.reference = "exact:fp32";
  const auto golden = RecordGolden(options);
  ASSERT_TRUE(golden.ok()) << golden.status();
  EXPECT_EQ(golden->index.sides(), 2);
  EXPECT_GT(golden->of_allowed, 0);
  EXPECT_LT(golden->of_allowed, 1);
  const auto other = CheckRecordedGolden(
      right.path(), {.model = "", .engines = {"exact:fp32-chunked-pairwise", "torch:fp32"}});
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_THAT(other->failures, testing::IsEmpty());
  EXPECT_EQ(other->implementations.size(), 2U);
  options.folder = wrong.path();
  options.reference = "faulty:rope_pairing";
  const auto faulty = RecordGolden(options);
  ASSERT_TRUE(faulty.ok()) << faulty.status();
  EXPECT_GT(faulty->of_allowed, 10);
}

}  // namespace
}  // namespace crosscheck::quality
