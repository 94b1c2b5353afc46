// `crosscheck export`: a folder that is complete in itself, or nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nlohmann/json.hpp"
#include "tests/cli/command.h"

namespace crosscheck {
namespace {

using nlohmann::json;
using testing::HasSubstr;

std::string SeedCase() { return "seeds/qwen3_5/odd_head_ratios.case"; }

class ExportTest : public testing::Test {
 protected:
  std::string Folder() { return (parent_.path() / "repro").string(); }
  TemporaryFolder parent_;
};

TEST_F(ExportTest, TheFolderIsAGoldenThatReferencesAndEnginesReproduce) {
  const CommandResult result = RunCrosscheck("export " + SeedCase() + " " + Folder());
  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (const char* file : {"config.json", "model.safetensors", "tokenizer.json", "golden.json",
                           "expected.safetensors", "repro.py", "exported.case"}) {
    EXPECT_TRUE(std::filesystem::exists(Folder() + "/" + file)) << file;
  }
  EXPECT_EQ(Slurp(Folder() + "/exported.case"), Slurp(SeedCase()));
  const json description = json::parse(Slurp(Folder() + "/golden.json"));
  EXPECT_FALSE(description["prompts"].empty());
  EXPECT_GT(description["errors"]["logits_f32_vs_f64"], 0);
  const CommandResult check = RunCrosscheck("golden check " + Folder() + " --engine exact:fp32");
  EXPECT_EQ(check.exit_code, 0) << check.out << check.err;
  const CommandResult wrong =
      RunCrosscheck("golden check " + Folder() + " --engine faulty:rope_pairing");
  EXPECT_EQ(wrong.exit_code, 2) << wrong.out << wrong.err;
}

TEST_F(ExportTest, TheScriptShowsTheExactAnswers) {
  if (std::system("/usr/bin/python3 -c 'import numpy' 2>/dev/null") != 0) {
    GTEST_SKIP() << "no Python with NumPy; ci/setup installs python3-numpy";
  }
  ASSERT_EQ(RunCrosscheck("export " + SeedCase() + " " + Folder()).exit_code, 0);
  const std::string out = (parent_.path() / "out").string();
  const std::string script = "/usr/bin/python3 " + Folder() + "/repro.py";
  ASSERT_EQ(std::system((script + " >" + out).c_str()), 0);
  EXPECT_THAT(Slurp(out), HasSubstr("exact: next token "));
  // An engine's file that is off by one is found out.
  const std::string mine = (parent_.path() / "mine.safetensors").string();
  const std::string make =
      "/usr/bin/python3 -c \"import json; "
      "d = bytes(4 * " +
      json::parse(Slurp(Folder() + "/config.json"))["text_config"]["vocab_size"].dump() +
      "); h = json.dumps({'p0.logits': {'dtype': 'F32', 'shape': [len(d) // 4], 'data_offsets': "
      "[0, len(d)]}}).encode(); open('" +
      mine + "', 'wb').write(len(h).to_bytes(8, 'little') + h + d)\"";
  ASSERT_EQ(std::system(make.c_str()), 0);
  EXPECT_EQ(WEXITSTATUS(std::system((script + " " + mine + " >" + out).c_str())), 2);
  EXPECT_THAT(Slurp(out), HasSubstr("WRONG"));
}

// A case about refusals has no prompt that a model answers.
TEST_F(ExportTest, ACaseWithoutALegalPromptKeepsItsRequests) {
  const std::string path =
      "corpus/regressions/session_protocol/session_protocol.lattice.decode_id.panic.case";
  const CommandResult result = RunCrosscheck("export " + path + " " + Folder());
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_FALSE(json::parse(Slurp(Folder() + "/golden.json"))["requests"].empty());
}

// Most of its requests follow from answers; the first one names the prompt.
TEST_F(ExportTest, ASamplerCaseThatGeneratesKeepsItsPrompt) {
  const CommandResult result = RunCrosscheck(
      "export corpus/regressions/sampler_distribution/"
      "sampler_distribution.lattice.generate_seconds.distribution.case " +
      Folder());
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const json golden = json::parse(Slurp(Folder() + "/golden.json"));
  EXPECT_EQ(golden["prompts"].size(), 1u) << golden;
  ASSERT_EQ(golden["requests"].size(), 1u) << golden;
  EXPECT_EQ(golden["requests"][0]["ids"], golden["prompts"][0]["ids"]);
}

TEST_F(ExportTest, ASubjectWithoutAModelIsAnErrorThatSaysSo) {
  const std::string path = (parent_.path() / "sampler.case").string();
  std::ofstream(path) << "subject = sampler\n";
  const CommandResult result = RunCrosscheck("export " + path + " " + Folder());
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("runs no model"));
  EXPECT_FALSE(std::filesystem::exists(Folder()));
}

TEST_F(ExportTest, ErrorsLeaveNothing) {
  std::filesystem::create_directory(Folder());
  std::ofstream(Folder() + "/mine") << "x";
  EXPECT_THAT(RunCrosscheck("export " + SeedCase() + " " + Folder()).err, HasSubstr("not empty"));
  EXPECT_EQ(RunCrosscheck("export " + SeedCase() + " /proc/repro").exit_code, 1);
  EXPECT_EQ(RunCrosscheck("export no/such.case " + Folder() + "2").exit_code, 1);
  const CommandResult full =
      RunCrosscheck("export " + SeedCase() + " " + Folder() + "3", "ulimit -f 0; ");
  EXPECT_EQ(full.exit_code, 1);
  size_t entries = 0;
  for (const auto& entry : std::filesystem::directory_iterator(parent_.path())) {
    EXPECT_EQ(entry.path().filename(), "repro");
    ++entries;
  }
  EXPECT_EQ(entries, 1u);
}

}  // namespace
}  // namespace crosscheck
