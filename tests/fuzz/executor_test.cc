#include "fuzz/executor.h"

#include <unistd.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "engines/scratch_folder.h"
#include "fuzz/run_case.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "reference/checkpoint.h"
#include "tests/fuzz/planted_bugs.h"
#include "tests/own_folder.h"
#include "tests/small_spec.h"

namespace crosscheck {
namespace {

std::unique_ptr<Executor> Start(const std::string& engine, int models_kept = 4) {
  ExecutorOptions options;
  options.engine = engine;
  options.models_kept = models_kept;
  absl::StatusOr<std::unique_ptr<Executor>> executor = Executor::Create(options);
  EXPECT_TRUE(executor.ok()) << executor.status();
  return executor.ok() ? *std::move(executor) : nullptr;
}

std::shared_ptr<const ModelRecipe> Recipe(uint64_t seed) {
  ModelRecipe recipe;
  recipe.spec = SmallSpec();
  recipe.spec.vocab = 11;
  recipe.weights.seed = seed;
  return std::make_shared<const ModelRecipe>(recipe);
}

Run LogitsRun(Role role, int variant, std::shared_ptr<const ModelRecipe> model,
              std::vector<int32_t> ids = {1, 2, 3}) {
  Run run{.role = role, .variant = variant, .model = std::move(model), .request = {}};
  run.request.head = {{"op", "logits"}, {"path", "readout"}, {"sequences", {{{"ids", ids}}}}};
  return run;
}

std::vector<double> LogitsOf(const Reply& reply) {
  EXPECT_TRUE(reply.ok()) << reply.failure->message;
  const Tensor* tensor = reply.ok() ? reply.message.Find("logits.0") : nullptr;
  return tensor == nullptr ? std::vector<double>() : *tensor->ToDoubles();
}

void ExpectEngineAgreesWithExact(Executor& executor,
                                 const std::shared_ptr<const ModelRecipe>& model) {
  const auto observations = executor.Observe(
      {LogitsRun(Role::kEngine, 0, model), LogitsRun(Role::kExact, 0, model)}, false);
  const std::vector<double> engine = LogitsOf((*observations)[0]),
                            exact = LogitsOf((*observations)[1]);
  ASSERT_EQ(engine.size(), 33u);
  EXPECT_THAT(engine, testing::Pointwise(testing::DoubleNear(1e-3), exact));
}

TEST(ExecutorTest, EveryRoleAnswersForTheSameModel) {
  const auto executor = Start("exact:fp32");
  const auto model = Recipe(1);
  const auto observations = executor->Observe(
      {LogitsRun(Role::kEngine, 0, model), LogitsRun(Role::kExact, 0, model),
       LogitsRun(Role::kTorch, 0, model), LogitsRun(Role::kTorch, 1, model),
       LogitsRun(Role::kPerturbed, 1, model), LogitsRun(Role::kPerturbed, 2, model),
       LogitsRun(Role::kPerturbed, 3, model)},
      false);
  const std::vector<double> exact = LogitsOf((*observations)[1]);
  ASSERT_EQ(exact.size(), 33u);
  for (size_t i = 0; i < 7; ++i) {
    EXPECT_THAT(LogitsOf((*observations)[i]), testing::Pointwise(testing::DoubleNear(1e-3), exact))
        << i;
  }
  // The engine under test is that perturbed reference, bit for bit; the others are not.
  EXPECT_EQ(LogitsOf((*observations)[0]), LogitsOf((*observations)[4]));
  EXPECT_NE(LogitsOf((*observations)[0]), LogitsOf((*observations)[6]));
}

TEST(ExecutorTest, OldestModelMakesRoomAndIsLoadedAgain) {
  const auto executor = Start("exact", 2);
  for (int round = 0; round < 2; ++round) {
    for (uint64_t seed = 1; seed <= 4; ++seed) ExpectEngineAgreesWithExact(*executor, Recipe(seed));
  }
}

TEST(ExecutorTest, ModelIsLoadedOnceForEqualRecipes) {
  const auto executor = Start("exact");
  ExpectEngineAgreesWithExact(*executor, Recipe(1));
  const StageSeconds first = executor->seconds();
  ExpectEngineAgreesWithExact(*executor, Recipe(1));
  EXPECT_EQ(executor->seconds().write_model, first.write_model);
  EXPECT_EQ(executor->seconds().engine_load, first.engine_load);
  EXPECT_GT(executor->seconds().exact, first.exact);
}

TEST(ExecutorTest, RunsAreSentWhenLookedAtAndKept) {
  const auto executor = Start("exact");
  int derived = 0;
  auto second = LogitsRun(Role::kExact, 0, Recipe(1));
  second.derive = [&derived](Observations& observations) {
    ++derived;
    const bool first_ok = observations[0].ok();
    return LogitsRun(Role::kExact, 0, nullptr, {first_ok ? 5 : 6}).request;
  };
  const auto observations =
      executor->Observe({LogitsRun(Role::kEngine, 0, Recipe(1)), second}, false);
  EXPECT_EQ(derived, 0);
  EXPECT_EQ(executor->seconds().engine_run, 0);
  EXPECT_EQ(LogitsOf((*observations)[1]).size(), 11u);
  EXPECT_EQ(LogitsOf((*observations)[1]).size(), 11u);
  EXPECT_EQ(derived, 1);
}

TEST(ExecutorTest, ReferenceThatIsTheEngineItselfIsNotAvailable) {
  struct {
    const char* engine;
    size_t itself;
  } cases[] = {{"torch", 1},      {"torch:fp64", 2},
               {"exact:fp32", 3}, {"exact:fp32-chunked-pairwise", 5},
               {"exact", 9},      {"faulty:none", 9}};
  for (const auto& [engine, itself] : cases) {
    const auto executor = Start(engine);
    const auto observations = executor->Observe(
        {LogitsRun(Role::kExact, 0, nullptr), LogitsRun(Role::kTorch, 0, nullptr),
         LogitsRun(Role::kTorch, 1, nullptr), LogitsRun(Role::kPerturbed, 1, nullptr),
         LogitsRun(Role::kPerturbed, 2, nullptr), LogitsRun(Role::kPerturbed, 3, nullptr)},
        true);
    for (size_t i = 0; i < 6; ++i) {
      EXPECT_EQ(observations->Available(i), i != itself) << engine << " " << i;
      EXPECT_EQ(observations->Wanted(i), (i == 1 || i == 2) && i != itself) << engine << " " << i;
    }
  }
}

TEST(ExecutorTest, EngineThatDiedIsStartedAgainAndLoadsAgain) {
  const auto executor = Start("faulty:crash");
  ExpectEngineAgreesWithExact(*executor, Recipe(1));
  const auto observations =
      executor->Observe({LogitsRun(Role::kEngine, 0, Recipe(1), {1, 2, 3, 4, 5})}, false);
  ASSERT_FALSE((*observations)[0].ok());
  EXPECT_EQ((*observations)[0].failure->kind, FailureKind::kDead);
  ExpectEngineAgreesWithExact(*executor, Recipe(1));
}

TEST(ExecutorTest, FailedLoadIsTheReplyOfTheRun) {
  ModelRecipe recipe = *Recipe(1);
  recipe.spec.rotary_dim = 3;  // odd: no model
  const auto model = std::make_shared<const ModelRecipe>(recipe);
  const auto executor = Start("exact:fp32");
  const auto observations = executor->Observe(
      {LogitsRun(Role::kEngine, 0, model), LogitsRun(Role::kExact, 0, model)}, false);
  EXPECT_FALSE((*observations)[0].ok());
  EXPECT_FALSE((*observations)[1].ok());
  ExpectEngineAgreesWithExact(*executor, Recipe(1));
}

std::shared_ptr<const InputFiles> CheckpointFiles(uint64_t seed) {
  const OwnFolder own;
  const std::string& folder = own.path();
  EXPECT_TRUE(WriteCheckpoint(GenerateModel(*Recipe(seed)), folder).ok());
  InputFiles files;
  for (const char* name : {"config.json", "model.safetensors", "tokenizer.json"}) {
    files.push_back({.name = name, .bytes = ReadFile(folder + "/" + name).value_or("")});
  }
  return std::make_shared<const InputFiles>(std::move(files));
}

Run LoadRun(Role role, std::shared_ptr<const InputFiles> files) {
  Run run{.role = role, .request = {}, .files = std::move(files)};
  run.request.head = {{"op", "load"}};
  return run;
}

// Logits of the model that observation `load` loaded.
Run LogitsOfLoaded(Role role, size_t load) {
  Run run{.role = role, .request = {}};
  run.derive = [role, load](Observations& observations) {
    Message request = LogitsRun(role, 0, nullptr).request;
    request.head["model"] = observations[load].message.head.value("model", "");
    return request;
  };
  return run;
}

TEST(ExecutorTest, FilesAreLoadedNamedByTheAnswerAndRemoved) {
  const auto executor = Start("exact:fp32");
  const auto files = CheckpointFiles(1);
  Message stale = LogitsRun(Role::kEngine, 0, nullptr).request;
  {
    const auto observations =
        executor->Observe({LoadRun(Role::kEngine, files), LoadRun(Role::kExact, files),
                           LogitsOfLoaded(Role::kEngine, 0), LogitsOfLoaded(Role::kExact, 1),
                           LogitsRun(Role::kExact, 0, Recipe(1))},
                          false);
    const std::vector<double> exact = LogitsOf((*observations)[3]);
    EXPECT_EQ(exact, LogitsOf((*observations)[4]));
    EXPECT_THAT(LogitsOf((*observations)[2]), testing::Pointwise(testing::DoubleNear(1e-3), exact));
    stale.head["model"] = (*observations)[0].message.head["model"];
  }
  const auto later = executor->Observe(
      {{.role = Role::kEngine, .request = stale}, {.role = Role::kExact, .request = stale}}, false);
  for (size_t i = 0; i < 2; ++i) {
    ASSERT_FALSE((*later)[i].ok()) << "still loaded in " << i;
    EXPECT_EQ((*later)[i].failure->kind, FailureKind::kBadRequest);
  }
}

// Folders that hold these bytes as config.json, among the scratch folders of all processes.
int FoldersWith(const std::string& config) {
  const auto scratch = ScratchFolder::Create();
  if (!scratch.ok()) return -1;
  int found = 0;
  std::error_code gone;  // other processes come and go
  const auto base = std::filesystem::path((*scratch)->path()).parent_path();
  for (const auto& process : std::filesystem::directory_iterator(base, gone)) {
    if (process.path().filename().string().rfind("crosscheck-", 0) != 0) continue;
    for (const auto& folder : std::filesystem::directory_iterator(process.path(), gone)) {
      found += ReadFile(folder.path() / "config.json").value_or("") == config ? 1 : 0;
    }
  }
  return found;
}

TEST(ExecutorTest, RunsWithTheSameFilesShareAFolderThatGoesWithTheObservations) {
  const auto executor = Start("exact");
  auto broken = std::make_shared<InputFiles>(*CheckpointFiles(1));
  broken->front().bytes = absl::StrCat("{ of process ", getpid());
  for (int round = 0; round < 2; ++round) {
    const auto observations =
        executor->Observe({LoadRun(Role::kEngine, broken), LoadRun(Role::kExact, broken)}, false);
    for (size_t i = 0; i < 2; ++i) {
      ASSERT_FALSE((*observations)[i].ok());
      EXPECT_EQ((*observations)[i].failure->kind, FailureKind::kRefused);
      EXPECT_EQ(FoldersWith(broken->front().bytes), 1);
    }
  }
  EXPECT_EQ(FoldersWith(broken->front().bytes), 0);
}

TEST(ExecutorTest, FailuresDoNotNameTheFolderOfTheFiles) {
  const auto executor = Start("exact");
  auto broken = std::make_shared<InputFiles>(*CheckpointFiles(1));
  broken->front().bytes = "{";
  const auto observations =
      executor->Observe({LoadRun(Role::kEngine, broken), LoadRun(Role::kExact, broken)}, false);
  for (size_t i = 0; i < 2; ++i) {
    ASSERT_FALSE((*observations)[i].ok());
    EXPECT_EQ((*observations)[i].failure->message, "config.json: not valid JSON at byte 2 of 1");
  }
}

TEST(ExecutorTest, FilesThatCannotBeWrittenAreABadRequest) {
  const auto executor = Start("exact");
  const auto files = std::make_shared<const InputFiles>(InputFiles{{.name = "../x", .bytes = ""}});
  const auto observations = executor->Observe({LoadRun(Role::kEngine, files)}, false);
  ASSERT_FALSE((*observations)[0].ok());
  EXPECT_EQ((*observations)[0].failure->kind, FailureKind::kBadRequest);
}

TEST(ExecutorTest, ModelLoadedFromFilesIsNotMissedByANewProcess) {
  const auto executor = Start("faulty:crash");
  const auto files = CheckpointFiles(1);
  {
    const auto observations = executor->Observe(
        {LoadRun(Role::kEngine, files), LogitsRun(Role::kEngine, 0, Recipe(1), {1, 2, 3, 4, 5})},
        false);
    ASSERT_TRUE((*observations)[0].ok());
    ASSERT_FALSE((*observations)[1].ok());
  }
  ExpectEngineAgreesWithExact(*executor, Recipe(1));
}

TEST(ExecutorTest, UnknownEngineIsAnErrorThatNamesIt) {
  ExecutorOptions options;
  options.engine = "nonesuch";
  const auto executor = Executor::Create(options);
  ASSERT_FALSE(executor.ok());
  EXPECT_THAT(std::string(executor.status().message()), testing::HasSubstr("nonesuch"));
}

TEST(ExecutorTest, MissingExtensionsAreListed) {
  Property property = PlantedProperty();
  property.needs = {"model/1", "session/1"};
  EXPECT_THAT(MissingExtensions(property, {{"extensions", {"session/1"}}}),
              testing::ElementsAre("model/1"));
  EXPECT_EQ(MissingExtensions(property, {{"extensions", "model/1"}}).size(), 2u);
  EXPECT_EQ(MissingExtensions(property, Json::object()).size(), 2u);
}

TEST(ExecutorTest, LimitsAreNarrowedByWhatTheEngineSays) {
  std::vector<std::string> narrowed;
  const Limits all = NarrowLimits({{"limits",
                                    {{"masks", true},
                                     {"chunked_prefill", true},
                                     {"storage", {"F32", "BF16", "F16"}},
                                     {"families", kFamilyNames}}}},
                                  &narrowed);
  EXPECT_TRUE(all.masks && all.chunked_prefill && all.reduced_storage);
  EXPECT_EQ(all.families, 7u);
  EXPECT_THAT(narrowed, testing::IsEmpty());
  const Limits some =
      NarrowLimits({{"limits", {{"masks", false}, {"storage", {"F32", "F16"}}}}}, &narrowed);
  EXPECT_FALSE(some.masks || some.chunked_prefill || some.reduced_storage);
  EXPECT_EQ(some.families, 1u) << "an engine that says nothing loads qwen3_5";
  EXPECT_THAT(narrowed, testing::ElementsAre("masks", "chunked_prefill", "reduced_storage",
                                             "family:llama", "family:qwen3_5_moe"));
  EXPECT_FALSE(NarrowLimits("nonsense").masks);
  EXPECT_FALSE(NarrowLimits({{"limits", 3}}).masks);
}

TEST(ExecutorTest, FamiliesAreNarrowedToWhatTheEngineLoadsAndTies) {
  std::vector<std::string> narrowed;
  const Limits limits = NarrowLimits({{"limits",
                                       {{"masks", true},
                                        {"chunked_prefill", true},
                                        {"storage", {"F32", "BF16", "F16"}},
                                        {"families", {"qwen3_5", "llama"}},
                                        {"tied_families", {"qwen3_5"}}}}},
                                     &narrowed);
  EXPECT_EQ(limits.families, 3u);
  EXPECT_EQ(limits.tied_families, 1u);
  EXPECT_THAT(narrowed, testing::ElementsAre("tied head of family:llama", "family:qwen3_5_moe"));
}

}  // namespace
}  // namespace crosscheck
