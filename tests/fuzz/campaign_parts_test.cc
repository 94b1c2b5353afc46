// The parts of a campaign that need no process.
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "engines/child_process.h"
#include "fuzz/campaign/batch_runner.h"
#include "fuzz/campaign/budget.h"
#include "fuzz/campaign/case_sequence.h"
#include "fuzz/campaign/corpus_file.h"
#include "fuzz/campaign/resources.h"
#include "fuzz/campaign/task_source.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/own_folder.h"

namespace crosscheck {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;

// Seconds that each arm got of `total`, when an arm's second brings its reward.
std::vector<double> Spend(const std::vector<double>& rewards, int total) {
  Budget budget(rewards.size());
  std::vector<double> spent(rewards.size());
  const std::vector<bool> all(rewards.size(), true);
  for (int i = 0; i < total; ++i) {
    const int arm = budget.Choose(all);
    budget.Charge(arm, 1);
    budget.Settle(arm, 1, 1, rewards[static_cast<size_t>(arm)]);
    spent[static_cast<size_t>(arm)] += 1;
  }
  return spent;
}

TEST(BudgetTest, HalfIsSharedEvenlyAndHalfByWhatWasFound) {
  const std::vector<double> spent = Spend({0, 3, 1, 0}, 4000);
  EXPECT_THAT(spent[0], DoubleNear(500, 20));
  EXPECT_THAT(spent[1], DoubleNear(500 + 1500, 30));
  EXPECT_THAT(spent[2], DoubleNear(500 + 500, 30));
  EXPECT_THAT(spent[3], DoubleNear(500, 20));
}

TEST(BudgetTest, WithoutAnyRewardTimeIsSharedEvenly) {
  for (const double spent : Spend({0, 0, 0, 0, 0}, 1000)) EXPECT_THAT(spent, DoubleNear(200, 2));
}

TEST(BudgetTest, AnArmThatMayNotRunIsNotChosen) {
  Budget budget(3);
  EXPECT_EQ(budget.Choose({false, false, true}), 2);
  EXPECT_EQ(budget.Choose({false, false, false}), -1);
}

class TaskSourceTest : public testing::Test {
 protected:
  TaskSourceTest() : store_(Store::Open(own_.path() + "/0.sqlite")) {
    auto source = TaskSource::Create({.engines = {"exact"},
                                      .properties = {"causality", "loader"},
                                      .targets = {},
                                      .corpus = false},
                                     1, *store_);
    EXPECT_TRUE(source.ok()) << source.status();
    source_.emplace(*std::move(source));
  }
  // How many cases the property got in `batches` batches, of which `judged` were judged; the other
  // property's are.
  int64_t Cases(const std::string& property, int64_t judged, int batches) {
    int64_t cases = 0;
    for (int i = 0; i < batches; ++i) {
      std::optional<Task> task = source_->Next();
      if (!task) break;
      const bool is_it = task->batch.property == property;
      BatchRow done{.first = task->batch.first,
                    .cases = task->batch.cases,
                    .seconds = 0.001,
                    .new_inputs = 1};
      if (is_it) done.unsupported = std::max<int64_t>(0, done.cases - judged);
      if (is_it) cases += done.cases;
      source_->Settle(*task, done, 0);
    }
    return cases;
  }

  const OwnFolder own_;
  absl::StatusOr<Store> store_;
  std::optional<TaskSource> source_;
};

TEST_F(TaskSourceTest, WhatTheEngineDoesNotServeIsNotDrawnForEver) {
  EXPECT_GE(Cases("loader", 0, 20), 512);
  EXPECT_EQ(Cases("loader", 0, 100), 0);
  EXPECT_FALSE(source_->NothingIsServed());
}

TEST_F(TaskSourceTest, WhatTheEngineServesSeldomIsDrawnOn) {
  EXPECT_GE(Cases("loader", 1, 20), 512);
  EXPECT_GE(Cases("loader", 1, 100), 5120);
}

TEST_F(TaskSourceTest, AnEngineThatServesNothingIsSaid) {
  Cases("loader", 0, 20);
  Cases("causality", 0, 100);
  EXPECT_FALSE(source_->NothingIsServed());  // causality had been judged before
  source_.emplace(*TaskSource::Create(
      {.engines = {"exact"}, .properties = {"loader"}, .targets = {}}, 1, *store_));
  Cases("loader", 0, 20);
  EXPECT_TRUE(source_->NothingIsServed());
}

TEST(CaseSequenceTest, FillsWhatAKilledRunLeftOutFirst) {
  CaseSequence sequence({{0, 10}, {20, 5}, {25, 5}, {40, 2}});
  const auto next = [&sequence](int64_t at_most) {
    const CaseSequence::Range range = sequence.Next(at_most);
    return std::make_pair(range.first, range.cases);
  };
  EXPECT_EQ(next(6), std::make_pair(int64_t{10}, int64_t{6}));
  EXPECT_EQ(next(6), std::make_pair(int64_t{16}, int64_t{4}));
  EXPECT_EQ(next(6), std::make_pair(int64_t{30}, int64_t{6}));
  sequence.Return({33, 3});
  EXPECT_EQ(next(6), std::make_pair(int64_t{33}, int64_t{3}));
  EXPECT_EQ(next(6), std::make_pair(int64_t{36}, int64_t{4}));
  EXPECT_EQ(next(6), std::make_pair(int64_t{42}, int64_t{6}));
  EXPECT_EQ(next(6), std::make_pair(int64_t{48}, int64_t{6}));
}

class CorpusFileTest : public testing::Test {
 protected:
  CorpusFileTest() { std::filesystem::create_directories(own_.path()); }
  std::string Bytes() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void Rewrite(const std::string& bytes) const { std::ofstream(path_, std::ios::binary) << bytes; }
  void Append(const std::vector<std::string>& payloads) const {
    auto writer = CorpusWriter::Open(path_);
    ASSERT_TRUE(writer.ok()) << writer.status();
    for (const std::string& payload : payloads) ASSERT_TRUE(writer->Append(payload).ok());
  }

  const OwnFolder own_;
  const std::string path_ = own_.path() + "/" + CorpusFileName(3);
};

TEST_F(CorpusFileTest, IsReadFromAnOffsetOn) {
  EXPECT_EQ(CorpusFileName(3), "corpus.000003");
  Append({"one", std::string("t\0wo", 4)});
  const auto first = ReadCorpusRecords(path_, 0);
  EXPECT_THAT(first->payloads, ElementsAre("one", std::string("t\0wo", 4)));
  EXPECT_EQ(first->skipped_bytes, 0);
  Append({"three"});
  const auto second = ReadCorpusRecords(path_, first->end);
  EXPECT_THAT(second->payloads, ElementsAre("three"));
  EXPECT_THAT(ReadCorpusRecords(path_, second->end)->payloads, testing::IsEmpty());
  EXPECT_THAT(ReadCorpusRecords(path_ + ".none", 0)->payloads, testing::IsEmpty());
}

TEST_F(CorpusFileTest, ATornTailIsLeftToReadersAndCutOffByTheWriter) {
  Append({"one", "two"});
  const std::string whole = Bytes();
  const int64_t first = ReadCorpusRecords(path_, 0)->end - static_cast<int64_t>(whole.size() / 2);
  for (size_t size = whole.size() / 2; size < whole.size(); ++size) {
    Rewrite(whole.substr(0, size));
    const auto records = ReadCorpusRecords(path_, 0);
    EXPECT_THAT(records->payloads, ElementsAre("one")) << size;
    EXPECT_EQ(records->end, first) << size;
    EXPECT_EQ(records->skipped_bytes, 0) << size;
    {
      const auto writer = CorpusWriter::Open(path_);
      EXPECT_EQ(writer->torn_bytes(), static_cast<int64_t>(size) - first) << size;
    }
    Append({"three"});
    EXPECT_THAT(ReadCorpusRecords(path_, 0)->payloads, ElementsAre("one", "three")) << size;
  }
}

TEST_F(CorpusFileTest, ADamagedRecordIsSkippedAndCounted) {
  Append({"one", "two", "three"});
  const std::string whole = Bytes();
  const size_t begin = whole.find("two") - 16, end = whole.find("two") + 3;
  for (size_t at = begin; at < end; ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x40);
    Rewrite(damaged);
    const auto records = ReadCorpusRecords(path_, 0);
    EXPECT_THAT(records->payloads, ElementsAre("one", "three")) << at;
    EXPECT_EQ(records->skipped_bytes, 19) << at;
  }
}

TEST_F(CorpusFileTest, OneWriterAtATime) {
  const auto first = CorpusWriter::Open(path_);
  ASSERT_TRUE(first.ok());
  EXPECT_THAT(std::string(CorpusWriter::Open(path_).status().message()),
              HasSubstr("another `crosscheck fuzz` runs this shard"));
  EXPECT_FALSE(CorpusWriter::Open(own_.path() + "/none/corpus").ok());
}

TEST(CorpusInputTest, ComesBackAsItWas) {
  for (const Property* property : Properties()) {
    Stream stream(5, property->name);
    const Case c = property->subject->random(stream, Limits());
    const auto back = ParseCorpusInput(PrintCorpusInput(*property, c));
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(back->property, property);
    EXPECT_TRUE(property->subject->equal(back->value, c)) << property->name;
  }
  EXPECT_FALSE(ParseCorpusInput("").ok());
  EXPECT_FALSE(ParseCorpusInput("property = nonesuch\nsubject = sampler\n").ok());
  EXPECT_FALSE(ParseCorpusInput("property = loader\nsubject = sampler\n").ok());
}

TEST(MutatedCaseTest, IsALegalCaseNearItsBaseAndTheSameForTheSameIndex) {
  const Property& property = *FindProperty("sampler_distribution");
  Stream stream(5, "base");
  const Subject& subject = *property.subject;
  const std::vector<Case> bases = {subject.random(stream, Limits()),
                                   subject.random(stream, Limits())};
  int changed = 0;
  for (int64_t index = 0; index < 200; ++index) {
    const Case c = MutatedCase(bases, 7, index, Limits());
    EXPECT_TRUE(subject.equal(c, MutatedCase(bases, 7, index, Limits())));
    EXPECT_TRUE(subject.equal(c, subject.clamp(c, Limits())));
    changed += !subject.equal(c, bases[0]) && !subject.equal(c, bases[1]);
  }
  EXPECT_GT(changed, 150);
}

TEST(ResourcesTest, SlopeIsThatOfALine) {
  EXPECT_DOUBLE_EQ(Slope({{0, 5}, {1, 7}, {2, 9}, {5, 15}}), 2);
  EXPECT_EQ(Slope({}), 0);
  EXPECT_EQ(Slope({{1, 1}, {1, 2}}), 0);
}

// A child of this process, here `sh`, is a worker; what it starts is an engine.
TEST(ResourcesTest, MemoryIsTakenApartByWhatProcessesDo) {
  auto child = ChildProcess::Start({"/bin/sh", "-c", "exec 3<&0; cat <&3 & echo ready; wait"}, {});
  ASSERT_TRUE(child.ok()) << child.status();
  InputBuffer output;
  std::string_view nothing;
  ASSERT_EQ((*child)->Exchange(&nothing, &output, 0,
                               ChildProcess::Clock::now() + std::chrono::seconds(60)),
            ChildProcess::Event::kInput);
  const MemoryUse use = MemoryOfCampaign(getpid());
  EXPECT_GT(use.supervisor, use.workers);
  EXPECT_GT(use.workers, 0);
  EXPECT_GT(use.engines, 0);
  EXPECT_EQ(use.Sum(), use.supervisor + use.workers + use.engines);
  EXPECT_EQ(MemoryOfCampaign((*child)->pid()).workers, use.engines);
}

// Blocks of many sizes, freed but for the last: what an allocator keeps for the next ones.
TEST(ResourcesTest, FreedMemoryGoesBackToTheSystem) {
  constexpr int64_t kBlocks = 60'000, kBytes = 900;
  std::vector<std::unique_ptr<char[]>> blocks;
  blocks.reserve(kBlocks);
  for (int i = 0; i < kBlocks; ++i) blocks.push_back(std::make_unique<char[]>(500 + i % 1000));
  blocks.erase(blocks.begin(), blocks.end() - 1);
  const int64_t kept = MemoryOfCampaign(getpid()).supervisor;
  ASSERT_GT(kept, kBlocks * kBytes);
  ReturnFreeMemory();
  EXPECT_LT(MemoryOfCampaign(getpid()).supervisor, kept - kBlocks * kBytes * 2 / 3);
}

TEST(ResourcesTest, CountsThisProcessAndTheFilesOfAFolder) {
  EXPECT_GT(MemoryOfCampaign(getpid()).supervisor, 1 << 20);
  EXPECT_EQ(MemoryOfCampaign(-1).Sum(), 0);
  const OwnFolder own;
  std::filesystem::create_directories(own.path() + "/a/b");
  std::ofstream(own.path() + "/a/b/c") << "12345";
  std::ofstream(own.path() + "/d") << "123";
  EXPECT_EQ(FolderBytes(own.path()), 8);
  EXPECT_EQ(FolderBytes(own.path() + "/none"), 0);
}

}  // namespace
}  // namespace crosscheck
