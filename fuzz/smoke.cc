#include "fuzz/smoke.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "fuzz/core_affinity.h"
#include "fuzz/corpus_store.h"
#include "fuzz/run_case.h"
#include "fuzz/tally.h"
#include "properties/visitors/architecture.h"
#include "properties/visitors/ranges.h"

namespace crosscheck {
namespace {

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// One sequence: workers take groups in order, and their outcomes are tallied in that order.
class Sequence {
 public:
  Sequence(const SmokeOptions& options, Tally& tally, const Limits& limits)
      : options_(options), tally_(tally), limits_(limits) {}

  void Work(Executor& executor, SmokeSeconds& seconds) {
    const auto start = std::chrono::steady_clock::now();
    while (!Stopped()) {
      const int64_t group = next_group_++;
      if (group >= Groups()) break;
      Deliver(group, RunGroup(group, executor, seconds));
    }
    seconds.busy += SecondsSince(start);
  }

  bool complete() const { return !cut_; }
  double seconds() const { return SecondsSince(start_); }

 private:
  int64_t Groups() const {
    return (options_.cases + options_.cases_per_model - 1) / options_.cases_per_model;
  }

  bool Stopped() {
    const bool interrupted = options_.interrupted != nullptr && *options_.interrupted;
    const bool late = options_.max_seconds > 0 && seconds() >= options_.max_seconds;
    const bool left = tallied_ < Groups();
    if ((interrupted || late) && left) cut_ = true;
    return interrupted || late;
  }

  std::vector<Outcome> RunGroup(int64_t group, Executor& executor, SmokeSeconds& seconds) {
    std::vector<Outcome> outcomes;
    const int64_t first = group * options_.cases_per_model;
    const int64_t last = std::min(first + options_.cases_per_model, options_.cases);
    for (int64_t index = first; index < last && !Stopped(); ++index) {
      const auto start = std::chrono::steady_clock::now();
      SequencedCase drawn = CaseOfSequence(options_, limits_, index);
      Outcome outcome;
      outcome.property = drawn.property;
      outcome.index = index;
      outcome.labels = drawn.value.subject().labels(drawn.value);
      outcome.narrowed = NarrowedFields(drawn.value, limits_, kEverythingServed);
      seconds.draw += SecondsSince(start);
      outcome.verdict = RunCase(*drawn.property, drawn.value, executor);
      if (outcome.verdict.IsFinding()) {
        outcome.value = std::move(drawn.value);
        outcome.seconds = this->seconds();
      }
      outcomes.push_back(std::move(outcome));
    }
    return outcomes;
  }

  void Deliver(int64_t group, std::vector<Outcome> outcomes) {
    std::lock_guard<std::mutex> lock(mutex_);
    waiting_.emplace(group, std::move(outcomes));
    for (auto next = waiting_.find(tallied_); next != waiting_.end();
         next = waiting_.find(tallied_)) {
      done_ += static_cast<int64_t>(next->second.size());
      for (Outcome& outcome : next->second) tally_.Add(std::move(outcome));
      waiting_.erase(next);
      ++tallied_;
    }
    if (options_.progress) options_.progress(done_, options_.cases, tally_.findings());
  }

  const SmokeOptions& options_;
  Tally& tally_;
  const Limits limits_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::atomic<int64_t> next_group_ = 0;
  std::atomic<bool> cut_ = false;
  std::mutex mutex_;                                 // of all that follows
  std::map<int64_t, std::vector<Outcome>> waiting_;  // groups that are done before an earlier one
  std::atomic<int64_t> tallied_ = 0;
  int64_t done_ = 0;
};

template <class F>
void OnEachWorker(size_t workers, const F& work) {
  const auto pinned = [&](size_t worker) {
    CoreAffinity pin(worker, workers);
    work(worker);
  };
  std::vector<std::thread> threads;
  for (size_t i = 1; i < workers; ++i) threads.emplace_back([&pinned, i] { pinned(i); });
  pinned(0);
  for (std::thread& thread : threads) thread.join();
}

class SmokeRun {
 public:
  explicit SmokeRun(SmokeOptions options) : options_(std::move(options)) {
    if (options_.properties.empty()) options_.properties = Properties();
    options_.jobs = std::max(options_.jobs, 1);
    options_.cases_per_model = std::max(options_.cases_per_model, 1);
  }

  absl::StatusOr<SmokeReport> Run() {
    for (int i = 0; i < options_.jobs; ++i) {
      // The engine's process inherits the core on which its worker will run.
      CoreAffinity pin(static_cast<size_t>(i), static_cast<size_t>(options_.jobs));
      absl::StatusOr<std::unique_ptr<Executor>> executor = Executor::Create(options_.executor);
      if (!executor.ok()) return executor.status();
      executors_.push_back(*std::move(executor));
    }
    const Json& hello = executors_[0]->hello();
    const auto version = hello.find("version");
    report_.engine = executors_[0]->engine_name();
    if (version != hello.end() && version->is_string())
      report_.engine_version = version->get<std::string>();
    report_.seed = options_.seed;
    report_.build = options_.build;
    if (options_.architecture) report_.architecture = DescribeArchitecture(*options_.architecture);
    NarrowLimits(hello, &report_.narrowed);
    Tally tally(options_, report_.engine_version);
    absl::Status regressions = RunRegressions(tally);
    if (!regressions.ok()) return regressions;
    RunSequence(tally);
    tally.Report(report_);
    report_.cases_per_second =
        report_.seconds > 0 ? static_cast<double>(report_.cases) / report_.seconds : 0;
    MinimiseFindings(tally.buckets());
    return std::move(report_);
  }

 private:
  absl::Status RunRegressions(Tally& tally) {
    const auto start = std::chrono::steady_clock::now();
    for (const std::string& path : options_.regressions) {
      absl::StatusOr<CorpusEntry> entry = ReadEntry(path);
      if (!entry.ok()) return entry.status();
      const Property* property = FindProperty(entry->signature.property);
      if (property == nullptr || property->subject != &entry->value.subject()) {
        return absl::InvalidArgumentError(absl::StrCat(
            path, ": there is no property '", entry->signature.property, "' of this subject"));
      }
      const auto& chosen = options_.properties;
      if (std::find(chosen.begin(), chosen.end(), property) == chosen.end()) continue;
      Outcome outcome;
      outcome.property = property;
      outcome.verdict = RunCase(*property, entry->value, *executors_[0]);
      if (outcome.verdict.IsFinding()) outcome.value = entry->value;
      tally.Add(std::move(outcome));
    }
    report_.stage_seconds.busy = SecondsSince(start);
    return absl::OkStatus();
  }

  void RunSequence(Tally& tally) {
    Sequence sequence(options_, tally, executors_[0]->limits());
    std::vector<SmokeSeconds> seconds(executors_.size());
    OnEachWorker(executors_.size(), [&](size_t i) { sequence.Work(*executors_[i], seconds[i]); });
    report_.complete = sequence.complete();
    report_.seconds = sequence.seconds();
    SmokeSeconds& sum = report_.stage_seconds;
    for (size_t i = 0; i < executors_.size(); ++i) {
      const StageSeconds stages = executors_[i]->seconds();
      sum.stages.write_model += stages.write_model;
      sum.stages.engine_load += stages.engine_load;
      sum.stages.engine_run += stages.engine_run;
      sum.stages.torch += stages.torch;
      sum.stages.exact += stages.exact;
      sum.stages.transport += stages.transport;
      sum.draw += seconds[i].draw;
      sum.busy += seconds[i].busy;
    }
    const StageSeconds& all = sum.stages;
    sum.judge = sum.busy - sum.draw - all.write_model - all.engine_load - all.engine_run -
                all.torch - all.exact - all.transport;
  }

  void MinimiseFindings(const std::vector<Bucket>& buckets) {
    report_.findings.resize(buckets.size());
    std::vector<absl::Status> written(buckets.size());
    std::atomic<size_t> next = 0;
    OnEachWorker(executors_.size(), [&](size_t worker) {
      for (size_t i = next++; i < buckets.size(); i = next++) {
        written[i] = MinimiseFinding(buckets[i], *executors_[worker], report_.findings[i]);
      }
    });
    for (const absl::Status& status : written) {
      if (!status.ok()) report_.errors.emplace_back(status.message());
    }
  }

  static std::vector<std::string> NotesOf(const SmokeFinding& finding) {
    std::vector<std::string> notes = {finding.message};
    if (!finding.localised.empty()) notes.push_back(finding.localised);
    return notes;
  }

  absl::Status MinimiseFinding(const Bucket& bucket, Executor& executor,
                               SmokeFinding& finding) const {
    MinimiseOptions budget = options_.minimise;
    budget.interrupted = options_.interrupted;
    const Minimised minimised =
        Minimise(*bucket.property, bucket.first, bucket.verdict, executor, budget);
    const Verdict& verdict = minimised.verdict;
    finding = {.signature = verdict.signature,
               .engine = executor.engine_name(),
               .verdict = verdict.kind,
               .message = verdict.message,
               .case_file = "",
               .marginal = verdict.marginal,
               .minimal = minimised.complete,
               .failure_rate = minimised.failure_rate,
               .evaluations = minimised.evaluations,
               .first_case = bucket.first_index,
               .first_seconds = bucket.first_seconds,
               .count = bucket.count};
    if (CanLocalise(*bucket.property, minimised.smallest, verdict)) {
      const Localisation place = Localise(*bucket.property, minimised.smallest, verdict, executor);
      finding.first_bad = place.first_bad;
      finding.localised = place.ToLine();
    }
    if (options_.out.empty()) return absl::OkStatus();
    absl::StatusOr<std::string> path =
        WriteEntry(options_.out, {.value = minimised.smallest,
                                  .signature = verdict.signature,
                                  .engine = finding.engine,
                                  .verdict = verdict.kind,
                                  .marginal = verdict.marginal,
                                  .seed = options_.seed,
                                  .cases_until_found = bucket.first_index,
                                  .seconds_until_found = bucket.first_seconds,
                                  .build = options_.build,
                                  .notes = NotesOf(finding)});
    if (!path.ok()) return path.status();
    finding.case_file = *std::move(path);
    return absl::OkStatus();
  }

  SmokeOptions options_;
  std::vector<std::unique_ptr<Executor>> executors_;  // one per worker
  SmokeReport report_;
};

// A round is every property once, then those with a share of at least two, and so on.
const Property& PropertyAt(const std::vector<const Property*>& properties, int64_t index) {
  int64_t round = 0;
  for (const Property* property : properties) round += property->share;
  int64_t place = index % round;
  for (int turn = 0;; ++turn) {
    for (const Property* property : properties) {
      if (property->share > turn && place-- == 0) return *property;
    }
  }
}

}  // namespace

SequencedCase CaseOfSequence(const SmokeOptions& options, const Limits& limits, int64_t index) {
  const Property& property =
      PropertyAt(options.properties.empty() ? Properties() : options.properties, index);
  const auto group = static_cast<uint64_t>(index / options.cases_per_model);
  const uint64_t key = MixBits(options.seed);
  Stream stream(MixBits(key + static_cast<uint64_t>(index)), MixBits(key ^ MixBits(group + 1)),
                property.subject->name);
  Case drawn = property.subject->random(stream, limits);
  if (options.architecture) drawn = WithArchitecture(drawn, *options.architecture, limits);
  return {&property, std::move(drawn)};
}

absl::StatusOr<SmokeReport> RunSmoke(const SmokeOptions& options) {
  return SmokeRun(options).Run();
}

}  // namespace crosscheck
