#include <gtest/gtest.h>

#include <set>

#include "properties/property.h"
#include "properties/subjects/model_run.h"

namespace crosscheck {
namespace {

TEST(RegistryTest, HoldsTheListedPropertiesWithUniqueNames) {
  std::set<std::string_view> names;
  for (const Property* property : Properties()) {
    EXPECT_TRUE(names.insert(property->name).second) << property->name;
    EXPECT_EQ(FindProperty(property->name), property);
    EXPECT_NE(property->subject, nullptr);
    EXPECT_NE(property->plan, nullptr);
    EXPECT_NE(property->judge, nullptr);
  }
  for (std::string_view name : {"logit_closeness", "greedy_prefix", "reference_agreement"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
  EXPECT_EQ(FindProperty("no_such_property"), nullptr);
}

// Judging.md 9: at least one engine that it kills and one that it passes, unless it judges the
// references alone.
TEST(RegistryTest, EveryPropertyThatNeedsAnEngineNamesWhatItKillsAndPasses) {
  for (const Property* property : Properties()) {
    if (property->needs.empty()) continue;
    EXPECT_FALSE(property->kills.empty()) << property->name;
    EXPECT_FALSE(property->benign.empty()) << property->name;
  }
}

TEST(RegistryTest, ATestMayAddAProperty) {
  static const Property extra = {.name = "extra_of_a_test",
                                 .subject = &ModelRunSubject(),
                                 .needs = {},
                                 .kills = {},
                                 .benign = {},
                                 .plan = [](const Case&) { return crosscheck::Runs{}; },
                                 .judge = [](const Case&, Observations&) { return Verdict{}; }};
  size_t before = Properties().size();
  AddProperty(extra);
  EXPECT_EQ(Properties().size(), before + 1);
  EXPECT_EQ(FindProperty("extra_of_a_test"), &extra);
  EXPECT_DEATH(AddProperty(extra), "second property");
}

}  // namespace
}  // namespace crosscheck
