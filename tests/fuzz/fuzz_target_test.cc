// Fuzz targets: any bytes are an input, a planted fault stops the search with its signature line,
// known issues do not, and what lies beside a target is what its reader of cases understands.
#include "fuzz/fuzz_target.h"

#include <set>

#include "fuzz/corpus_store.h"
#include "fuzz/feedback.h"
#include "fuzz/side_files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "properties/visitors/read.h"
#include "reference/safetensors.h"
#include "tests/own_folder.h"

namespace crosscheck {
namespace {

using testing::HasSubstr;

std::unique_ptr<FuzzTarget> Target(std::string_view subject, std::string_view engine,
                                   std::string known_file = "") {
  auto target =
      FuzzTarget::Open({.subject = subject, .engine = engine, .known_file = std::move(known_file)});
  EXPECT_TRUE(target.ok()) << target.status();
  return target.ok() ? *std::move(target) : nullptr;
}

std::string RandomBytes(uint64_t seed, size_t size) {
  Stream stream(seed, "fuzz target test");
  std::string bytes;
  for (size_t i = 0; i < size; ++i) bytes.push_back(static_cast<char>(stream.Next()));
  return bytes;
}

Bytes AsBytes(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

TEST(FuzzTargetTest, AnyBytesAreAnInputAndACorrectEnginePasses) {
  for (const char* subject : {"model_run", "session", "generation", "lora"}) {
    const auto target = Target(subject, "exact:fp32");
    for (int i = 0; i < 60; ++i) {
      const std::string input = RandomBytes(static_cast<uint64_t>(i), static_cast<size_t>(i) * 2);
      const Verdict verdict = target->Judge(AsBytes(input));
      EXPECT_FALSE(verdict.IsFinding()) << subject << i << verdict.message;
      EXPECT_NE(verdict.kind, VerdictKind::kSetupError) << subject << i << verdict.message;
      target->Run(AsBytes(input));
    }
  }
}

TEST(FuzzTargetTest, TheFirstByteChoosesTheProperty) {
  const auto target = Target("model_run", "exact:fp32");
  std::set<std::string_view> names;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string input(1, static_cast<char>(byte));
    names.insert(target->PropertyOf(AsBytes(input)).name);
  }
  EXPECT_EQ(names.size(), target->properties().size());
  EXPECT_GT(names.size(), 1u);
  EXPECT_EQ(target->PropertyOf({}).name, target->properties()[0]->name);
}

// The first input among random ones on which the engine fails.
std::string FailingInput(FuzzTarget& target) {
  for (int i = 0; i < 400; ++i) {
    std::string input = RandomBytes(static_cast<uint64_t>(i), 120);
    input[0] = 0;
    if (target.IsNew(target.Judge(AsBytes(input)), target.CaseOf(AsBytes(input)))) return input;
  }
  return "";
}

TEST(FuzzTargetDeathTest, AFindingStopsWithItsSignatureLine) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto target = Target("model_run", "faulty:token_logit");
  const std::string input = FailingInput(*target);
  ASSERT_FALSE(input.empty());
  const Verdict verdict = target->Judge(AsBytes(input));
  EXPECT_LE(verdict.signature.ToLine().size(), 80u);
  EXPECT_DEATH(target->Run(AsBytes(input)), HasSubstr(verdict.signature.ToLine()));
}

TEST(FuzzTargetTest, AKnownIssueDoesNotStopTheSearch) {
  const auto strict = Target("model_run", "faulty:token_logit");
  const std::string input = FailingInput(*strict);
  ASSERT_FALSE(input.empty());
  const OwnFolder own;
  const std::string& known = own.path();
  const Verdict verdict = strict->Judge(AsBytes(input));
  ASSERT_TRUE(WriteFile(known, verdict.signature.ToString() +
                                   " | faulty | when always | until | planted | none.case\n")
                  .ok());
  const auto lenient = Target("model_run", "faulty:token_logit", known);
  lenient->Run(AsBytes(input));  // does not abort
  EXPECT_FALSE(lenient->IsNew(verdict, lenient->CaseOf(AsBytes(input))));
  EXPECT_TRUE(strict->IsNew(verdict, strict->CaseOf(AsBytes(input))));
}

TEST(FuzzTargetTest, WorkOfAnInputIsBoundedByItsFields) {
  const auto target = Target("model_run", "exact:fp32");
  EXPECT_LE(target->limits().max_multiply_adds, 2'000'000);
  EXPECT_LE(target->limits().max_tokens, 80);
}

TEST(FuzzTargetTest, SeedsAreTheBytesOfTheirCases) {
  const auto target = Target("model_run", "exact:fp32");
  const auto files = ListCaseFiles("seeds");
  ASSERT_TRUE(files.ok());
  const auto seeds = SeedFiles(*target, *files);
  ASSERT_TRUE(seeds.ok()) << seeds.status();
  EXPECT_GT(seeds->size(), files->size());
  for (const auto& [name, bytes] : *seeds) {
    const Case c = target->CaseOf(AsBytes(bytes));
    const Property& property = target->PropertyOf(AsBytes(bytes));
    EXPECT_THAT(name, HasSubstr(std::string(property.name)));
    EXPECT_EQ(target->BytesOf(property, c), bytes) << name;
  }
}

TEST(FuzzTargetTest, EveryDictionaryEntryIsReadAsItsValue) {
  for (const Subject* subject : Subjects()) {
    const std::vector<DictionaryEntry> entries = Dictionary(*subject, FuzzLimits(Limits()));
    EXPECT_GT(entries.size(), 20u) << subject->name;
    for (const DictionaryEntry& entry : entries) {
      ReadVisitor visitor(AsBytes(entry.bytes));
      int64_t value = 0;
      visitor.Int(entry.field, value, {.lo = 0, .hi = static_cast<int64_t>(entry.index) + 1});
      EXPECT_EQ(value, static_cast<int64_t>(entry.index)) << subject->name << " " << entry.field;
    }
  }
}

TEST(FeedbackTest, ACloserErrorIsAnotherEdgeAndTheSameOneIsNot) {
  Verdict verdict;
  verdict.signature.property = "logit_closeness";
  verdict.measures.push_back({.metric = "centred_linf", .path = "session", .error = 1, .bound = 9});
  const std::vector<unsigned> far = FeedbackBuckets(verdict);
  EXPECT_EQ(far, FeedbackBuckets(verdict));
  verdict.measures[0].error = 8;
  EXPECT_NE(far, FeedbackBuckets(verdict));
  for (const unsigned bucket : far) EXPECT_LT(bucket, kFeedbackEdges);
}

}  // namespace
}  // namespace crosscheck
