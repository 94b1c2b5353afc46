// kill -9 of a running comparison, many times: the same command goes on, and in the end everything
// is as if nobody had killed it.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <map>
#include <thread>

#include "nlohmann/json.hpp"
#include "tests/cli/command.h"

namespace crosscheck {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

// Where a run is killed: so long after its n-th line of progress, or after its start.
struct KillPoint {
  int lines;
  milliseconds delay;
};
// Each run goes on where the one before was killed, so all parts of a comparison are hit: loading,
// the reference's tracks, the noise floor, two configurations, their summaries.
constexpr KillPoint kKillPoints[] = {
    {0, milliseconds(20)},  {0, milliseconds(300)}, {0, milliseconds(900)}, {1, milliseconds(0)},
    {1, milliseconds(40)},  {1, milliseconds(5)},   {2, milliseconds(10)},  {1, milliseconds(80)},
    {1, milliseconds(150)}, {1, milliseconds(0)},   {2, milliseconds(30)},  {1, milliseconds(60)}};

class RunningCommand {
 public:
  explicit RunningCommand(const std::string& arguments) {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    const std::string line = "exec " + (BuildFolder() / "crosscheck").string() + " " + arguments;
    std::string shell = "sh", flag = "-c", text = line;
    char* const words[] = {shell.data(), flag.data(), text.data(), nullptr};
    EXPECT_EQ(posix_spawn(&pid_, "/bin/sh", &actions, nullptr, words, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    progress_ = ends[0];
  }
  ~RunningCommand() { close(progress_); }

  // False: the command ended before it had printed so many lines.
  bool WaitForLines(int wanted) {
    char c = 0;
    for (int lines = 0; lines < wanted; lines += c == '\n') {
      if (read(progress_, &c, 1) != 1) return false;
    }
    return true;
  }

  // The processes of engines, which must not outlive the command.
  std::vector<pid_t> Children() const {
    const std::string pid = std::to_string(pid_);
    std::istringstream text(Slurp("/proc/" + pid + "/task/" + pid + "/children"));
    return {std::istream_iterator<pid_t>(text), std::istream_iterator<pid_t>()};
  }

  // Exit code; 128 + signal.
  int Wait() {
    int status = 0;
    char rest[4096];
    while (read(progress_, rest, sizeof rest) > 0) {
    }
    EXPECT_EQ(waitpid(pid_, &status, 0), pid_);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  void Kill() const { kill(pid_, SIGKILL); }

 private:
  pid_t pid_ = 0;
  int progress_ = -1;
};

bool IsGone(pid_t pid) {
  const std::string stat = Slurp("/proc/" + std::to_string(pid) + "/stat");
  return stat.empty() || stat.find(") Z ") != std::string::npos;
}

std::map<std::string, std::string> Files(const std::filesystem::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files[relative(entry.path(), folder)] = Slurp(entry.path());
  }
  return files;
}

// The report without what time it took.
json Result(const std::filesystem::path& folder) {
  json report = json::parse(Slurp(folder / "compare.json"));
  for (json& config : report["configs"]) config.erase("seconds");
  report.erase("cost");
  report.erase("command_line");  // names the folder
  return report;
}

TEST(CompareKillTest, AComparisonThatIsKilledAgainAndAgainEndsAsOneThatIsNot) {
  const TemporaryFolder once, killed;
  const auto command = [](const TemporaryFolder& folder) {
    return "compare seeds/checkpoints/tiny-qwen35 --engine faulty:none --config fp32,q4_sym "
           "--limit "
           "6 --prompts seeds/checkpoints/tiny-qwen35/prompts.jsonl --greedy-tokens 24 --positions "
           "24 --layer-prompts 1 --sampled-prompts 2 --sampled-seeds 8 --out " +
           folder.path().string();
  };
  RunningCommand whole(command(once));
  const int exit_code = whole.Wait();
  ASSERT_LT(exit_code, 128);
  ASSERT_TRUE(std::filesystem::exists(once.path() / "compare.json"));
  int kills = 0, hosts = 0;
  for (const KillPoint& point : kKillPoints) {
    RunningCommand run(command(killed));
    if (!run.WaitForLines(point.lines)) break;
    std::this_thread::sleep_for(point.delay);
    const std::vector<pid_t> children = run.Children();
    run.Kill();
    if (run.Wait() != 128 + SIGKILL) break;  // it was done
    ++kills;
    for (const pid_t child : children) {
      ++hosts;
      for (int wait = 0; wait < 500 && !IsGone(child); ++wait) {
        std::this_thread::sleep_for(milliseconds(10));
      }
      EXPECT_TRUE(IsGone(child)) << "the engine's host outlives the command";
    }
  }
  EXPECT_GE(kills, 6);
  EXPECT_GE(hosts, 1);
  RunningCommand last(command(killed));
  EXPECT_EQ(last.Wait(), exit_code);
  const auto expected = Files(once.path() / "dumps"), actual = Files(killed.path() / "dumps");
  for (const auto& [name, bytes] : expected) {
    ASSERT_TRUE(actual.contains(name)) << name;
    EXPECT_TRUE(bytes == actual.at(name)) << name << " differs";
  }
  EXPECT_EQ(actual.size(), expected.size());
  EXPECT_EQ(Result(once.path()), Result(killed.path()));
  EXPECT_FALSE(std::filesystem::exists(killed.path() / "work") &&
               !std::filesystem::is_empty(killed.path() / "work"));
}

}  // namespace
}  // namespace crosscheck
