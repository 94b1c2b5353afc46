// A campaign whose processes are killed at random moments: nothing that was recorded is lost, and
// what was not is done again.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "fuzz/campaign/corpus_file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/fuzz/campaign_runner.h"
#include "tests/own_folder.h"

namespace crosscheck {
namespace {

using nlohmann::json;

constexpr int kKills = 60;
constexpr int kJobs = 2;

std::vector<pid_t> ChildrenOf(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/task/", pid, "/children"));
  std::vector<pid_t> children;
  for (pid_t child = 0; file >> child;) children.push_back(child);
  return children;
}

bool Alive(pid_t pid) { return waitpid(pid, nullptr, WNOHANG) == 0; }

class KillTest : public testing::Test {
 protected:
  KillTest() { std::filesystem::create_directories(own_.path()); }

  // Its events, one JSON object per line, go to the end of events_.
  pid_t Start(const std::string& limit) const {
    std::vector<std::string> argv = {(BuildFolder() / "crosscheck").string(),
                                     "fuzz",
                                     "--json-lines",
                                     "--workdir",
                                     workdir_,
                                     "--engine",
                                     FaultyExact(),
                                     "--property",
                                     "generation_contract",
                                     "--strategy",
                                     "corpus",
                                     "--batch",
                                     "0.05s",
                                     "--reduce",
                                     "2s",
                                     "--for",
                                     limit,
                                     "--corpus",
                                     "",
                                     "--jobs",
                                     std::to_string(kJobs)};
    std::vector<char*> pointers;
    for (std::string& word : argv) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, events_.c_str(), O_WRONLY | O_CREAT | O_APPEND,
                                     0644);
    posix_spawn_file_actions_addopen(&actions, 2, errors_.c_str(), O_WRONLY | O_CREAT | O_APPEND,
                                     0644);
    pid_t pid = -1;
    EXPECT_EQ(posix_spawn(&pid, argv[0].c_str(), &actions, nullptr, pointers.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
  }

  // The process of this kind below the supervisor; -1 when there is none at this moment.
  static pid_t Victim(pid_t supervisor, int kind, Stream& stream) {
    if (kind == 0) return supervisor;
    std::vector<pid_t> found = ChildrenOf(supervisor);
    if (kind == 2) {
      std::vector<pid_t> hosts;
      for (const pid_t worker : found) {
        const std::vector<pid_t> below = ChildrenOf(worker);
        hosts.insert(hosts.end(), below.begin(), below.end());
      }
      found = hosts;
    }
    if (found.empty()) return -1;
    const auto last = static_cast<int64_t>(found.size()) - 1;
    return found[static_cast<size_t>(stream.Int(0, last))];
  }

  // Kills processes of one campaign until kKills are done; how many of each kind.
  std::map<int, int> KillAtRandomMoments() const {
    std::map<int, int> kills;
    Stream stream(1, "kill test");
    pid_t supervisor = Start("600s");
    for (int done = 0; done < kKills;) {
      std::this_thread::sleep_for(std::chrono::microseconds(stream.Int(0, 400'000)));
      if (!Alive(supervisor)) supervisor = Start("600s");
      const int kind = static_cast<int>(stream.Int(0, 2));
      const pid_t victim = Victim(supervisor, kind, stream);
      if (victim < 0 || kill(victim, SIGKILL) != 0) continue;
      ++done;
      ++kills[kind];
      if (kind != 0) continue;
      waitpid(supervisor, nullptr, 0);
      supervisor = Start("600s");
    }
    kill(supervisor, SIGKILL);
    waitpid(supervisor, nullptr, 0);
    return kills;
  }

  std::vector<json> Events() const {
    std::vector<json> events;
    std::ifstream file(events_);
    for (std::string line; std::getline(file, line);) {
      json event = json::parse(line, nullptr, false);
      // A line that was cut by a kill is followed by the next run's first.
      if (event.is_object()) events.push_back(std::move(event));
    }
    return events;
  }

  const OwnFolder own_;
  const std::string workdir_ = own_.path() + "/work";
  const std::string events_ = own_.path() + "/events", errors_ = own_.path() + "/errors";
};

using Range = std::pair<int64_t, int64_t>;

std::map<std::string, std::vector<Range>> RecordedRanges(const std::string& workdir) {
  std::map<std::string, std::vector<Range>> ranges;
  auto store = Store::Open(workdir + "/state/0.sqlite");
  EXPECT_TRUE(store.ok()) << store.status();
  for (const std::string driver : {"random", "corpus"}) {
    ranges[driver] = *store->Recorded(1, FaultyExact(), "generation_contract", driver);
  }
  return ranges;
}

// Cases that were left out of a driver's sequence; a case that was run twice fails.
int Gaps(const std::vector<Range>& ranges) {
  int gaps = 0;
  int64_t end = 0;
  for (const auto& [first, cases] : ranges) {
    EXPECT_GE(first, end) << "a batch was recorded twice";
    gaps += first > end ? 1 : 0;
    end = std::max(end, first + cases);
  }
  return gaps;
}

TEST_F(KillTest, NothingThatWasRecordedIsLostAndTheRestIsDoneAgain) {
  const std::map<int, int> kills = KillAtRandomMoments();
  for (int kind = 0; kind < 3; ++kind) EXPECT_GE(kills.at(kind), 10);
  const pid_t last = Start("4s");
  int status = 0;
  waitpid(last, &status, 0);
  ASSERT_TRUE(WIFEXITED(status)) << Slurp(errors_);
  EXPECT_EQ(WEXITSTATUS(status), 2) << Slurp(errors_);

  // Each batch that was announced as recorded is in the record, once.
  const auto ranges = RecordedRanges(workdir_);
  std::set<std::string> announced_findings;
  int64_t announced = 0;
  for (const json& event : Events()) {
    if (event.at("event") == "finding") {
      EXPECT_TRUE(announced_findings.insert(event.at("signature")).second)
          << event.at("signature") << " was announced twice";
    }
    if (event.at("event") != "batch" || !ranges.contains(event.at("driver"))) continue;
    ++announced;
    EXPECT_THAT(ranges.at(event.at("driver")),
                testing::Contains(Range(event.at("first"), event.at("cases"))));
  }
  EXPECT_GT(announced, kKills);
  // A batch that a kill interrupted was done again; the last run ends in one batch per worker.
  for (const auto& [driver, recorded] : ranges) EXPECT_LE(Gaps(recorded), kJobs) << driver;

  const auto data = ReadCampaign(workdir_);
  ASSERT_TRUE(data.ok()) << data.status();
  int64_t findings = 0, counted = 0, cases = 0;
  for (const BatchRow& row : data->activity) {
    EXPECT_EQ(row.cases, row.passed + row.near_ties + row.unsupported + row.setup_errors +
                             row.findings + row.known);
    findings += row.findings;
    cases += row.cases;
  }
  std::set<std::string> signatures, files;
  for (const FindingRow& finding : data->findings) {
    counted += finding.count;
    signatures.insert(finding.signature);
    files.insert(finding.case_file);
    EXPECT_TRUE(std::filesystem::exists(finding.case_file)) << finding.case_file;
  }
  EXPECT_EQ(findings, counted);
  EXPECT_EQ(data->samples.back().cases, cases);
  EXPECT_EQ(signatures.size(), data->findings.size());
  EXPECT_EQ(files.size(), data->findings.size());
  EXPECT_FALSE(data->restarts.empty());

  const auto records = ReadCorpusRecords(workdir_ + "/corpus.000000", 0);
  ASSERT_TRUE(records.ok());
  EXPECT_EQ(records->skipped_bytes, 0);
  EXPECT_FALSE(records->payloads.empty());
  for (const std::string& payload : records->payloads) {
    EXPECT_TRUE(ParseCorpusInput(payload).ok());
  }
}

}  // namespace
}  // namespace crosscheck
