#include "fuzz/campaign/ledger.h"

#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "fuzz/campaign/resources.h"

namespace crosscheck {
namespace {

std::string UtcNow() {
  const std::time_t now = std::time(nullptr);
  std::tm utc = {};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

}  // namespace

absl::StatusOr<Ledger> Ledger::Open(const CampaignOptions& options,
                                    const CampaignObserver& observer) {
  std::error_code error;
  std::filesystem::create_directories(options.workdir, error);
  if (error) {
    return absl::PermissionDeniedError(
        absl::StrCat("cannot create the work directory ", options.workdir, ": ", error.message()));
  }
  auto corpus = CorpusWriter::Open(options.workdir + "/" + CorpusFileName(options.shard));
  if (!corpus.ok()) return corpus.status();
  auto store = Store::Open(absl::StrCat(options.state_folder, "/", options.shard, ".sqlite"));
  if (!store.ok()) return store.status();
  return Ledger(options, observer, *std::move(store), *std::move(corpus));
}

std::string Ledger::StateFile() const {
  return absl::StrCat(options_->state_folder, "/", options_->shard, ".sqlite");
}

std::string Ledger::CorpusPath(int shard) const {
  return absl::StrCat(options_->workdir, "/", CorpusFileName(shard));
}

double Ledger::RunSeconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

absl::Status Ledger::BeginRun(const std::vector<std::string>& versions,
                              const std::vector<std::string>& narrowed) {
  start_elapsed_ = store_.elapsed();
  auto run = store_.BeginRun({.shard = options_->shard,
                              .shards = options_->shards,
                              .build = options_->build,
                              .engines = absl::StrJoin(options_->engines, ","),
                              .engine_versions = absl::StrJoin(versions, ","),
                              .seed = options_->seed,
                              .strategy = options_->strategy,
                              .jobs = options_->jobs,
                              .started = UtcNow(),
                              .narrowed = narrowed});
  if (!run.ok()) return run.status();
  run_ = *run;
  stat(StateFile().c_str(), &state_file_);
  start_ = std::chrono::steady_clock::now();
  auto features = store_.Features(options_->build);
  if (!features.ok()) return features.status();
  new_build_ = features->empty();
  features_.insert(features->begin(), features->end());
  auto activity = store_.Activity();
  if (!activity.ok()) return activity.status();
  for (const BatchRow& row : *activity) AddToSums(row);
  if (corpus_.torn_bytes() == 0) return absl::OkStatus();
  return Restarted(
      "corpus", absl::StrCat("the last record of the corpus file was torn (", corpus_.torn_bytes(),
                             " bytes, removed): a run was killed while it wrote"));
}

absl::Status Ledger::EndRun(const std::string& ended) {
  ended_ = true;
  return store_.EndRun(run_, RunSeconds(), ended);
}

absl::StatusOr<std::vector<std::string>> Ledger::Record(BatchReply& reply, bool keep) {
  BatchRecord& record = reply.record;
  std::vector<std::string> payloads;
  for (NewInput& input : reply.inputs) {
    bool is_new = false;
    for (const uint64_t feature : input.features) {
      if (!features_.insert(feature).second) continue;
      record.features.push_back(feature);
      is_new = true;
    }
    if (is_new) payloads.push_back(std::move(input.payload));
  }
  record.row.new_features = static_cast<int64_t>(record.features.size());
  record.row.new_inputs = static_cast<int64_t>(payloads.size());
  for (FindingRow& finding : record.findings) {
    finding.build = options_->build;
    finding.elapsed = Elapsed();
    finding.first_case += cases_ - record.row.first;
  }
  if (keep && !disk_full_) {
    for (const std::string& payload : payloads) {
      if (absl::Status status = corpus_.Append(payload); !status.ok()) return status;
      ++inputs_;
    }
  }
  if (absl::Status status = Record(record); !status.ok()) return status;
  return payloads;
}

absl::Status Ledger::Record(BatchRecord& record) {
  record.row.run = run_;
  record.row.elapsed = Elapsed();
  if (absl::Status status = store_.AddBatch(record); !status.ok()) return status;
  AddToSums(record.row);
  if (observer_->batch) observer_->batch(record.row);
  return absl::OkStatus();
}

absl::Status Ledger::Restarted(const std::string& what, const std::string& reason) {
  ++restarts_;
  Notice(absl::StrCat(what, ": ", reason));
  return store_.AddRestart({run_, Elapsed(), what, reason});
}

void Ledger::Notice(const std::string& text) const {
  if (observer_->notice) observer_->notice(text);
}

absl::Status Ledger::Sample(int64_t findings) {
  if (!ended_) memory_ = MemoryOfCampaign(getpid());
  const SampleRow sample{.run = run_,
                         .elapsed = Elapsed(),
                         .cases = cases_,
                         .features = static_cast<int64_t>(features_.size()),
                         .edges = Edges(),
                         .inputs = inputs_,
                         .findings = findings,
                         .near_ties = near_ties_,
                         .rss_bytes = memory_.Sum(),
                         .disk_bytes = FolderBytes(options_->workdir),
                         .supervisor_bytes = memory_.supervisor,
                         .worker_bytes = memory_.workers};
  if (!disk_full_ && sample.disk_bytes > options_->max_disk_bytes) {
    disk_full_ = true;
    absl::Status told = Restarted(
        "disk", absl::StrCat("the work directory holds ", sample.disk_bytes >> 20,
                             " MiB, more than --max-disk: no inputs are added from now on"));
    if (!told.ok()) return told;
  }
  if (observer_->sample) observer_->sample(sample);
  return store_.AddSample(sample);
}

void Ledger::SawEdges(const std::string& target, int64_t edges) {
  edges_[target] = std::max(edges_[target], edges);
}

int64_t Ledger::Edges() const {
  int64_t sum = 0;
  for (const auto& [target, edges] : edges_) sum += edges;
  return sum;
}

void AddCounts(const BatchRow& batch, BatchRow& sums) {
  sums.cases += batch.cases;
  sums.passed += batch.passed;
  sums.near_ties += batch.near_ties;
  sums.unsupported += batch.unsupported;
  sums.setup_errors += batch.setup_errors;
  sums.findings += batch.findings;
  sums.known += batch.known;
  sums.seconds += batch.seconds;
  sums.new_inputs += batch.new_inputs;
}

void Ledger::AddToSums(const BatchRow& row) {
  cases_ += row.cases;
  near_ties_ += row.near_ties;
  BatchRow& sum = sums_[row.property];
  sum.property = row.property;
  sum.driver = row.driver;
  AddCounts(row, sum);
}

absl::Status Ledger::ShowStatus(int64_t findings, int64_t waiting) {
  struct stat now_there = {};
  if (stat(StateFile().c_str(), &now_there) != 0 || now_there.st_ino != state_file_.st_ino ||
      now_there.st_dev != state_file_.st_dev) {
    return absl::FailedPreconditionError(
        absl::StrCat(StateFile(),
                     " was deleted or replaced while the campaign ran: nothing more "
                     "can be recorded; start it again"));
  }
  const double now = RunSeconds();
  history_.emplace_back(now, cases_);
  while (history_.size() > 10) history_.pop_front();
  if (!observer_->status) return absl::OkStatus();
  const double span = now - history_.front().first;
  const double limit = options_->max_seconds;
  const int64_t lately = cases_ - history_.front().second;
  CampaignStatus status{.run_seconds = now,
                        .seconds_left = limit > 0 ? limit - now : -1,
                        .cases = cases_,
                        .cases_per_second = span > 0 ? static_cast<double>(lately) / span : 0,
                        .features = static_cast<int64_t>(features_.size()),
                        .edges = Edges(),
                        .inputs = inputs_,
                        .near_ties = near_ties_,
                        .findings = findings,
                        .waiting = waiting,
                        .rss_bytes = memory_.Sum(),
                        .restarts = restarts_};
  for (const auto& [name, row] : sums_) status.properties.push_back(row);
  observer_->status(status);
  return absl::OkStatus();
}

}  // namespace crosscheck
