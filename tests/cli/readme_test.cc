// The lists in the README are the ones that the command prints.
#include <gtest/gtest.h>

#include "tests/cli/command.h"

namespace crosscheck {
namespace {

TEST(ReadmeTest, ListsAreCurrent) {
  std::string readme = Slurp("README.md");
  const std::string begin = "<!-- crosscheck list --markdown -->\n";
  const std::string end = "<!-- end of list -->";
  size_t from = readme.find(begin);
  size_t to = readme.find(end);
  ASSERT_NE(from, std::string::npos);
  ASSERT_NE(to, std::string::npos);
  from += begin.size();
  EXPECT_EQ(readme.substr(from, to - from), RunCrosscheck("list --markdown").out)
      << "replace the lines between the two comments by the output of `crosscheck list --markdown`";
}

TEST(ReadmeTest, EveryVerbHasHelpWithTwoExamples) {
  for (std::string verb :
       {"smoke", "replay", "minimise", "show", "golden check", "calibrate", "list", "doctor"}) {
    CommandResult result = RunCrosscheck(verb + " --help");
    EXPECT_EQ(result.exit_code, 0) << verb;
    size_t first = result.out.find("  crosscheck " + verb.substr(0, verb.find(' ')));
    ASSERT_NE(first, std::string::npos) << verb << result.out;
    EXPECT_NE(result.out.find("  crosscheck ", first + 1), std::string::npos) << verb;
  }
}

TEST(ReadmeTest, VersionNamesBuildAndLibraries) {
  CommandResult result = RunCrosscheck("--version");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_NE(result.out.find("libtorch 1."), std::string::npos) << result.out;
}

}  // namespace
}  // namespace crosscheck
