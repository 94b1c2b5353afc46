#include "fuzz/campaign/worker_pool.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "fuzz/campaign/resources.h"

namespace crosscheck {
namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::json;

Clock::duration Seconds(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

// Of a worker and its engines together: it waits while they work.
ChildProcess::Activity ActivityOfAll(pid_t worker) {
  ChildProcess::Activity all = ChildProcess::ActivityOf(worker);
  for (const pid_t engine : ChildrenOf(worker)) {
    const ChildProcess::Activity one = ChildProcess::ActivityOf(engine);
    all.runnable |= one.runnable;
    all.cpu_seconds += one.cpu_seconds;
  }
  return all;
}

}  // namespace

bool IsStarved(const ChildProcess::Activity& now, double cpu_seconds_at_start, double limit) {
  return now.runnable && now.cpu_seconds - cpu_seconds_at_start < limit / 2;
}

WorkerPool::WorkerPool(std::vector<std::string> command, int workers, FuzzTargets& targets,
                       Limits limits)
    : command_(std::move(command)),
      targets_(targets),
      limits_(limits),
      slots_(static_cast<size_t>(workers)) {}

void WorkerPool::SetDeadline(Slot& slot) const {
  const pid_t pid = (slot.slice != nullptr ? slot.slice : slot.worker)->pid();
  slot.deadline = Clock::now() + Seconds(limits_.task_seconds);
  slot.cpu_seconds_at_start = ActivityOfAll(pid).cpu_seconds;
}

bool WorkerPool::IsLate(Slot& slot) const {
  if (Clock::now() <= slot.deadline) return false;
  const pid_t pid = (slot.slice != nullptr ? slot.slice : slot.worker)->pid();
  if (!IsStarved(ActivityOfAll(pid), slot.cpu_seconds_at_start, limits_.task_seconds)) return true;
  slot.deadline = Clock::now() + Seconds(limits_.task_seconds);
  return false;
}

absl::Status WorkerPool::StartWorker(size_t slot) {
  std::vector<std::string> command = command_;
  command.push_back("--slot");
  command.push_back(absl::StrCat(slot, "/", slots_.size()));
  auto worker = WorkerProcess::Start(command);
  if (!worker.ok()) return worker.status();
  slots_[slot].worker = *std::move(worker);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<json>> WorkerPool::Hello(const std::vector<std::string>& engines) {
  if (absl::Status started = StartWorker(0); !started.ok()) return started;
  WorkerProcess& worker = *slots_[0].worker;
  std::vector<json> hellos;
  for (const std::string& engine : engines) {
    worker.Send({{"op", "hello"}, {"engine", engine}});
    std::vector<std::string> lines;
    const auto deadline = Clock::now() + Seconds(limits_.task_seconds);
    while ((lines = worker.Receive()).empty()) {
      if (worker.ended() || Clock::now() > deadline) {
        return absl::UnavailableError(absl::StrCat("a worker does not start: ", worker.WhyEnded()));
      }
      worker.WaitForOutput(std::chrono::milliseconds(100));
    }
    json reply = json::parse(lines[0], nullptr, false);
    if (!reply.is_object() || reply.value("op", "") != "hello") {
      return absl::UnavailableError(reply.is_object() ? reply.value("message", lines[0])
                                                      : lines[0]);
    }
    hellos.push_back(reply["hello"]);
  }
  return hellos;
}

int WorkerPool::FreeSlot() const {
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (!slots_[i].task) return static_cast<int>(i);
  }
  return -1;
}

absl::Status WorkerPool::Run(int index, Task task, double slice_seconds,
                             const std::vector<std::string>& known_signatures) {
  Slot& slot = slots_[static_cast<size_t>(index)];
  slot.start = Clock::now();
  if (task.target >= 0) {
    auto command = targets_.Prepare(task.target, slice_seconds, known_signatures);
    if (!command.ok()) return command.status();
    auto slice = WorkerProcess::Start(*command);
    if (!slice.ok()) return slice.status();
    slot.slice = *std::move(slice);
  } else {
    if (slot.worker == nullptr) {
      absl::Status started = StartWorker(static_cast<size_t>(index));
      if (!started.ok()) return started;
    }
    slot.worker->Send(ToJson(task.batch));
  }
  SetDeadline(slot);
  slot.task = std::move(task);
  return absl::OkStatus();
}

TaskEnd WorkerPool::End(Slot& slot, TaskEnd::Kind kind) const {
  const std::chrono::duration<double> spent = Clock::now() - slot.start;
  TaskEnd end{.kind = kind, .task = *std::move(slot.task), .seconds = spent.count()};
  slot.task.reset();
  return end;
}

std::optional<TaskEnd> WorkerPool::Look(Slot& slot) {
  if (slot.slice != nullptr) {
    slot.slice->Receive();
    if (!slot.slice->ended() && !IsLate(slot)) return std::nullopt;
    TaskEnd end = End(slot, TaskEnd::Kind::kSliceEnded);
    end.slice = targets_.Collect(end.task.target, slot.slice->child());
    slot.slice.reset();
    return end;
  }
  for (const std::string& line : slot.worker->Receive()) {
    json message = json::parse(line, nullptr, false);
    if (!message.is_object()) continue;
    const std::string op = message.value("op", "");
    if (op == "at") {
      slot.task->last_case = message.value("index", int64_t{-1});
      SetDeadline(slot);
      continue;
    }
    TaskEnd end = End(slot, op == "batch" ? TaskEnd::Kind::kAnswered : TaskEnd::Kind::kRefused);
    end.reason = message.value("message", "");
    end.answer = std::move(message);
    EndIfLarge(slot, end);
    return end;
  }
  const bool late = IsLate(slot);
  if (!slot.worker->ended() && !late) return std::nullopt;
  TaskEnd end = End(slot, TaskEnd::Kind::kDied);
  end.reason = late ? absl::StrCat("no answer within ", limits_.task_seconds, " s")
                    : slot.worker->WhyEnded();
  slot.worker.reset();
  return end;
}

// Between batches nothing is lost by it but the time of a start.
void WorkerPool::EndIfLarge(Slot& slot, TaskEnd& end) const {
  if (end.kind != TaskEnd::Kind::kAnswered) return;
  const int64_t largest = LargestProcess(slot.worker->pid());
  if (largest <= limits_.process_bytes) return;
  end.large_process = largest;
  slot.worker.reset();
}

std::vector<TaskEnd> WorkerPool::Collect() {
  std::vector<TaskEnd> ends;
  for (Slot& slot : slots_) {
    if (!slot.task) {
      // Died while idle: the next task starts another.
      if (slot.worker != nullptr && (slot.worker->Receive(), slot.worker->ended())) {
        slot.worker.reset();
      }
      continue;
    }
    if (std::optional<TaskEnd> end = Look(slot)) ends.push_back(*std::move(end));
  }
  return ends;
}

bool WorkerPool::Busy() const {
  for (const Slot& slot : slots_) {
    if (slot.task) return true;
  }
  return false;
}

void WorkerPool::Interrupt() {
  for (Slot& slot : slots_) {
    if (!slot.task) continue;
    (slot.slice != nullptr ? slot.slice : slot.worker)->Interrupt();
  }
}

std::vector<int> WorkerPool::outputs() const {
  std::vector<int> files;
  for (const Slot& slot : slots_) {
    if (slot.slice != nullptr) files.push_back(slot.slice->output());
    if (slot.worker != nullptr) files.push_back(slot.worker->output());
  }
  return files;
}

std::vector<pid_t> WorkerPool::pids() const {
  std::vector<pid_t> pids;
  for (const Slot& slot : slots_) {
    if (slot.slice != nullptr) pids.push_back(slot.slice->pid());
    if (slot.worker != nullptr) pids.push_back(slot.worker->pid());
  }
  return pids;
}

}  // namespace crosscheck
