#include "engines/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

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
        Parsed{"cmd:python3 adapter.py --fast", "adapter.py", "", ""},
        Parsed{"python3 ./tools/adapter.py", "adapter.py", "", ""},
        Parsed{"python3 -m adapter", "python3", "", ""},
        Parsed{"server --model x.gguf", "server", "", ""}, Parsed{"/bin/cat", "cat", "", ""},
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
  for (const char* text : {"", ":x", "lattice@", "lattice:", "@1", "cmd:", " ", "folder/"}) {
    EXPECT_FALSE(ParseEngineName(text).ok()) << text;
  }
}

TEST(RegistryTest, AnUnknownNameSaysWhatExists) {
  for (const char* text : {"lettuce", "exact:fp8", "torch@2", "faulty:sloth", "faulty"}) {
    const auto engine = OpenInProcess(text);
    ASSERT_FALSE(engine.ok()) << text;
    EXPECT_THAT(std::string(engine.status().message()), HasSubstr("lattice, hf, exact, exact:fp32"))
        << text;
  }
}

TEST(RegistryTest, AMissingVersionOfALibrarySaysHowToBuildIt) {
  const auto engine = OpenInProcess("lattice@99.0.0");
  ASSERT_FALSE(engine.ok());
  EXPECT_THAT(std::string(engine.status().message()), HasSubstr("libcrosscheck_lattice_99.0.0.so"));
  EXPECT_THAT(std::string(engine.status().message()),
              testing::AnyOf(HasSubstr("built versions: "), HasSubstr("cargo")));
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
    if (CommandLineOf(engine.name).has_value()) continue;  // in its own process only
    if (engine.available) EXPECT_TRUE(OpenInProcess(engine.name).ok()) << engine.name;
  }
}

TEST(RegistryTest, ProgramsRunInTheirOwnProcessOnly) {
  for (const char* text : {"cmd:cat", "/bin/cat", "cat -u"}) {
    const auto engine = OpenInProcess(text);
    ASSERT_FALSE(engine.ok()) << text;
    EXPECT_THAT(std::string(engine.status().message()), HasSubstr("its own process")) << text;
  }
}

TEST(RegistryTest, TransformersIsAProgramWithANameOfItsOwn) {
  const std::string command = CommandLineOf("hf").value_or("");
  EXPECT_THAT(command, HasSubstr("/engines/process/hf_transformers.py'"));
  EXPECT_THAT(CommandLineOf("hf:f64").value_or(""), testing::EndsWith(".py' f64"));
  EXPECT_EQ(CommandLineOf("hf:;ls"), std::nullopt);
  const auto name = ParseEngineName("hf:f64");
  ASSERT_TRUE(name.ok()) << name.status();
  EXPECT_EQ(name->family, "hf");
  EXPECT_EQ(name->variant, "f64");
}

TEST(RegistryTest, TellsProgramsFromLibrariesAndNames) {
  EXPECT_EQ(CommandLineOf("python3 adapter.py"), "python3 adapter.py");
  EXPECT_EQ(CommandLineOf("cmd:cat"), "cat");
  EXPECT_EQ(CommandLineOf("/bin/cat"), "/bin/cat");
  for (const char* text : {"lattice", "faulty:none", "./libx.so", "/no/such/program", "/bin"}) {
    EXPECT_EQ(CommandLineOf(text), std::nullopt) << text;
  }
  // Libraries are often executable files, and may lie in a folder whose name has a space.
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("registry test " + std::to_string(getpid()));
  std::filesystem::create_directory(folder);
  const std::string library = folder / "libx.so";
  std::ofstream(library) << "x";
  std::filesystem::permissions(library, std::filesystem::perms::all);
  EXPECT_EQ(CommandLineOf(library), std::nullopt);
  std::filesystem::remove_all(folder);
}

TEST(RegistryTest, AStarStandsForTheVersionsThatAreBuiltAndOnlyForThose) {
  std::vector<std::string> built;
  for (const EngineInfo& info : ListEngines()) {
    if (info.name == "lattice") built = info.versions;
  }
  const auto expanded = ExpandEngines("torch,lattice@*,lattice@0.4.0");
  if (built.empty()) {
    EXPECT_THAT(expanded.status().message(), HasSubstr("no version is built"));
    return;
  }
  ASSERT_TRUE(expanded.ok()) << expanded.status();
  ASSERT_EQ(expanded->size(), built.size() + 2);
  EXPECT_EQ(expanded->front(), "torch");
  for (size_t i = 0; i < built.size(); ++i) EXPECT_EQ((*expanded)[i + 1], "lattice@" + built[i]);
  EXPECT_EQ(expanded->back(), "lattice@0.4.0");
  const auto nine = std::find(built.begin(), built.end(), "0.9.0");
  const auto fourteen = std::find(built.begin(), built.end(), "0.14.0");
  EXPECT_LE(nine, fourteen) << "as numbers, not as text";
  EXPECT_THAT(ExpandEngines("torch@*").status().message(), HasSubstr("torch has no versions"));
}

}  // namespace
}  // namespace crosscheck
