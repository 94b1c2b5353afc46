// The lists in the README are the ones that the command prints.
#include <gtest/gtest.h>

#include <regex>

#include "tests/cli/command.h"

namespace crosscheck {
namespace {

// The lines between two comments of the README are what the command in the first one prints.
void ExpectCurrent(const std::string& arguments, const std::string& end) {
  const std::string readme = Slurp("README.md");
  const std::string begin = "<!-- crosscheck " + arguments + " -->\n";
  size_t from = readme.find(begin);
  const size_t to = readme.find(end);
  ASSERT_NE(from, std::string::npos);
  ASSERT_NE(to, std::string::npos);
  from += begin.size();
  EXPECT_EQ(readme.substr(from, to - from), RunCrosscheck(arguments).out)
      << "replace the lines between the two comments by the output of `crosscheck " << arguments
      << "`";
}

TEST(ReadmeTest, ListsAreCurrent) {
  ExpectCurrent("list --markdown", "<!-- end of list -->");
  ExpectCurrent("list --history corpus/history", "<!-- end of history -->");
}

TEST(ReadmeTest, EveryVerbHasHelpWithTwoExamples) {
  for (std::string verb :
       {"smoke", "replay", "bracket", "minimise", "show", "export", "golden check", "golden record",
        "compare", "serve", "calibrate", "list", "doctor"}) {
    CommandResult result = RunCrosscheck(verb + " --help");
    EXPECT_EQ(result.exit_code, 0) << verb;
    size_t first = result.out.find("  crosscheck " + verb.substr(0, verb.find(' ')));
    ASSERT_NE(first, std::string::npos) << verb << result.out;
    EXPECT_NE(result.out.find("  crosscheck ", first + 1), std::string::npos) << verb;
  }
}

// Every flag after `crosscheck VERB` in the pages and files for CI is one of the verb's.
TEST(ReadmeTest, CommandsForCiUseFlagsThatExist) {
  const std::regex command("crosscheck (smoke|replay|golden check|show|export)( [^\n`]*)");
  const std::regex flag(" (--[a-z]+)");
  int flags = 0;
  for (const char* file : {"docs/ci.md", "ci/workflows/crosscheck.yml", "Dockerfile"}) {
    const std::string text = Slurp(file);
    ASSERT_FALSE(text.empty()) << file;
    for (std::sregex_iterator at(text.begin(), text.end(), command), end; at != end; ++at) {
      const std::string help = RunCrosscheck((*at)[1].str() + " --help").out;
      const std::string arguments = (*at)[2];
      for (std::sregex_iterator word(arguments.begin(), arguments.end(), flag); word != end;
           ++word) {
        EXPECT_NE(help.find((*word)[1]), std::string::npos) << file << ": " << at->str();
        ++flags;
      }
    }
  }
  EXPECT_GT(flags, 10);
}

TEST(ReadmeTest, VersionNamesBuildAndLibraries) {
  CommandResult result = RunCrosscheck("--version");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_NE(result.out.find("libtorch 1."), std::string::npos) << result.out;
}

}  // namespace
}  // namespace crosscheck
