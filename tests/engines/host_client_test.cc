#include "engines/host_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engines/child_process.h"
#include "engines/scratch_folder.h"
#include "tests/engines/engine_requests.h"

namespace crosscheck {
namespace {

using contract::Request;
using testing::HasSubstr;
using testing::StartsWith;
namespace fs = std::filesystem;

fs::path BuildFolder() { return fs::read_symlink("/proc/self/exe").parent_path().parent_path(); }
std::string Misbehaving() { return (BuildFolder() / "lib/libmisbehaving_abi1.so").string(); }

std::unique_ptr<HostClient> Start(HostOptions options) {
  auto client = HostClient::Start(options);
  EXPECT_TRUE(client.ok()) << client.status();
  return client.ok() ? *std::move(client) : nullptr;
}

std::unique_ptr<HostClient> StartMisbehaving(double deadline = 5, int repeat_one_in = 0) {
  return Start(
      {.engine = Misbehaving(), .deadline_seconds = deadline, .repeat_one_in = repeat_one_in});
}

Failure FailureOf(HostClient& client, const Message& request) {
  Reply reply = client.Call(request);
  EXPECT_FALSE(reply.ok()) << reply.message.head.dump();
  return reply.ok() ? Failure{} : *std::move(reply.failure);
}

// One row: the op that the misbehaving engine gets, what the client reports, and whether the child
// was replaced.
struct Fault {
  const char* op;
  FailureKind kind;
  const char* message;
  bool restarts;
};

class HostClientFaultTest : public testing::TestWithParam<Fault> {};

TEST_P(HostClientFaultTest, IsReportedAndTheNextCallWorks) {
  const Fault& fault = GetParam();
  const auto client = StartMisbehaving(fault.kind == FailureKind::kSlow ? 0.3 : 5);
  ASSERT_NE(client, nullptr);
  const Failure failure = FailureOf(*client, Request(fault.op, {{"ids", {1, 2}}}));
  EXPECT_EQ(kFailureKindNames[static_cast<int>(failure.kind)],
            kFailureKindNames[static_cast<int>(fault.kind)]);
  EXPECT_THAT(failure.message, HasSubstr(fault.message));
  EXPECT_TRUE(client->Call(Request("ping")).ok());
  EXPECT_EQ(client->generation(), fault.restarts ? 2 : 1);
}

INSTANTIATE_TEST_SUITE_P(
    Ops, HostClientFaultTest,
    testing::Values(
        Fault{"segv", FailureKind::kDead, "signal 11 during segv", true},
        Fault{"abort", FailureKind::kDead, "signal 6 during abort", true},
        Fault{"exit", FailureKind::kDead, "exit 7 during exit", true},
        Fault{"rust_memory", FailureKind::kOutOfMemory, "signal 6", true},
        Fault{"hang", FailureKind::kSlow, "no answer to hang within 0.3 s", true},
        Fault{"spin", FailureKind::kSlow, "no answer to spin within 0.3 s", true},
        Fault{"babble", FailureKind::kProtocol, "babbling: loading model\\x01 ... 100 %\\n", true},
        Fault{"extra", FailureKind::kProtocol, "babbling: ", true},
        Fault{"wrong_id", FailureKind::kProtocol, "lying: id, expected 2, got 4711", true},
        Fault{"unknown_code", FailureKind::kProtocol, "lying: error.code", true},
        Fault{"write_behind", FailureKind::kProtocol, "guard bytes behind the reply", true},
        Fault{"no_answer", FailureKind::kProtocol, "xck_call returned 7", true},
        Fault{"hidden", FailureKind::kProtocol,
              "lying: hidden shape, expected [2, any], got [7, 1]", true},
        Fault{"taps", FailureKind::kProtocol, "lying: ", true}),
    [](const auto& info) { return std::string(info.param.op); });

// The process that this thread has started.
pid_t OnlyChild() {
  std::ifstream children(absl::StrCat("/proc/self/task/", gettid(), "/children"));
  pid_t child = 0;
  children >> child;
  EXPECT_GT(child, 0);
  return child;
}

// Keeps one core busy, so that a process of low priority there starves.
class BusyCore {
 public:
  explicit BusyCore(pid_t victim) {
    cpu_set_t core;
    CPU_ZERO(&core);
    CPU_SET(sched_getcpu(), &core);
    EXPECT_EQ(sched_setaffinity(victim, sizeof core, &core), 0);
    EXPECT_EQ(setpriority(PRIO_PROCESS, static_cast<id_t>(victim), 19), 0);
    spinner_ = std::thread([this, core] {
      EXPECT_EQ(sched_setaffinity(0, sizeof core, &core), 0);
      while (!done_) {
      }
    });
  }
  ~BusyCore() {
    done_ = true;
    spinner_.join();
  }

 private:
  std::atomic<bool> done_ = false;
  std::thread spinner_;
};

TEST(HostClientTest, AnEngineThatWaitsForACoreIsNotSlow) {
  const auto client = StartMisbehaving(0.1);
  ASSERT_NE(client, nullptr);
  const BusyCore busy(OnlyChild());
  const Reply reply = client->Call(Request("work"));
  EXPECT_TRUE(reply.ok()) << reply.failure->message;
  EXPECT_EQ(client->generation(), 1);
}

TEST(HostClientTest, KeepsTheLastTwentyLinesOfStderr) {
  const auto client = StartMisbehaving();
  const std::vector<std::string> lines =
      absl::StrSplit(FailureOf(*client, Request("abort")).stderr_tail, '\n');
  ASSERT_EQ(lines.size(), 20u);
  EXPECT_EQ(lines.front(), "line 10");
  EXPECT_EQ(lines.back(), "line 29");
}

TEST(HostClientTest, ALibraryThatPrintsCannotReachTheFrames) {
  const auto client = StartMisbehaving();
  EXPECT_TRUE(client->Call(Request("print")).ok());
  EXPECT_EQ(client->generation(), 1);
}

TEST(HostClientTest, SkipsProgressFramesAndTakesLargeAnswers) {
  const auto client = StartMisbehaving();
  EXPECT_TRUE(client->Call(Request("progress")).ok());
  const Reply large = client->Call(Request("large"));
  ASSERT_TRUE(large.ok());
  EXPECT_EQ(large.message.tensors.at(0).bytes.size(), size_t{4} << 20);
}

TEST(HostClientTest, SendsRequestsLargerThanAPipe) {
  const auto client = StartMisbehaving();
  Message request = Request("ping");
  request.tensors.push_back(MakeTensor("zeros", {3 << 20}, std::vector<float>(3 << 20)));
  EXPECT_TRUE(client->Call(request).ok());
}

// The engine answers the number of the call, so a repeated request is a lie.
std::vector<bool> RepeatedAmongThirty(HostClient& client) {
  std::vector<bool> repeated;
  for (int id = 0; id < 30; ++id) {
    const Reply reply = client.Call(Request("nll", {{"ids", {1, id}}}));
    repeated.push_back(!reply.ok());
    if (reply.ok()) continue;
    EXPECT_EQ(reply.failure->kind, FailureKind::kProtocol);
    EXPECT_THAT(reply.failure->message, HasSubstr("nll of a repeated nll, expected the same bits"));
  }
  return repeated;
}

TEST(HostClientTest, ARepeatedRequestMustBeBitEqual) {
  const std::vector<bool> repeated = RepeatedAmongThirty(*StartMisbehaving(5, 3));
  const auto count = std::count(repeated.begin(), repeated.end(), true);
  EXPECT_GE(count, 4);  // ten are expected
  EXPECT_LE(count, 18);
}

TEST(HostClientTest, WhichRequestIsRepeatedFollowsFromTheRequest) {
  const auto client = StartMisbehaving(5, 3);
  EXPECT_EQ(RepeatedAmongThirty(*client), RepeatedAmongThirty(*client));
}

TEST(HostClientTest, AnEngineThatDoesNotOpenIsAnErrorThatSaysWhy) {
  const auto unknown = HostClient::Start({.engine = "lettuce"});
  ASSERT_FALSE(unknown.ok());
  EXPECT_THAT(std::string(unknown.status().message()),
              StartsWith("no engine \"lettuce\"; known: "));
  const auto abi =
      HostClient::Start({.engine = (BuildFolder() / "lib/libmisbehaving_abi2.so").string()});
  ASSERT_FALSE(abi.ok());
  EXPECT_THAT(std::string(abi.status().message()), HasSubstr("ABI version 2, this build speaks 1"));
  const auto program = HostClient::Start({.engine = "cmd:/nowhere/program"});
  ASSERT_FALSE(program.ok());
  EXPECT_THAT(std::string(program.status().message()), HasSubstr("exit 127 during hello"));
}

TEST(HostClientTest, RunsAProgramThatSpeaksFrames) {
  const auto client = Start(
      {.engine = absl::StrCat("cmd:", (BuildFolder() / "crosscheck-host").string(), " exact")});
  ASSERT_NE(client, nullptr);
  EXPECT_EQ(client->hello()["name"], "exact");
  EXPECT_TRUE(client->Call(Request("ping")).ok());
}

TEST(HostClientTest, AnAllocationBeyondTheLimitIsOutOfMemory) {
  const contract::Checkpoints checkpoints;
  const auto client = Start({.engine = "faulty:allocate", .memory_limit_bytes = 3ull << 30});
  ASSERT_NE(client, nullptr);
  const std::string model = contract::Load(*client, checkpoints, 0);
  EXPECT_TRUE(client->Call(contract::LogitsRequest(model, "readout", {9})).ok());
  EXPECT_EQ(FailureOf(*client, contract::LogitsRequest(model, "readout", {10})).kind,
            FailureKind::kOutOfMemory);
}

TEST(HostClientTest, MeasuresTimeInsideTheEngineAndOutside) {
  const contract::Checkpoints checkpoints;
  const auto client = Start({.engine = "exact"});
  const std::string model = contract::Load(*client, checkpoints, 0);
  EXPECT_GT(client->Call(contract::LogitsRequest(model, "readout", {1, 2, 3})).engine_seconds, 0);
  EXPECT_GT(client->transport_seconds(), 0);
}

// The host alone, fed with bytes: what it answers until it ends, and how it ends.
std::pair<std::string, std::string> FeedHost(std::string_view bytes) {
  auto child = ChildProcess::Start({(BuildFolder() / "crosscheck-host").string(), "exact"}, {});
  EXPECT_TRUE(child.ok()) << child.status();
  InputBuffer input;
  const auto deadline = ChildProcess::Clock::now() + std::chrono::seconds(20);
  while (!bytes.empty()) {
    const auto soon = ChildProcess::Clock::now() + std::chrono::milliseconds(50);
    (*child)->Exchange(&bytes, &input, 0, soon);
  }
  (*child)->CloseInput();
  while ((*child)->Exchange(&bytes, &input, 0, deadline) == ChildProcess::Event::kInput) {
  }
  return {std::string(input.view()), (*child)->Wait(deadline)};
}

TEST(HostTest, AnswersAnOversizedFrameAndEnds) {
  std::string frame = EncodeFrame(Request("ping"), 1);
  frame[15] = 0x7f;
  const auto [answer, end] = FeedHost(frame);
  EXPECT_EQ(end, "exit 0");
  const auto message = DecodeFrame(answer);
  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_EQ(message->head["error"]["code"], "bad_request");
}

TEST(HostTest, EndsCleanlyAtATruncatedFrame) {
  const std::string frame = EncodeFrame(Request("ping"), 1);
  for (const size_t size : {size_t{0}, size_t{3}, size_t{16}, frame.size() - 1}) {
    EXPECT_EQ(FeedHost(frame.substr(0, size)), std::pair(std::string(), std::string("exit 0")))
        << size;
  }
}

TEST(HostTest, EndsWhenItsInputIsClosedInTheMiddleOfAProgram) {
  const contract::Checkpoints checkpoints;
  Json steps = Json::array();
  for (int i = 0; i < 20000; ++i) {
    steps.push_back({{"op", "reset"}, {"sequence", 0}});
    steps.push_back({{"op", "prefill"}, {"sequence", 0}, {"ids", {1, 2, 3, 4, 5, 6, 7, 8}}});
  }
  const std::string frames =
      EncodeFrame(Request("load", {{"path", checkpoints.path(0)}}), 1) +
      EncodeFrame(Request("program", {{"steps", steps}, {"want", {"logits"}}}, "m1"), 2);
  EXPECT_EQ(FeedHost(frames).second, "exit 0");
}

// Runs as a process of its own, to be killed: a client whose engine hangs, with files in a scratch
// folder.
TEST(HostClientTest, DISABLED_ParentToBeKilled) {
  const auto folder = ScratchFolder::Create();
  ASSERT_TRUE(folder.ok());
  std::ofstream((*folder)->path() + "/weights") << "x";
  const auto client =
      Start({.engine = Misbehaving(), .deadline_seconds = 60, .scratch_folder = (*folder)->path()});
  std::printf("FOLDER %s END\n", (*folder)->path().c_str());
  std::fflush(stdout);
  client->Call(Request("hang"));
}

bool AnyProcessNames(const std::string& text) {
  for (const auto& entry : fs::directory_iterator("/proc")) {
    std::ifstream file(entry.path() / "cmdline");
    const std::string line((std::istreambuf_iterator<char>(file)),
                           std::istreambuf_iterator<char>());
    if (line.find(text) != std::string::npos) return true;
  }
  return false;
}

TEST(HostClientTest, NothingIsLeftWhenTheParentIsKilled) {
  auto parent = ChildProcess::Start(
      {fs::read_symlink("/proc/self/exe").string(), "--gtest_also_run_disabled_tests",
       "--gtest_filter=HostClientTest.DISABLED_ParentToBeKilled"},
      {});
  ASSERT_TRUE(parent.ok()) << parent.status();
  InputBuffer output;
  std::string_view nothing;
  const auto deadline = ChildProcess::Clock::now() + std::chrono::seconds(20);
  while (output.view().find(" END\n") == std::string_view::npos) {
    ASSERT_EQ((*parent)->Exchange(&nothing, &output, 0, deadline), ChildProcess::Event::kInput);
  }
  const size_t begin = output.view().find("FOLDER ") + 7;
  const std::string folder(output.view().substr(begin, output.view().find(" END\n") - begin));
  ASSERT_TRUE(fs::exists(folder + "/weights"));
  ASSERT_TRUE(AnyProcessNames(folder));
  kill((*parent)->pid(), SIGKILL);
  while ((fs::exists(folder) || AnyProcessNames(folder)) && ChildProcess::Clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_FALSE(fs::exists(folder));
  EXPECT_FALSE(AnyProcessNames(folder));
}

}  // namespace
}  // namespace crosscheck
