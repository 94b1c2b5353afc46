#include "fuzz/campaign/supervisor.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <unordered_set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "fuzz/campaign/corpus_file.h"
#include "fuzz/campaign/resources.h"
#include "fuzz/campaign/task_source.h"
#include "fuzz/campaign/worker_pool.h"
#include "fuzz/corpus_store.h"
#include "fuzz/executor.h"
#include "fuzz/fuzz_target.h"
#include "reference/safetensors.h"

namespace crosscheck {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using nlohmann::json;

constexpr double kStopSeconds = 5;      // workers get so long to answer with what they have
constexpr double kPeerSeconds = 5;      // how often other shards' files are read
constexpr int kDeathsInARow = 10;       // of workers, without one answer: it cannot work

std::string UtcNow() {
  const std::time_t now = std::time(nullptr);
  std::tm utc = {};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

struct Identity {
  dev_t device = 0;
  ino_t inode = 0;
  bool operator==(const Identity&) const = default;
};

Identity IdentityOf(const std::string& path) {
  struct stat info = {};
  return stat(path.c_str(), &info) == 0 ? Identity{info.st_dev, info.st_ino} : Identity();
}

// Something that is due every so many seconds of the monotonic clock.
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
  Campaign(const CampaignOptions& options, const CampaignObserver& observer, Store store,
           CorpusWriter corpus, TaskSource source, FuzzTargets targets)
      : options_(options),
        observer_(observer),
        store_(std::move(store)),
        corpus_(std::move(corpus)),
        source_(std::move(source)),
        targets_(std::move(targets)),
        pool_(options.worker_command, options.jobs, targets_),
        desk_({.folder = options.workdir + "/findings",
               .shard = options.shard,
               .seed = options.seed,
               .command = options.worker_command,
               .seconds = options.minimise_seconds,
               .evaluations = options.minimise_evaluations},
              store_, [this](const FindingRow& f, FindingDesk::News news) {
                if (observer_.finding) observer_.finding(f, news);
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
    absl::Status sampled = Sample();
    status.Update(sampled);
    const std::string ended =
        status.ok() ? why : absl::StrCat("error: ", std::string(status.message()));
    status.Update(store_.EndRun(run_, RunSeconds(), ended));
    if (!status.ok()) return status;
    return why;
  }

 private:
  double RunSeconds() const {
    return std::chrono::duration<double>(Clock::now() - start_).count();
  }
  double Elapsed() const { return start_elapsed_ + RunSeconds(); }
  bool Interrupted() const { return options_.interrupted != nullptr && *options_.interrupted; }
  void Notice(const std::string& text) const {
    if (observer_.notice) observer_.notice(text);
  }
  std::string StateFile() const {
    return absl::StrCat(options_.state_folder, "/", options_.shard, ".sqlite");
  }

  std::string WhyToStop() const {
    if (Interrupted()) return "signal";
    const bool late = options_.max_seconds > 0 && RunSeconds() >= options_.max_seconds;
    return late ? "time" : "";
  }

  absl::Status Prepare() {
    auto hellos = pool_.Hello(options_.engines);
    if (!hellos.ok()) return hellos.status();
    std::vector<std::string> versions, narrowed;
    for (const json& hello : *hellos) {
      const auto version = hello.find("version");
      versions.push_back(version != hello.end() && version->is_string()
                             ? version->get<std::string>()
                             : "");
      const Limits limits = NarrowLimits(hello, &narrowed);
      if (versions.size() == 1) limits_ = FuzzLimits(limits);
    }
    start_elapsed_ = store_.elapsed();
    auto run = store_.BeginRun({.shard = options_.shard,
                                .shards = options_.shards,
                                .build = options_.build,
                                .engines = absl::StrJoin(options_.engines, ","),
                                .engine_versions = absl::StrJoin(versions, ","),
                                .seed = options_.seed,
                                .strategy = options_.strategy,
                                .jobs = options_.jobs,
                                .started = UtcNow(),
                                .narrowed = narrowed});
    if (!run.ok()) return run.status();
    run_ = *run;
    state_identity_ = IdentityOf(StateFile());
    start_ = Clock::now();
    if (corpus_.torn_bytes() > 0) {
      absl::Status told = Restarted("corpus", absl::StrCat("the last record of the corpus was torn (",
                                                           corpus_.torn_bytes(),
                                                           " bytes): a run was killed in it"));
      if (!told.ok()) return told;
    }
    if (absl::Status loaded = desk_.Load(); !loaded.ok()) return loaded;
    if (absl::Status loaded = LoadActivity(); !loaded.ok()) return loaded;
    return LoadCorpus();
  }

  absl::Status LoadActivity() {
    auto activity = store_.Activity();
    if (!activity.ok()) return activity.status();
    for (const BatchRow& row : *activity) AddToSums(row);
    return absl::OkStatus();
  }

  // The shard's own inputs are mutated further; a build that never saw them runs them first.
  absl::Status LoadCorpus() {
    auto features = store_.Features(options_.build);
    if (!features.ok()) return features.status();
    features_.insert(features->begin(), features->end());
    auto records = ReadCorpusRecords(options_.workdir + "/" + CorpusFileName(options_.shard), 0);
    if (!records.ok()) return records.status();
    inputs_ = static_cast<int64_t>(records->payloads.size());
    const bool new_build = features->empty();
    TakeInputs(std::move(records->payloads), new_build, "this corpus");
    if (new_build) RecheckRegressions();
    return LoadPeers(new_build);
  }

  // What other shards wrote before this run: what of it was not run yet is mutated all the same.
  absl::Status LoadPeers(bool new_build) {
    for (int shard = 0; shard < options_.shards; ++shard) {
      if (shard == options_.shard) continue;
      auto records = ReadCorpusRecords(options_.workdir + "/" + CorpusFileName(shard), 0);
      if (!records.ok()) return records.status();
      TakeInputs(std::move(records->payloads), new_build, CorpusFileName(shard));
      if (absl::Status set = store_.SetOffset(shard, records->end); !set.ok()) return set;
    }
    return absl::OkStatus();
  }

  void RecheckRegressions() {
    std::map<std::string, std::vector<std::string>> by_property;
    for (const std::string& path : options_.regressions) {
      auto entry = ReadEntry(path);
      const Property* property =
          entry.ok() ? FindProperty(entry->signature.property) : nullptr;
      if (property == nullptr || !IsChosen(std::string(property->name))) continue;
      by_property[std::string(property->name)].push_back(
          PrintCorpusInput(*property, entry->value));
    }
    for (auto& [property, inputs] : by_property) {
      source_.Recheck(property, std::move(inputs), "", true);
    }
  }

  bool IsChosen(const std::string& property) const {
    const auto& chosen = options_.properties;
    return std::find(chosen.begin(), chosen.end(), property) != chosen.end();
  }

  void TakeInputs(std::vector<std::string> payloads, bool recheck, const std::string& whose) {
    std::map<std::string, std::vector<std::string>> by_property;
    int64_t unreadable = 0;
    for (std::string& payload : payloads) {
      auto input = ParseCorpusInput(payload);
      if (!input.ok()) {
        ++unreadable;
        continue;
      }
      const std::string property(input->property->name);
      if (!IsChosen(property)) continue;
      GiveToTargets(*input);
      if (recheck) {
        by_property[property].push_back(std::move(payload));
      } else {
        source_.AddToPool(property, std::move(payload));
      }
    }
    for (auto& [property, inputs] : by_property) {
      source_.Recheck(property, std::move(inputs), "", false);
    }
    if (unreadable > 0) {
      Notice(absl::StrCat(unreadable, " inputs of ", whose,
                          " are of a property or field that this build does not have"));
    }
  }

  void GiveToTargets(const CorpusInput& input) {
    for (size_t i = 0; i < targets_.names().size(); ++i) {
      const int target = static_cast<int>(i);
      const Subject& subject = input.value.subject();
      if (targets_.subject(target) != subject.name || disk_full_) continue;
      const std::vector<const Property*> properties = PropertiesOf(subject);
      const auto at = std::find(properties.begin(), properties.end(), input.property);
      const std::string bytes = static_cast<char>(at - properties.begin()) +
                                subject.write(subject.clamp(input.value, limits_));
      targets_.AddSeed(target, bytes).IgnoreError();  // a help for the search, nothing is lost
    }
  }

  absl::Status Step() {
    while (pool_.FreeSlot() >= 0) {
      std::optional<Task> task = source_.Next();
      if (!task) break;
      absl::Status ran = pool_.Run(pool_.FreeSlot(), *std::move(task), options_.slice_seconds,
                                   Signatures());
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
        try {
          deaths_ = 0;
          return Record(end.task, BatchReplyFrom(end.answer));
        } catch (const json::exception& e) {
          return absl::InternalError(absl::StrCat("a worker's answer: ", e.what()));
        }
      case TaskEnd::Kind::kRefused:
        return Refused(end);
      case TaskEnd::Kind::kDied:
        return WorkerDied(end);
      case TaskEnd::Kind::kSliceEnded:
        return SliceEnded(end);
    }
    return absl::OkStatus();
  }

  absl::Status Record(const Task& task, BatchReply reply) {
    BatchRecord& record = reply.record;
    record.row.run = run_;
    record.row.elapsed = Elapsed();
    std::vector<std::string> kept;
    for (NewInput& input : reply.inputs) {
      bool is_new = false;
      for (const uint64_t feature : input.features) {
        if (!features_.insert(feature).second) continue;
        record.features.push_back(feature);
        is_new = true;
      }
      if (is_new) kept.push_back(std::move(input.payload));
    }
    record.row.new_features = static_cast<int64_t>(record.features.size());
    record.row.new_inputs = static_cast<int64_t>(kept.size());
    for (FindingRow& finding : record.findings) {
      finding.build = options_.build;
      finding.elapsed = Elapsed();
      finding.first_case = cases_ + finding.first_case - record.row.first;
    }
    // Inputs first: one that is in the file twice does no harm, one that is missing would.
    if (absl::Status kept_all = Keep(task, kept); !kept_all.ok()) return kept_all;
    if (absl::Status status = store_.AddBatch(record); !status.ok()) return status;
    AddToSums(record.row);
    source_.Settle(task, record.row);
    if (observer_.batch) observer_.batch(record.row);
    if (!task.artifact.empty()) Reproduced(task, record.row.findings + record.row.known > 0);
    return desk_.Add(record.findings);
  }

  absl::Status Keep(const Task& task, std::vector<std::string>& payloads) {
    for (std::string& payload : payloads) {
      if (task.keep_inputs && !disk_full_) {
        if (absl::Status status = corpus_.Append(payload); !status.ok()) return status;
        ++inputs_;
      }
      auto input = ParseCorpusInput(payload);
      if (input.ok() && task.batch.subject.empty()) GiveToTargets(*input);
      source_.AddToPool(task.batch.property, std::move(payload));
    }
    return absl::OkStatus();
  }

  void Reproduced(const Task& task, bool failed) {
    if (failed) {
      std::error_code ignored;
      fs::remove(task.artifact, ignored);
    } else {
      Notice(absl::StrCat("a finding of ", task.batch.subject,
                          "_fuzzer does not fail in crosscheck; its bytes stay in ",
                          task.artifact));
    }
  }

  absl::Status Refused(TaskEnd& end) {
    // Inputs that no build reads any more; anything else would be refused for ever.
    if (end.task.batch.driver == kRecheckDriver) {
      Notice(absl::StrCat("inputs were left out: ", end.reason));
      return absl::OkStatus();
    }
    if (++deaths_ >= kDeathsInARow) return absl::UnavailableError(end.reason);
    source_.Again(std::move(end.task));
    return Restarted("worker", end.reason);
  }

  absl::Status WorkerDied(TaskEnd& end) {
    if (++deaths_ >= kDeathsInARow) {
      return absl::UnavailableError(
          absl::StrCat("workers died ", deaths_, " times without one answer: ", end.reason));
    }
    const Task task = end.task;
    absl::Status told =
        Restarted("worker", absl::StrCat(task.batch.property, " ", task.batch.driver, " batch at ",
                                         task.batch.first, ": ", end.reason));
    if (!told.ok()) return told;
    if (!source_.Died(std::move(end.task))) return absl::OkStatus();
    BatchRecord blamed;
    blamed.row = {.run = run_,
                  .elapsed = Elapsed(),
                  .engine = task.batch.engine,
                  .property = task.batch.property,
                  .driver = task.batch.driver,
                  .first = task.last_case,
                  .cases = 1,
                  .setup_errors = 1};
    const std::string what = absl::StrCat("case ", task.last_case, " of seed ", task.batch.seed,
                                          " ends the worker process: ", end.reason);
    blamed.counters[{std::string(kSetupErrorCounter), what}] = 1;
    Notice(absl::StrCat(task.batch.property, ": ", what));
    if (absl::Status status = store_.AddBatch(blamed); !status.ok()) return status;
    AddToSums(blamed.row);
    return absl::OkStatus();
  }

  absl::Status SliceEnded(TaskEnd& end) {
    const Task& task = end.task;
    FuzzTargets::SliceResult& slice = end.slice;
    BatchRecord record;
    record.row = {.run = run_,
                  .elapsed = Elapsed(),
                  .engine = task.batch.engine,
                  .property = task.batch.property,
                  .driver = task.batch.driver,
                  .cases = slice.executions,
                  .passed = slice.executions,
                  .seconds = end.seconds,
                  .new_inputs = slice.new_inputs};
    if (absl::Status status = store_.AddBatch(record); !status.ok()) return status;
    AddToSums(record.row);
    if (observer_.batch) observer_.batch(record.row);
    int64_t& edges = edges_[task.target];
    edges = std::max(edges, slice.edges);
    record.row.new_inputs += slice.artifacts.empty() ? 0 : Budget::kFindingReward;
    source_.Settle(task, record.row);
    const std::string& subject = targets_.subject(task.target);
    for (std::string& bytes : slice.inputs) LookAt(subject, std::move(bytes), "");
    for (const std::string& path : slice.artifacts) {
      auto bytes = ReadFile(path);
      if (bytes.ok()) LookAt(subject, ToHex(*bytes), path);
    }
    return slice.problem.empty() ? absl::OkStatus() : Restarted("target", slice.problem);
  }

  // Bytes of a target become a case of the property that the first one chooses.
  void LookAt(const std::string& subject_name, std::string hex, const std::string& artifact) {
    const Subject* subject = FindSubject(subject_name);
    const std::vector<const Property*> properties = PropertiesOf(*subject);
    const std::string first = FromHex(hex.substr(0, 2));
    const size_t choice = first.empty() ? 0 : static_cast<unsigned char>(first[0]);
    const std::string property(properties[choice % properties.size()]->name);
    if (!IsChosen(property)) return;
    source_.Recheck(property, {std::move(hex)}, subject_name, true, artifact);
  }

  absl::Status Restarted(const std::string& what, const std::string& reason) {
    ++restarts_;
    Notice(absl::StrCat(what, ": ", reason));
    return store_.AddRestart({run_, Elapsed(), what, reason});
  }

  absl::Status Periodic() {
    const double now = RunSeconds();
    if (watch_.Due(now)) {
      if (IdentityOf(StateFile()) != state_identity_) {
        return absl::FailedPreconditionError(absl::StrCat(
            StateFile(), ": the file was deleted or replaced while the campaign ran; its record "
                         "ends here"));
      }
      ShowStatus();
    }
    if (sample_.Due(now)) {
      if (absl::Status status = Sample(); !status.ok()) return status;
    }
    return peers_.Due(now) ? ReadPeers() : absl::OkStatus();
  }

  absl::Status Sample() {
    SampleRow sample{.run = run_,
                     .elapsed = Elapsed(),
                     .cases = cases_,
                     .features = static_cast<int64_t>(features_.size()),
                     .edges = Edges(),
                     .inputs = inputs_,
                     .findings = static_cast<int64_t>(desk_.findings().size()),
                     .near_ties = near_ties_,
                     .rss_bytes = ResidentBytes(getpid()),
                     .disk_bytes = FolderBytes(options_.workdir)};
    rss_bytes_ = sample.rss_bytes;
    if (!disk_full_ && sample.disk_bytes > options_.max_disk_bytes) {
      disk_full_ = true;
      source_.AllowTargets(false);
      absl::Status told = Restarted(
          "disk", absl::StrCat("the work directory holds ", sample.disk_bytes >> 20,
                               " MiB, more than --max-disk: no inputs are added from now on"));
      if (!told.ok()) return told;
    }
    if (observer_.sample) observer_.sample(sample);
    return store_.AddSample(sample);
  }

  absl::Status ReadPeers() {
    for (int shard = 0; shard < options_.shards; ++shard) {
      if (shard == options_.shard) continue;
      auto offset = store_.Offset(shard);
      if (!offset.ok()) return offset.status();
      auto records = ReadCorpusRecords(options_.workdir + "/" + CorpusFileName(shard), *offset);
      if (!records.ok()) return records.status();
      if (records->skipped_bytes > 0) {
        Notice(absl::StrCat(records->skipped_bytes, " damaged bytes in ", CorpusFileName(shard),
                            " were skipped"));
      }
      if (records->payloads.empty()) continue;
      TakeInputs(std::move(records->payloads), true, CorpusFileName(shard));
      if (absl::Status set = store_.SetOffset(shard, records->end); !set.ok()) return set;
    }
    return absl::OkStatus();
  }

  absl::Status WindDown() {
    pool_.Interrupt();
    desk_.Interrupt();
    const double until = RunSeconds() + kStopSeconds;
    while ((pool_.Busy() || !desk_.Idle()) && RunSeconds() < until) {
      Wait();
      if (absl::Status status = CollectAll(); !status.ok()) return status;
      if (absl::Status status = desk_.Step(); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  int64_t Edges() const {
    int64_t sum = 0;
    for (const auto& [target, edges] : edges_) sum += edges;
    return sum;
  }

  void AddToSums(const BatchRow& row) {
    cases_ += row.cases;
    near_ties_ += row.near_ties;
    BatchRow& sum = sums_[row.property];
    sum.property = row.property;
    sum.driver = row.driver;
    sum.cases += row.cases;
    sum.passed += row.passed;
    sum.near_ties += row.near_ties;
    sum.unsupported += row.unsupported;
    sum.setup_errors += row.setup_errors;
    sum.findings += row.findings;
    sum.known += row.known;
    sum.seconds += row.seconds;
    sum.new_inputs += row.new_inputs;
  }

  void ShowStatus() {
    const double now = RunSeconds();
    history_.emplace_back(now, cases_);
    while (history_.size() > 10) history_.pop_front();
    if (!observer_.status) return;
    const double span = now - history_.front().first;
    CampaignStatus status{
        .run_seconds = now,
        .seconds_left = options_.max_seconds > 0 ? options_.max_seconds - now : -1,
        .cases = cases_,
        .cases_per_second =
            span > 0 ? static_cast<double>(cases_ - history_.front().second) / span : 0,
        .features = static_cast<int64_t>(features_.size()),
        .edges = Edges(),
        .inputs = inputs_,
        .near_ties = near_ties_,
        .findings = static_cast<int64_t>(desk_.findings().size()),
        .waiting = static_cast<int64_t>(source_.waiting()),
        .rss_bytes = rss_bytes_,
        .restarts = restarts_};
    for (const auto& [name, row] : sums_) status.properties.push_back(row);
    observer_.status(status);
  }

  const CampaignOptions& options_;
  const CampaignObserver& observer_;
  Store store_;
  CorpusWriter corpus_;
  TaskSource source_;
  FuzzTargets targets_;
  WorkerPool pool_;
  FindingDesk desk_;

  int64_t run_ = 0;
  Clock::time_point start_ = Clock::now();
  double start_elapsed_ = 0;
  Identity state_identity_;
  Limits limits_;  // of the first engine's fuzz targets
  std::unordered_set<uint64_t> features_;
  std::map<std::string, BatchRow> sums_;
  std::map<int, int64_t> edges_;  // by target
  std::deque<std::pair<double, int64_t>> history_;
  int64_t cases_ = 0, near_ties_ = 0, inputs_ = 0, rss_bytes_ = 0, restarts_ = 0;
  int deaths_ = 0;
  bool disk_full_ = false;
  Every watch_{0.5}, sample_{options_.sample_seconds}, peers_{kPeerSeconds};
};

}  // namespace

absl::StatusOr<std::string> RunCampaign(const CampaignOptions& given,
                                        const CampaignObserver& observer) {
  CampaignOptions options = given;
  if (options.state_folder.empty()) options.state_folder = options.workdir + "/state";
  if (options.properties.empty()) {
    for (const Property* property : Properties()) options.properties.emplace_back(property->name);
  }
  std::error_code error;
  fs::create_directories(options.workdir, error);
  if (error) {
    return absl::PermissionDeniedError(absl::StrCat("cannot create the work directory ",
                                                    options.workdir, ": ", error.message()));
  }
  auto corpus = CorpusWriter::Open(options.workdir + "/" + CorpusFileName(options.shard));
  if (!corpus.ok()) return corpus.status();
  auto store = Store::Open(absl::StrCat(options.state_folder, "/", options.shard, ".sqlite"));
  if (!store.ok()) return store.status();
  std::set<std::string> subjects;
  for (const std::string& name : options.properties) {
    const Property* property = FindProperty(name);
    if (property == nullptr) return absl::NotFoundError("there is no property '" + name + "'");
    subjects.insert(std::string(property->subject->name));
  }
  if (options.targets.empty()) subjects.clear();
  auto targets = FuzzTargets::Find(
      options.targets, absl::StrCat(options.state_folder, "/targets.", options.shard), subjects);
  if (!targets.ok()) return targets.status();
  const uint64_t seed = options.shard == 0
                            ? options.seed
                            : MixBits(options.seed ^ HashName(absl::StrCat("shard ", options.shard)));
  auto source = TaskSource::Create({.engines = options.engines,
                                    .properties = options.properties,
                                    .targets = targets->names(),
                                    .corpus = options.corpus_driver,
                                    .seed = seed,
                                    .batch_seconds = options.batch_seconds,
                                    .slice_seconds = options.slice_seconds},
                                   options.seed, *store);
  if (!source.ok()) return source.status();
  Campaign campaign(options, observer, *std::move(store), *std::move(corpus), *std::move(source),
                    *std::move(targets));
  return campaign.Run();
}

}  // namespace crosscheck
