// What docs/lattice.md says about each version is what that version says of itself.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "engines/registry.h"
#include "reference/safetensors.h"
#include "tests/engines/engine_requests.h"

namespace crosscheck {
namespace {

// The versions of lattice that are built, without a local checkout.
std::vector<std::string> BuiltReleases() {
  for (const EngineInfo& engine : ListEngines()) {
    if (engine.name != "lattice") continue;
    std::vector<std::string> versions = engine.versions;
    versions.erase(std::remove(versions.begin(), versions.end(), "local"), versions.end());
    return versions;
  }
  return {};
}

std::string List(const std::vector<std::string>& names) {
  return names.empty() ? "–" : absl::StrJoin(names, ", ");
}

// Of what some version lacks.
std::vector<std::string> NotServed(const Json& limits) {
  std::vector<std::string> names;
  for (const char* name : {"min_p", "sampler_history", "logprobs", "stream", "hidden",
                           "hidden_of_one_token", "hidden_of_f16"}) {
    if (!limits.value(name, false)) names.emplace_back(name);
  }
  return names;
}

TEST(LatticeVersionsTest, TheDocumentedTableIsWhatHelloSays) {
  const absl::StatusOr<std::string> page = ReadFile("docs/lattice.md");
  ASSERT_TRUE(page.ok()) << page.status();
  const std::vector<std::string> lines = absl::StrSplit(*page, '\n');
  const std::vector<std::string> versions = BuiltReleases();
  if (versions.empty()) GTEST_SKIP() << "no version of lattice is built";
  for (const std::string& version : versions) {
    const auto engine = OpenInProcess("lattice@" + version);
    ASSERT_TRUE(engine.ok()) << engine.status();
    const Json hello = contract::Hello(**engine);
    EXPECT_EQ(hello["name"], "lattice");
    EXPECT_EQ(hello["version"], version);
    const Json& limits = hello["limits"];
    const std::string row =
        absl::StrCat("| ", version, " | ", List(limits["paths"]), " | ", List(limits["families"]),
                     " | ", List(NotServed(limits)), " |");
    EXPECT_TRUE(std::any_of(lines.begin(), lines.end(),
                            [&](const std::string& line) { return absl::StartsWith(line, row); }))
        << "docs/lattice.md has no row " << row;
  }
}

}  // namespace
}  // namespace crosscheck
