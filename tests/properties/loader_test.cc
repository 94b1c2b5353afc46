// The judge of `loader` both ways, and our own reader on random hostile checkpoints.
//
// CROSSCHECK_LAW_CASES sets the number of hostile checkpoints (default 1000).
#include "properties/subjects/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "engines/scratch_folder.h"
#include "properties/judges/tolerance.h"
#include "properties/property.h"
#include "reference/checkpoint.h"
#include "tests/properties/fake_observations.h"

namespace crosscheck {
namespace {

using testing::HasSubstr;

constexpr size_t kEngineLoad = 0, kExactLoad = 1, kEngineRun = 2, kExactRun = 3, kTorch = 4;
constexpr size_t kLastReference = kTorch + kReferenceRuns - 1;

const Property& Loader() { return *FindProperty("loader"); }

Mutation Change(MutationKind kind, std::string_view way) {
  Mutation mutation{.kind = kind};
  const auto ways = WaysOf(kind);
  mutation.way = static_cast<int>(std::find(ways.begin(), ways.end(), way) - ways.begin());
  EXPECT_LT(mutation.way, std::ssize(ways)) << std::string(way);
  return mutation;
}

LoaderCase SmallCase() {
  LoaderCase c;
  c.model = *FakeModel(5);
  c.model.spec.hidden = c.model.spec.intermediate = 4;
  c.model.spec.head_dim = c.model.spec.rotary_dim = 2;
  c.model.spec.linear_key_dim = c.model.spec.linear_value_dim = 2;
  c.ids = {7, 1};
  return c;
}

class AnyFamily : public FakeObservations {
 public:
  std::string_view engine_family() const override { return family; }
  std::string_view family = "fake";
};

class LoaderTest : public testing::Test {
 protected:
  Verdict Judge() { return Loader().judge(Case(LoaderSubject(), case_), seen_); }

  // Everyone loads the model and answers the same logits.
  void EveryoneAnswers() {
    for (const size_t load : {kEngineLoad, kExactLoad}) {
      seen_.replies[load] = Reply();
      seen_.replies[load].message.head = {
          {"model", "m1"}, {"vocab", 5}, {"context", 9}, {"layers", 2}};
    }
    seen_.replies[kEngineRun] = Logits<float>(0);
    seen_.replies[kExactRun] = Logits<double>(0);
    for (size_t i = kTorch; i <= kLastReference; ++i) seen_.replies[i] = Logits<float>(1e-6);
  }
  template <class T>
  static Reply Logits(double error) {
    return LogitsReply<T>({{{0, 1}, {{1, 2, 3, 4, 8 + error}, {2, -1, 0, 1, 5}}}},
                          {{"readout", 2}});
  }
  void Fails(size_t run, FailureKind kind, std::string type = "") {
    seen_.replies[run] = FailedReply(kind, "the reason", std::move(type));
  }

  LoaderCase case_ = SmallCase();
  AnyFamily seen_;
};

TEST_F(LoaderTest, PlanGivesTheSameFilesToAllAndRunsWhatWasLoaded) {
  const std::vector<crosscheck::Run> plan = Loader().plan(Case(LoaderSubject(), case_));
  ASSERT_EQ(plan.size(), 4 + 2 * kReferenceRuns + 2);
  EveryoneAnswers();
  EXPECT_EQ(plan[kEngineLoad].request.head["op"], "load");
  EXPECT_GT(plan[kEngineLoad].request.head["memory_allowance"], 64 << 20);
  EXPECT_FALSE(plan[kExactLoad].request.head.contains("memory_allowance"));
  const Message run = plan[kEngineRun].derive(seen_);
  EXPECT_EQ(run.head["model"], "m1");
  EXPECT_EQ(run.head["sequences"][0]["ids"], Json({2, 1}));
  for (size_t i = 0; i < kReferenceRuns; ++i) {
    const crosscheck::Run& load = plan[kTorch + kReferenceRuns + i];
    EXPECT_EQ(load.files, plan[0].files);
    EXPECT_EQ(load.role, plan[kTorch + i].role);
    EXPECT_EQ(load.variant, plan[kTorch + i].variant);
    seen_.replies[kTorch + kReferenceRuns + i].message.head = {{"model", absl::StrCat("r", i)}};
    EXPECT_EQ(plan[kTorch + i].derive(seen_).head["model"], absl::StrCat("r", i));
  }
  EXPECT_EQ(plan[kLastReference + kReferenceRuns].request.head["nudge"], 12);
}

TEST_F(LoaderTest, RefusalOfAChangeIsAPassAndOfAPlainCheckpointABug) {
  EveryoneAnswers();
  Fails(kEngineLoad, FailureKind::kRefused, "Invalid");
  case_.mutations = {Change(MutationKind::kConfigValue, "null")};
  Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kPass);
  EXPECT_GT(verdict.judged, 0);
  case_.mutations.clear();
  verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kEngineBug);
  EXPECT_EQ(verdict.signature.error, ErrorClass::kRejection);
  case_.mutations = {Change(MutationKind::kConfigForm, "unknown_key"),
                     Change(MutationKind::kShards, "3")};
  EXPECT_EQ(Judge().kind, VerdictKind::kEngineBug);
  case_.mutations.push_back(Change(MutationKind::kTokenizer, "missing"));
  EXPECT_EQ(Judge().kind, VerdictKind::kPass);
}

TEST_F(LoaderTest, DocumentedRefusalIsOneOfItsEngineOnly) {
  EveryoneAnswers();
  Fails(kEngineLoad, FailureKind::kRefused, "Invalid");
  for (const Mutation& change :
       {Change(MutationKind::kMetadata, "null"), Change(MutationKind::kHeaderEntry, "deep_key_40"),
        Change(MutationKind::kFile, "mode_666")}) {
    case_.mutations = {change};
    seen_.family = "fake";
    EXPECT_EQ(Judge().kind, VerdictKind::kEngineBug) << std::string(change.Way());
    seen_.family = "lattice";
    EXPECT_EQ(Judge().kind, VerdictKind::kPass) << std::string(change.Way());
  }
}

TEST_F(LoaderTest, DeathAtLoadOrRunIsAFindingWhateverTheFilesAre) {
  case_.mutations = {Change(MutationKind::kFileBytes, "half")};
  for (const auto& [failure, kind] : {std::pair{FailureKind::kDead, VerdictKind::kCrash},
                                      {FailureKind::kSlow, VerdictKind::kTimeout},
                                      {FailureKind::kInternal, VerdictKind::kCrash},
                                      {FailureKind::kOutOfMemory, VerdictKind::kCrash}}) {
    EveryoneAnswers();
    Fails(kEngineLoad, failure);
    EXPECT_EQ(Judge().kind, kind);
    EveryoneAnswers();
    Fails(kEngineRun, failure);
    EXPECT_EQ(Judge().kind, kind);
    Fails(kExactLoad, FailureKind::kRefused, "FAILED_PRECONDITION");
    EXPECT_EQ(Judge().kind, kind);
    EXPECT_EQ(Judge().signature.stage, "run");
  }
}

TEST_F(LoaderTest, AcceptingWhatNoReaderCanTakeIsABugAndWhatOursDoesNotIsNotJudged) {
  case_.mutations = {Change(MutationKind::kTensor, "missing")};
  for (const char* type : {"NOT_FOUND", "DATA_LOSS"}) {
    EveryoneAnswers();
    Fails(kExactLoad, FailureKind::kRefused, type);
    EXPECT_EQ(Judge().kind, VerdictKind::kEngineBug);
    EXPECT_EQ(Judge().signature.error, ErrorClass::kWeights);
  }
  Fails(kExactLoad, FailureKind::kRefused, "FAILED_PRECONDITION");
  EXPECT_EQ(Judge().kind, VerdictKind::kUnsupported);
  Fails(kExactLoad, FailureKind::kInternal);
  EXPECT_EQ(Judge().kind, VerdictKind::kReferenceDrift);
}

TEST_F(LoaderTest, KeyThatTransformersObeysMustShow) {
  constexpr size_t kPlainRun = kTorch + 2 * kReferenceRuns + 1;
  EveryoneAnswers();
  Fails(kExactLoad, FailureKind::kRefused, "FAILED_PRECONDITION");
  case_.mutations = {Change(MutationKind::kConfigForm, "rope_scaling")};
  seen_.replies[kPlainRun] = Logits<float>(0);
  EXPECT_EQ(Judge().kind, VerdictKind::kEngineBug);
  EXPECT_EQ(Judge().signature.error, ErrorClass::kNumeric);
  seen_.replies[kPlainRun] = Logits<float>(1e-3);
  EXPECT_EQ(Judge().kind, VerdictKind::kUnsupported);
  seen_.replies[kPlainRun] = Logits<float>(0);
  case_.ids = {1};
  EXPECT_EQ(Judge().kind, VerdictKind::kUnsupported);
  case_.mutations = {Change(MutationKind::kConfigForm, "other_activation")};
  EXPECT_EQ(Judge().kind, VerdictKind::kEngineBug);
  case_.model.weights.style = WeightStyle::kTiny;
  EXPECT_EQ(Judge().kind, VerdictKind::kUnsupported);
}

TEST_F(LoaderTest, LogitsOfLoadedFilesAreJudged) {
  EveryoneAnswers();
  EXPECT_EQ(Judge().kind, VerdictKind::kPass);
  EXPECT_EQ(Judge().judged, 2);
  seen_.replies[kEngineRun] = Logits<float>(0.5);
  const Verdict wrong = Judge();
  EXPECT_EQ(wrong.kind, VerdictKind::kEngineBug);
  EXPECT_EQ(wrong.signature.error, ErrorClass::kNumeric);
  EXPECT_EQ(wrong.signature.stage, "run");
  EveryoneAnswers();
  seen_.replies[kEngineLoad].message.head["vocab"] = 6;
  EXPECT_EQ(Judge().signature.error, ErrorClass::kWeights);
  EveryoneAnswers();
  seen_.replies[kEngineRun].message.head["counters"] = Json::object();
  EXPECT_EQ(Judge().kind, VerdictKind::kUnsupported);
}

TEST_F(LoaderTest, OverflowIsABugOnlyWhereReferencesHaveNone) {
  EveryoneAnswers();
  seen_.replies[kEngineRun] = Logits<float>(INFINITY);
  EXPECT_EQ(Judge().signature.error, ErrorClass::kNonfinite);
  for (size_t i = kTorch; i <= kLastReference; ++i) seen_.replies[i] = Logits<float>(INFINITY);
  EXPECT_EQ(Judge().kind, VerdictKind::kUnsupported);
  seen_.replies[kEngineRun] = Logits<float>(0.5);
  EXPECT_EQ(Judge().kind, VerdictKind::kUnsupported);
  Fails(kEngineRun, FailureKind::kRefused);
  EXPECT_EQ(Judge().kind, VerdictKind::kUnsupported);
  EveryoneAnswers();
  Fails(kEngineRun, FailureKind::kRefused);
  EXPECT_EQ(Judge().signature.error, ErrorClass::kRejection);
  EveryoneAnswers();
  seen_.replies[kExactRun] = Logits<double>(INFINITY);
  EXPECT_EQ(Judge().kind, VerdictKind::kUnsupported);
}

TEST(LoaderFilesTest, EveryWayOfEveryKindMakesFiles) {
  const auto plain = FilesOf(SmallCase());
  const auto same = [](const InputFiles& a, const InputFiles& b) {
    return a.size() == b.size() &&
           std::equal(a.begin(), a.end(), b.begin(), [](const InputFile& x, const InputFile& y) {
             return x.name == y.name && x.bytes == y.bytes && x.mode == y.mode &&
                    x.link_to == y.link_to;
           });
  };
  EXPECT_TRUE(same(*plain, *FilesOf(SmallCase())));
  for (size_t kind = 0; kind < std::size(kMutationKindNames); ++kind) {
    const auto ways = WaysOf(static_cast<MutationKind>(kind));
    for (const std::string_view way : ways) {
      // Some targets have nothing to change: a tensor of one axis has no transpose.
      bool changes = false;
      for (int target = 0; target < 24 && !changes; ++target) {
        LoaderCase c = SmallCase();
        c.model.spec.tied = target % 3 == 2;
        c.model.weights.storage = target % 2 == 0 ? DType::kF32 : DType::kBF16;
        const auto unchanged = FilesOf(c);
        c.mutations = {Change(static_cast<MutationKind>(kind), way)};
        c.mutations[0].target = target;
        for (int key = 0; key < (kind == 0 ? std::ssize(ConfigKeys()) : 1) && !changes; ++key) {
          c.mutations[0].key = key;
          changes = !same(*unchanged, *FilesOf(c));
        }
      }
      EXPECT_TRUE(changes) << kMutationKindNames[kind] << " " << way;
    }
  }
}

TEST(LoaderFilesTest, OurReaderTakesSomeAndNamesWhatItRefuses) {
  const char* text = std::getenv("CROSSCHECK_LAW_CASES");
  const int64_t cases = text == nullptr ? 1000 : std::atoll(text);
  const auto scratch = ScratchFolder::Create();
  ASSERT_TRUE(scratch.ok()) << scratch.status();
  const std::string folder = (*scratch)->path() + "/checkpoint";
  int64_t taken = 0;
  for (int64_t i = 0; i < cases; ++i) {
    Stream stream(static_cast<uint64_t>(i), static_cast<uint64_t>(i / 64), "loader_test");
    const Case c = LoaderSubject().random(stream, Limits());
    std::filesystem::remove_all(folder);
    ASSERT_TRUE(WriteInputFiles(*FilesOf(c.As<LoaderCase>()), folder).ok());
    const auto model = ReadCheckpoint(folder);
    if (model.ok()) {
      ++taken;
      continue;
    }
    const std::string message(model.status().message());
    ASSERT_NE(model.status().code(), absl::StatusCode::kInternal) << message;
    // The file, or the folder for what no file holds; then the reason.
    ASSERT_THAT(message, HasSubstr(folder)) << LoaderSubject().print(c);
    ASSERT_GT(message.size(), message.find(folder) + folder.size() + 4);
  }
  std::printf("%lld checkpoints, %lld taken\n", static_cast<long long>(cases),
              static_cast<long long>(taken));
  EXPECT_GE(taken * 10, cases);
  EXPECT_GE((cases - taken) * 10, cases);
}

}  // namespace
}  // namespace crosscheck
