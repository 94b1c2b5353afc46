#include "engines/library_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "engines/registry.h"
#include "tests/engines/engine_requests.h"

namespace crosscheck {
namespace {

using contract::Request;
using testing::HasSubstr;

std::string TestLibrary(const std::string& name) {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "lib" /
          name)
      .string();
}

std::unique_ptr<Engine> OpenMisbehaving() {
  auto engine = OpenLibraryEngine(TestLibrary("libmisbehaving_abi1.so"), Json::object());
  EXPECT_TRUE(engine.ok()) << engine.status();
  return *std::move(engine);
}

class LibraryEngineDamageTest : public testing::TestWithParam<std::pair<const char*, const char*>> {
};

TEST_P(LibraryEngineDamageTest, IsAProtocolFailureAndTheNextCallWorks) {
  const auto engine = OpenMisbehaving();
  const auto [op, message] = GetParam();
  const Reply reply = engine->Call(Request(op));
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.failure->kind, FailureKind::kProtocol);
  EXPECT_THAT(reply.failure->message, HasSubstr(message));
  EXPECT_TRUE(engine->Call(Request("ping")).ok());
}

INSTANTIATE_TEST_SUITE_P(
    Ops, LibraryEngineDamageTest,
    testing::Values(std::pair("write_before", "before the reply"),
                    std::pair("write_behind", "behind the reply"),
                    std::pair("too_long", "in an arena of"), std::pair("no_answer", "returned 7"),
                    std::pair("wrong_id", "lying: id"), std::pair("babble", "XCK1"),
                    std::pair("extra", "frame of"), std::pair("unknown_code", "tired")),
    [](const auto& info) { return std::string(info.param.first); });

TEST(LibraryEngineTest, GrowsTheArenaForALargeReply) {
  const Reply reply = OpenMisbehaving()->Call(Request("large"));
  ASSERT_TRUE(reply.ok()) << reply.failure->message;
  EXPECT_EQ(reply.message.tensors.at(0).ElementCount(), 1 << 20);
}

TEST(LibraryEngineTest, ReportsDamageInAFrameForTheHost) {
  const auto answer =
      DecodeFrame(OpenMisbehaving()->CallFrame(EncodeFrame(Request("write_behind"), 5)));
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->head["id"], 5);
  EXPECT_EQ(answer->head["error"]["code"], "protocol");
}

TEST(LibraryEngineTest, RefusesAnotherAbiVersion) {
  const auto engine = OpenInProcess(TestLibrary("libmisbehaving_abi2.so"));
  ASSERT_FALSE(engine.ok());
  EXPECT_THAT(std::string(engine.status().message()),
              HasSubstr("ABI version 2, this build speaks 1; rebuild"));
}

TEST(LibraryEngineTest, SaysWhatIsWrongWithAFileThatIsNoEngine) {
  EXPECT_THAT(std::string(OpenInProcess("/nowhere/libengine.so").status().message()),
              HasSubstr("no engine library"));
  const auto folder = ScratchFolder::Create();
  ASSERT_TRUE(folder.ok()) << folder.status();
  const std::string path = (*folder)->path() + "/text.so";
  std::ofstream(path) << "not a library";
  EXPECT_THAT(std::string(OpenInProcess(path).status().message()), HasSubstr("cannot load"));
  EXPECT_THAT(std::string(OpenInProcess("libm.so.6/").status().message()),
              HasSubstr("is a folder"));
}

}  // namespace
}  // namespace crosscheck
