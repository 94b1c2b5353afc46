// What ClusterFuzz makes of the last line of a finding (fuzzing.md 1.6): its normalisation and its
// comparison written again, over every signature that the project can emit.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "properties/property.h"
#include "properties/subject.h"
#include "properties/subjects/sampler.h"
#include "properties/verdict.h"
#include "reference/safetensors.h"
#include "reference/weights.h"

namespace crosscheck {
namespace {

// At most 80 characters; runs of four digits or more are one word.
std::string Normalised(std::string line) {
  line = line.substr(0, 80);
  std::string normal;
  for (size_t i = 0; i < line.size();) {
    const size_t end = line.find_first_not_of("0123456789", i);
    const size_t digits = std::min(end, line.size()) - i;
    normal += digits >= 4 ? "NUMBER" : line.substr(i, std::max<size_t>(digits, 1));
    i += std::max<size_t>(digits, 1);
  }
  return normal;
}

// 2 × the matching characters (longest common subsequence) by the sum of the lengths.
double Similarity(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1, 0);
  for (const char letter : a) {
    size_t diagonal = 0;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = letter == b[j - 1] ? diagonal + 1 : std::max(row[j], row[j - 1]);
      diagonal = above;
    }
  }
  return 2.0 * static_cast<double>(row.back()) / static_cast<double>(a.size() + b.size());
}

bool SameBug(const std::string& a, const std::string& b) {
  const std::string one = Normalised(a), other = Normalised(b);
  if (one.find("FuzzerHash=") != std::string::npos) return one == other;
  return Similarity(one, other) > 0.8;
}

// Every word of the sources of properties/ that a stage could be: more than the stages there are.
std::set<std::string> WordsOf(const std::string& folder) {
  std::set<std::string> words;
  const std::regex literal("\"([a-z][a-z0-9_-]*)\"");
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    const auto text = ReadFile(entry.path().string());
    EXPECT_TRUE(text.ok()) << text.status();
    for (std::sregex_iterator it(text->begin(), text->end(), literal), end; it != end; ++it) {
      words.insert((*it)[1]);
    }
  }
  return words;
}

// Stages of one word, and of two (prefill_decode, path_agreement, sampler_distribution).
std::set<std::string> Stages() {
  std::set<std::string> stages = WordsOf("properties");
  const std::vector<std::string_view> ways = {"readout", "prompt", "session", "split", "hidden"};
  std::vector<std::string_view> before = ways;
  before.insert(before.end(), std::begin(kWeightFormatNames), std::end(kWeightFormatNames));
  const auto add = [&stages](std::string_view first, char between, std::string_view second) {
    stages.insert(std::string(first) + between + std::string(second));
  };
  for (const std::string_view first : before) {
    for (const std::string_view second : ways) add(first, '-', second);
  }
  for (const std::string_view mode : kSamplerModeNames) {
    for (const std::string_view seeds : kSeedKindNames) add(mode, '_', seeds);
  }
  return stages;
}

TEST(SignatureLinesTest, EverySignatureStaysItsOwnBugAfterNormalisation) {
  const std::set<std::string> stages = Stages();
  EXPECT_GT(stages.size(), 300u);
  for (const char* known : {"session", "readout", "prompt", "logprobs", "trace", "budget"}) {
    EXPECT_TRUE(stages.count(known) == 1) << known;
  }
  std::map<std::string, std::string> signature_of;
  for (const Property* property : Properties()) {
    for (const char* engine : {"lattice", "exact", "serve.py"}) {
      for (const std::string& stage : stages) {
        for (size_t error = 0; error < std::size(kErrorClassNames); ++error) {
          const Signature signature{std::string(property->name), engine, stage,
                                    static_cast<ErrorClass>(error)};
          const std::string line = signature.ToLine();
          ASSERT_LE(line.size(), 80u) << line;
          const auto [at, added] = signature_of.emplace(Normalised(line), signature.ToString());
          ASSERT_TRUE(added) << line << " is of " << at->second << " and " << signature.ToString();
        }
      }
    }
  }
}

// Without the hash these are one bug, so the test above judges by a rule that can merge them.
TEST(SignatureLinesTest, OnlyTheHashKeepsLikeLinesApart) {
  const Signature a{"logit_closeness", "lattice", "session", ErrorClass::kNumeric};
  const Signature b{"logit_closeness", "lattice", "session", ErrorClass::kNonfinite};
  const std::string first = a.ToLine(), second = b.ToLine();
  EXPECT_FALSE(SameBug(first, second));
  EXPECT_TRUE(SameBug(first, first));
  EXPECT_TRUE(SameBug(first.substr(0, first.find(" FuzzerHash")),
                      second.substr(0, second.find(" FuzzerHash"))));
  // Digits in the hash would not do.
  EXPECT_TRUE(SameBug("at x FuzzerHash=12345678", "at x FuzzerHash=87654321"));
}

TEST(FuzzTargetsTest, EverySubjectHasATarget) {
  const auto text = ReadFile("CMakeLists.txt");
  ASSERT_TRUE(text.ok());
  std::smatch found;
  ASSERT_TRUE(
      std::regex_search(*text, found, std::regex("set\\(CROSSCHECK_FUZZ_SUBJECTS ([a-z_ ]+)\\)")));
  const std::vector<std::string> listed = absl::StrSplit(found[1].str(), ' ', absl::SkipEmpty());
  std::vector<std::string> subjects;
  for (const Subject* subject : Subjects()) subjects.emplace_back(subject->name);
  EXPECT_EQ(listed, subjects);
}

}  // namespace
}  // namespace crosscheck
