#include "fuzz/campaign/task_source.h"

#include <algorithm>
#include <cmath>

#include "properties/stream.h"

namespace crosscheck {
namespace {

constexpr size_t kPoolInputs = 500;  // per property, so that memory is bounded
constexpr int64_t kBatchInputs = 16;
constexpr int64_t kFirstCases = 16, kMostCases = 8192;
constexpr size_t kRecheckInputs = 64;

}  // namespace

absl::StatusOr<TaskSource> TaskSource::Create(Options options, uint64_t campaign_seed,
                                              Store& store) {
  TaskSource source(std::move(options));
  const Options& o = source.options_;
  std::vector<std::string_view> drivers;
  if (o.random) drivers.push_back(kRandomDriver);
  if (o.corpus) drivers.push_back(kCorpusDriver);
  for (const std::string& engine : o.engines) {
    for (const std::string& property : o.properties) {
      for (const std::string_view driver : drivers) {
        auto recorded = store.Recorded(campaign_seed, engine, property, driver);
        if (!recorded.ok()) return recorded.status();
        source.arms_.push_back({.engine = engine,
                                .property = property,
                                .driver = driver,
                                .sequence = CaseSequence(*recorded)});
      }
    }
  }
  for (size_t i = 0; i < o.targets.size(); ++i) {
    source.arms_.push_back({.engine = o.engines.front(),
                            .property = o.targets[i],
                            .driver = kLibFuzzerDriver,
                            .target = static_cast<int>(i)});
  }
  if (source.arms_.empty()) {
    return absl::FailedPreconditionError(
        "nothing to run: the folder of fuzz targets has none for these properties");
  }
  source.budget_ = Budget(source.arms_.size());
  return source;
}

std::optional<Task> TaskSource::Next() {
  if (!first_.empty()) {
    Task task = std::move(first_.front());
    first_.pop_front();
    return task;
  }
  std::vector<bool> may_run;
  may_run.reserve(arms_.size());
  for (const Arm& arm : arms_) {
    const auto pool = pool_.find(arm.property);
    const bool has_inputs = pool != pool_.end() && !pool->second.empty();
    may_run.push_back(!arm.unserved() && (arm.target < 0 || targets_allowed_) &&
                      (arm.driver != kCorpusDriver || has_inputs));
  }
  const int arm = budget_.Choose(may_run);
  if (arm < 0) return std::nullopt;
  Task task = MakeTask(arm);
  budget_.Charge(arm, task.expected_seconds);
  return task;
}

bool TaskSource::NothingIsServed() const {
  return std::all_of(arms_.begin(), arms_.end(), [](const Arm& arm) {
    return arm.unserved() || arm.driver == kCorpusDriver;  // which may never have had an input
  });
}

Task TaskSource::MakeTask(int index) {
  Arm& arm = arms_[static_cast<size_t>(index)];
  Task task;
  task.arm = index;
  task.target = arm.target;
  task.batch.engine = arm.engine;
  task.batch.property = arm.property;
  task.batch.driver = std::string(arm.driver);
  task.batch.seed = options_.seed;
  if (arm.target >= 0) {
    task.expected_seconds = options_.slice_seconds;
    return task;
  }
  int64_t cases = kFirstCases;
  if (arm.seconds_per_case > 0) {
    const double wanted = options_.batch_seconds / arm.seconds_per_case;
    cases = std::clamp<int64_t>(static_cast<int64_t>(wanted), 1, kMostCases);
    // Groups of 16 share a model.
    if (cases > kFirstCases) cases -= cases % kFirstCases;
  }
  const CaseSequence::Range range = arm.sequence.Next(cases);
  task.batch.first = range.first;
  task.batch.cases = range.cases;
  task.expected_seconds = arm.seconds_per_case * static_cast<double>(range.cases);
  if (arm.driver == kCorpusDriver) {
    const std::vector<std::string>& pool = pool_[arm.property];
    Stream stream(MixBits(options_.seed) + static_cast<uint64_t>(range.first), "bases");
    for (int64_t i = 0; i < kBatchInputs; ++i) {
      const int64_t last = static_cast<int64_t>(pool.size()) - 1;
      task.batch.inputs.push_back(pool[static_cast<size_t>(stream.Int(0, last))]);
    }
  }
  return task;
}

void TaskSource::Settle(const Task& task, const BatchRow& done, int new_signatures) {
  if (task.arm < 0) return;
  Arm& arm = arms_[static_cast<size_t>(task.arm)];
  arm.cases += done.cases;
  arm.unsupported += done.unsupported;
  if (task.target < 0) {
    arm.sequence.Return({done.first + done.cases, task.batch.cases - done.cases});
    if (done.cases > 0) {
      const double now = done.seconds / static_cast<double>(done.cases);
      arm.seconds_per_case =
          arm.seconds_per_case > 0 ? 0.5 * arm.seconds_per_case + 0.5 * now : now;
    }
  }
  const double reward =
      static_cast<double>(done.new_inputs) + Budget::kFindingReward * new_signatures;
  budget_.Settle(task.arm, task.expected_seconds, done.seconds, reward);
}

bool TaskSource::Died(Task task) {
  ++task.deaths;
  if (task.target >= 0) return false;  // its arm comes again by itself
  const bool blamed = task.batch.trace && task.last_case >= 0 && task.last_case == task.died_at;
  task.batch.trace = true;
  task.died_at = task.last_case;
  if (!blamed) {
    task.last_case = -1;
    first_.push_front(std::move(task));
    return false;
  }
  const bool fixed_inputs = task.batch.driver == kRecheckDriver;
  const int64_t at = task.last_case - task.batch.first;  // cases before it
  Task rest = task;
  rest.batch.first += at + 1;
  rest.batch.cases -= at + 1;
  task.batch.cases = at;
  if (fixed_inputs) {
    auto& inputs = rest.batch.inputs;
    inputs.erase(inputs.begin(), inputs.begin() + std::min<int64_t>(at + 1, inputs.size()));
  }
  for (Task* piece : {&rest, &task}) {
    piece->last_case = piece->died_at = -1;
    piece->arm = -1;  // its arm was charged already
    if (piece->batch.cases > 0) first_.push_front(std::move(*piece));
  }
  return true;
}

void TaskSource::Again(Task task) { first_.push_front(std::move(task)); }

void TaskSource::AddToPool(const std::string& property, std::string payload) {
  std::vector<std::string>& pool = pool_[property];
  if (pool.size() < kPoolInputs) {
    pool.push_back(std::move(payload));
  } else {
    pool[pool_turn_[property]++ % kPoolInputs] = std::move(payload);
  }
}

void TaskSource::Recheck(const std::string& property, std::vector<std::string> inputs,
                         const std::string& subject, bool keep, const std::string& artifact) {
  for (size_t at = 0; at < inputs.size(); at += kRecheckInputs) {
    const size_t end = std::min(at + kRecheckInputs, inputs.size());
    for (const std::string& engine : options_.engines) {
      Task task;
      task.batch.engine = engine;
      task.batch.property = property;
      task.batch.driver = std::string(kRecheckDriver);
      task.batch.subject = subject;
      task.batch.first = recheck_next_[{engine, property}];
      task.batch.cases = static_cast<int64_t>(end - at);
      task.batch.inputs.assign(inputs.begin() + static_cast<int64_t>(at),
                               inputs.begin() + static_cast<int64_t>(end));
      task.keep_inputs = keep;
      task.artifact = artifact;
      recheck_next_[{engine, property}] += task.batch.cases;
      first_.push_back(std::move(task));
    }
  }
}

}  // namespace crosscheck
