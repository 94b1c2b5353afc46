#include "fuzz/campaign/worker_process.h"

#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"

namespace crosscheck {

absl::StatusOr<std::unique_ptr<WorkerProcess>> WorkerProcess::Start(
    const std::vector<std::string>& command) {
  std::vector<std::string> environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    environment.emplace_back(*variable);
  }
  auto child = ChildProcess::Start(command, std::move(environment));
  if (!child.ok()) return child.status();
  return std::unique_ptr<WorkerProcess>(new WorkerProcess(*std::move(child)));
}

void WorkerProcess::Send(const nlohmann::json& message) {
  unsent_ += message.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  std::string_view rest = unsent_;
  child_->Write(&rest);
  unsent_ = std::string(rest);
}

std::vector<std::string> WorkerProcess::Receive() {
  std::string_view rest = unsent_;
  while (!ended_) {
    const auto event = child_->Exchange(&rest, &received_, 0, ChildProcess::Clock::now());
    if (event == ChildProcess::Event::kDeadline) break;
    ended_ = event == ChildProcess::Event::kClosed;
  }
  unsent_ = std::string(rest);
  std::vector<std::string> lines;
  const std::string_view bytes = received_.view();
  size_t at = 0;
  for (size_t end = bytes.find('\n'); end != std::string_view::npos; end = bytes.find('\n', at)) {
    lines.emplace_back(bytes.substr(at, end - at));
    at = end + 1;
  }
  if (at > 0) received_.RemovePrefix(at);
  return lines;
}

void WorkerProcess::WaitForOutput(std::chrono::milliseconds at_most) const {
  pollfd wait{output(), POLLIN, 0};
  poll(&wait, 1, static_cast<int>(at_most.count()));
}

std::string WorkerProcess::WhyEnded() {
  constexpr std::chrono::seconds kPatience(2);
  const std::string end = child_->Wait(ChildProcess::Clock::now() + kPatience);
  const std::string said = child_->StderrTail();
  return absl::StrCat(end.empty() ? "did not end" : end, said.empty() ? "" : ": ", said);
}

void WorkerProcess::Interrupt() { kill(child_->pid(), SIGTERM); }

}  // namespace crosscheck
