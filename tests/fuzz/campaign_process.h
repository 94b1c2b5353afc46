// A campaign of the real command, as its user and the operating system see it.
#ifndef CROSSCHECK_TESTS_FUZZ_CAMPAIGN_PROCESS_H_
#define CROSSCHECK_TESTS_FUZZ_CAMPAIGN_PROCESS_H_

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engines/child_process.h"
#include "tests/fuzz/campaign_runner.h"

namespace crosscheck {

// The command line of a campaign with short batches on `engine`; it searches one property.
inline std::vector<std::string> CampaignCommand(const std::string& workdir,
                                                const std::string& engine,
                                                std::vector<std::string> more = {}) {
  std::vector<std::string> argv = {(BuildFolder() / "crosscheck").string(),
                                   "fuzz",
                                   "--workdir",
                                   workdir,
                                   "--engine",
                                   engine,
                                   "--property",
                                   "generation_contract",
                                   "--batch",
                                   "0.05s",
                                   "--reduce",
                                   "2s",
                                   "--corpus",
                                   "",
                                   "--jobs",
                                   "2"};
  argv.insert(argv.end(), more.begin(), more.end());
  return argv;
}

class CampaignProcess {
 public:
  explicit CampaignProcess(std::vector<std::string> argv,
                           std::vector<std::string> environment = {}) {
    environment.emplace_back("PATH=/usr/bin:/bin");
    auto started = ChildProcess::Start(std::move(argv), std::move(environment));
    EXPECT_TRUE(started.ok()) << started.status();
    if (started.ok()) child_ = *std::move(started);
  }

  // Reads what it prints until `enough` of it, at most two minutes; false when it ended before.
  bool Until(const std::function<bool(const std::string& printed)>& enough) {
    const auto deadline = ChildProcess::Clock::now() + std::chrono::minutes(2);
    while (!enough(printed())) {
      if (Read(deadline) != ChildProcess::Event::kInput) return false;
    }
    return true;
  }
  bool UntilItPrints(const std::string& text) {
    return Until([&](const std::string& printed) { return printed.find(text) != printed.npos; });
  }

  // Its exit status, "exit 0" or "signal 9"; "" when it does not end within two minutes.
  std::string End() {
    const auto deadline = ChildProcess::Clock::now() + std::chrono::minutes(2);
    while (Read(deadline) == ChildProcess::Event::kInput) {
    }
    return child_->Wait(deadline);
  }

  std::string printed() const { return std::string(output_.view()); }
  std::string errors() { return child_->StderrTail(); }  // the last lines
  pid_t pid() const { return child_->pid(); }

 private:
  ChildProcess::Event Read(ChildProcess::Clock::time_point deadline) {
    std::string_view nothing;
    return child_->Exchange(&nothing, &output_, 0, deadline);
  }

  std::unique_ptr<ChildProcess> child_;
  InputBuffer output_;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_TESTS_FUZZ_CAMPAIGN_PROCESS_H_
