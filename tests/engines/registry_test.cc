#include "engines/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace crosscheck {
namespace {

using testing::Contains;
using testing::HasSubstr;

struct Parsed {
  const char* text;
  const char* family;
  const char* version;
  const char* variant;
};

TEST(RegistryTest, ParsesEveryFormOfAName) {
  for (const Parsed& expected :
       {Parsed{"lattice", "lattice", "", ""}, Parsed{"lattice@0.4.0", "lattice", "0.4.0", ""},
        Parsed{"native:M053@0.01", "native", "", "M053@0.01"},
        Parsed{"lattice@0.4.0:q8", "lattice", "0.4.0", "q8"},
        Parsed{"./build/libx.so", "libx.so", "", ""}, Parsed{"libx.so", "libx.so", "", ""},
        Parsed{"cmd:python3 adapter.py --fast", "python3", "", ""},
        Parsed{"cmd:/usr/bin/engine", "engine", "", ""}}) {
    const auto name = ParseEngineName(expected.text);
    ASSERT_TRUE(name.ok()) << expected.text << ": " << name.status();
    EXPECT_EQ(name->family, expected.family) << expected.text;
    EXPECT_EQ(name->version, expected.version) << expected.text;
    EXPECT_EQ(name->variant, expected.variant) << expected.text;
    EXPECT_EQ(name->text, expected.text);
  }
}

TEST(RegistryTest, RefusesNamesWithEmptyParts) {
  for (const char* text : {"", ":x", "lattice@", "lattice:", "@1", "cmd:", "folder/"}) {
    EXPECT_FALSE(ParseEngineName(text).ok()) << text;
  }
}

TEST(RegistryTest, AnUnknownNameSaysWhatExists) {
  for (const char* text : {"lettuce", "exact:fp8", "torch@2", "faulty:sloth", "faulty"}) {
    const auto engine = OpenInProcess(text);
    ASSERT_FALSE(engine.ok()) << text;
    EXPECT_THAT(std::string(engine.status().message()), HasSubstr("lattice, exact, exact:fp32"))
        << text;
  }
}

TEST(RegistryTest, AMissingVersionOfALibrarySaysHowToBuildIt) {
  const auto engine = OpenInProcess("lattice@99.0.0");
  ASSERT_FALSE(engine.ok());
  EXPECT_THAT(std::string(engine.status().message()), HasSubstr("libcrosscheck_lattice_99.0.0.so"));
  EXPECT_THAT(std::string(engine.status().message()), HasSubstr("cargo"));
}

TEST(RegistryTest, ListsReferencesFaultsAndLibraries) {
  std::vector<std::string> names;
  for (const EngineInfo& engine : ListEngines()) {
    names.push_back(engine.name);
    EXPECT_EQ(engine.hint.empty(), engine.available) << engine.name;
  }
  for (const char* name : {"lattice", "exact", "exact:fp32-chunked-pairwise", "torch", "torch:fp64",
                           "faulty:garbage"}) {
    EXPECT_THAT(names, Contains(name));
  }
}

TEST(RegistryTest, OpensWhatItListsWithoutLoadingLibtorch) {
  for (const EngineInfo& engine : ListEngines()) {
    if (engine.available) EXPECT_TRUE(OpenInProcess(engine.name).ok()) << engine.name;
  }
}

TEST(RegistryTest, ProgramsRunInTheirOwnProcessOnly) {
  EXPECT_FALSE(OpenInProcess("cmd:cat").ok());
}

}  // namespace
}  // namespace crosscheck
