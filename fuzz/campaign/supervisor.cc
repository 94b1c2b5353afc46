#include "fuzz/campaign/supervisor.h"

#include <poll.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "fuzz/campaign/corpus_exchange.h"
#include "fuzz/campaign/ledger.h"
#include "fuzz/campaign/task_source.h"
#include "fuzz/campaign/worker_pool.h"
#include "fuzz/executor.h"

namespace crosscheck {
namespace {

using nlohmann::json;

constexpr double kStopSeconds = 5;  // workers get so long to answer with what they have
constexpr double kPeerSeconds = 5;  // how often other shards' files are read
constexpr double kStatusSeconds = 0.5;
constexpr int kDeathsInARow = 10;  // of workers, without one answer: it cannot work

// Something that is due every so many seconds of the run.
class Every {
 public:
  explicit Every(double seconds) : seconds_(seconds) {}
  bool Due(double now) {
    if (now < next_) return false;
    next_ = now + seconds_;
    return true;
  }

 private:
  const double seconds_;
  double next_ = 0;
};

class Campaign {
 public:
  Campaign(const CampaignOptions& options, const CampaignObserver& observer, Ledger ledger,
           TaskSource source, FuzzTargets targets)
      : options_(options),
        ledger_(std::move(ledger)),
        source_(std::move(source)),
        targets_(std::move(targets)),
        exchange_(options, ledger_, source_, targets_),
        pool_(options.worker_command, options.jobs, targets_,
              {.process_bytes = options.max_process_bytes}),
        desk_({.folder = options.workdir + "/findings",
               .shard = options.shard,
               .seed = options.seed,
               .command = options.worker_command,
               .seconds = options.minimise_seconds,
               .evaluations = options.minimise_evaluations},
              ledger_.store(), [&observer](const FindingRow& finding, FindingDesk::News news) {
                if (observer.finding) observer.finding(finding, news);
              }) {}

  absl::StatusOr<std::string> Run() {
    if (absl::Status ready = Prepare(); !ready.ok()) return ready;
    absl::Status status;
    std::string why;
    while (status.ok() && why.empty()) {
      status = Step();
      why = WhyToStop();
    }
    if (status.ok()) status = WindDown();
    const std::string error = absl::StrCat("error: ", std::string(status.message()));
    status.Update(ledger_.EndRun(status.ok() ? why : error));
    status.Update(ledger_.Sample(Findings()));
    if (!status.ok()) return status;
    return why;
  }

 private:
  int64_t Findings() const { return static_cast<int64_t>(desk_.findings().size()); }

  std::string WhyToStop() const {
    if (options_.interrupted != nullptr && *options_.interrupted) return "signal";
    const bool late = options_.max_seconds > 0 && ledger_.RunSeconds() >= options_.max_seconds;
    return late ? "time" : "";
  }

  absl::Status Prepare() {
    auto hellos = pool_.Hello(options_.engines);
    if (!hellos.ok()) return hellos.status();
    std::vector<std::string> versions, narrowed;
    for (const json& hello : *hellos) {
      const auto version = hello.find("version");
      const bool said = version != hello.end() && version->is_string();
      versions.push_back(said ? version->get<std::string>() : "");
      const Limits limits = NarrowLimits(hello, &narrowed);
      if (versions.size() == 1) exchange_.SetLimits(limits);
    }
    absl::Status status = ledger_.BeginRun(versions, narrowed);
    if (status.ok()) status = desk_.Load();
    if (status.ok()) status = exchange_.Load();
    return status;
  }

  absl::Status Step() {
    if (source_.NothingIsServed() && !pool_.Busy()) {
      return absl::FailedPreconditionError(
          "the engine serves none of these properties: every case was unsupported "
          "(`crosscheck report` says why); give others with --property");
    }
    while (pool_.FreeSlot() >= 0) {
      source_.AllowTargets(!ledger_.disk_full());
      std::optional<Task> task = source_.Next();
      if (!task) break;
      absl::Status ran =
          pool_.Run(pool_.FreeSlot(), *std::move(task), options_.slice_seconds, Signatures());
      if (!ran.ok()) return ran;
    }
    Wait();
    if (absl::Status status = CollectAll(); !status.ok()) return status;
    if (absl::Status status = desk_.Step(); !status.ok()) return status;
    return Periodic();
  }

  std::vector<std::string> Signatures() const {
    std::vector<std::string> signatures;
    for (const FindingRow& finding : desk_.findings()) signatures.push_back(finding.signature);
    return signatures;
  }

  // Until something answers, a signal comes, or something may be due.
  void Wait() const {
    std::vector<pollfd> waits;
    for (const int file : pool_.outputs()) waits.push_back({file, POLLIN, 0});
    if (desk_.output() >= 0) waits.push_back({desk_.output(), POLLIN, 0});
    poll(waits.data(), waits.size(), 100);
  }

  absl::Status CollectAll() {
    for (TaskEnd& end : pool_.Collect()) {
      if (absl::Status status = Take(end); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status Take(TaskEnd& end) {
    switch (end.kind) {
      case TaskEnd::Kind::kAnswered:
        return Answered(end);
      case TaskEnd::Kind::kRefused:
        return Refused(end);
      case TaskEnd::Kind::kDied:
        return WorkerDied(end);
      case TaskEnd::Kind::kSliceEnded:
        return SliceEnded(end);
    }
    return absl::OkStatus();
  }

  absl::Status Answered(TaskEnd& end) {
    deaths_ = 0;
    BatchReply reply;
    try {
      reply = BatchReplyFrom(end.answer);
    } catch (const json::exception& e) {
      return absl::InternalError(absl::StrCat("a worker's answer: ", e.what()));
    }
    auto payloads = ledger_.Record(reply, end.task.keep_inputs);
    if (!payloads.ok()) return payloads.status();
    if (end.large_process > 0) {
      absl::Status told = ledger_.Restarted(
          "memory", absl::StrCat("a worker or its engine held ", end.large_process >> 20,
                                 " MiB, more than --max-memory: started again"));
      if (!told.ok()) return told;
    }
    const BatchRow& row = reply.record.row;
    exchange_.TakeNew(end.task, *std::move(payloads));
    if (!end.task.artifact.empty()) exchange_.Replayed(end.task, row.findings + row.known > 0);
    const int64_t before = Findings();
    absl::Status added = desk_.Add(reply.record.findings);
    source_.Settle(end.task, row, static_cast<int>(Findings() - before));
    return added;
  }

  absl::Status Refused(TaskEnd& end) {
    if (stopping_) return absl::OkStatus();  // the next run does it
    // Inputs that this build does not read any more; anything else would be refused for ever.
    if (end.task.batch.driver == kRecheckDriver) {
      ledger_.Notice(absl::StrCat("inputs were left out: ", end.reason));
      return absl::OkStatus();
    }
    if (++deaths_ >= kDeathsInARow) return absl::UnavailableError(end.reason);
    source_.Again(std::move(end.task));
    return ledger_.Restarted("worker", end.reason);
  }

  absl::Status WorkerDied(TaskEnd& end) {
    if (stopping_) return absl::OkStatus();
    if (++deaths_ >= kDeathsInARow) {
      return absl::UnavailableError(
          absl::StrCat("workers died ", deaths_, " times without one answer: ", end.reason));
    }
    const Task task = end.task;
    absl::Status told =
        ledger_.Restarted("worker", absl::StrCat(task.batch.property, " ", task.batch.driver,
                                                 " batch at ", task.batch.first, ": ", end.reason));
    if (!told.ok()) return told;
    return source_.Died(std::move(end.task)) ? Blame(task, end.reason) : absl::OkStatus();
  }

  // A case that ended two workers: our own defect, counted as a case that could not be judged.
  absl::Status Blame(const Task& task, const std::string& reason) {
    BatchRecord blamed;
    blamed.row = {.engine = task.batch.engine,
                  .property = task.batch.property,
                  .driver = task.batch.driver,
                  .first = task.last_case,
                  .cases = 1,
                  .setup_errors = 1};
    const std::string what = absl::StrCat("case ", task.last_case, " of seed ", task.batch.seed,
                                          " ends the worker process: ", reason);
    blamed.counters[{std::string(kSetupErrorCounter), what}] = 1;
    ledger_.Notice(absl::StrCat(task.batch.property, ": ", what));
    return ledger_.Record(blamed);
  }

  absl::Status SliceEnded(TaskEnd& end) {
    const FuzzTargets::SliceResult& slice = end.slice;
    BatchRecord record;
    record.row = {.engine = end.task.batch.engine,
                  .property = end.task.batch.property,
                  .driver = end.task.batch.driver,
                  .cases = slice.executions,
                  .passed = slice.executions,
                  .seconds = end.seconds,
                  .new_inputs = slice.new_inputs};
    ledger_.SawEdges(record.row.property, slice.edges);
    if (absl::Status status = ledger_.Record(record); !status.ok()) return status;
    source_.Settle(end.task, record.row, static_cast<int>(slice.artifacts.size()));
    exchange_.TakeSlice(end.task.target, slice);
    return slice.problem.empty() ? absl::OkStatus() : ledger_.Restarted("target", slice.problem);
  }

  absl::Status Periodic() {
    const double now = ledger_.RunSeconds();
    absl::Status status;
    if (status_.Due(now)) {
      status = ledger_.ShowStatus(Findings(), static_cast<int64_t>(source_.waiting()));
    }
    if (status.ok() && sample_.Due(now)) status = ledger_.Sample(Findings());
    if (status.ok() && peers_.Due(now)) status = exchange_.ReadPeers();
    return status;
  }

  absl::Status WindDown() {
    stopping_ = true;
    pool_.Interrupt();
    desk_.Interrupt();
    const double until = ledger_.RunSeconds() + kStopSeconds;
    while ((pool_.Busy() || !desk_.Idle()) && ledger_.RunSeconds() < until) {
      Wait();
      if (absl::Status status = CollectAll(); !status.ok()) return status;
      if (absl::Status status = desk_.Step(); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  const CampaignOptions& options_;
  Ledger ledger_;
  TaskSource source_;
  FuzzTargets targets_;
  CorpusExchange exchange_;
  WorkerPool pool_;
  FindingDesk desk_;
  int deaths_ = 0;
  bool stopping_ = false;
  Every status_{kStatusSeconds}, sample_{options_.sample_seconds}, peers_{kPeerSeconds};
};

absl::StatusOr<FuzzTargets> FindTargets(const CampaignOptions& options) {
  std::set<std::string> subjects;
  for (const std::string& name : options.properties) {
    const Property* property = FindProperty(name);
    if (property == nullptr) return absl::NotFoundError("there is no property '" + name + "'");
    if (!options.targets.empty()) subjects.insert(std::string(property->subject->name));
  }
  return FuzzTargets::Find(
      options.targets, absl::StrCat(options.state_folder, "/targets.", options.shard), subjects);
}

// Each shard has its own random cases.
uint64_t SeedOf(const CampaignOptions& options) {
  if (options.shard == 0) return options.seed;
  return MixBits(options.seed ^ HashName(absl::StrCat("shard ", options.shard)));
}

}  // namespace

absl::StatusOr<std::string> RunCampaign(const CampaignOptions& given,
                                        const CampaignObserver& observer) {
  CampaignOptions options = given;
  if (options.state_folder.empty()) options.state_folder = options.workdir + "/state";
  if (options.properties.empty()) {
    for (const Property* property : Properties()) options.properties.emplace_back(property->name);
  }
  auto ledger = Ledger::Open(options, observer);
  if (!ledger.ok()) return ledger.status();
  auto targets = FindTargets(options);
  if (!targets.ok()) return targets.status();
  auto source = TaskSource::Create({.engines = options.engines,
                                    .properties = options.properties,
                                    .targets = targets->names(),
                                    .random = options.random_driver,
                                    .corpus = options.corpus_driver,
                                    .seed = SeedOf(options),
                                    .batch_seconds = options.batch_seconds,
                                    .slice_seconds = options.slice_seconds},
                                   options.seed, ledger->store());
  if (!source.ok()) return source.status();
  Campaign campaign(options, observer, *std::move(ledger), *std::move(source), *std::move(targets));
  return campaign.Run();
}

}  // namespace crosscheck
