#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "fuzz/campaign/store.h"
#include "fuzz/campaign/store_queries.h"

namespace crosscheck {
namespace {

namespace fs = std::filesystem;

absl::Status ReadRuns(Database& database, int64_t base, CampaignData& data) {
  Statement row = database.Prepare(
      "SELECT id, shard, shards, build, engines, engine_versions, seed, strategy, jobs, started, "
      "start_elapsed, seconds, ended, narrowed FROM runs ORDER BY id");
  while (row.Step()) {
    RunRow run{.id = row.Int(0) + base,
               .shard = static_cast<int>(row.Int(1)),
               .shards = static_cast<int>(row.Int(2)),
               .build = row.Text(3),
               .engines = row.Text(4),
               .engine_versions = row.Text(5),
               .seed = static_cast<uint64_t>(row.Int(6)),
               .strategy = row.Text(7),
               .jobs = static_cast<int>(row.Int(8)),
               .started = row.Text(9),
               .start_elapsed = row.Real(10),
               .seconds = row.Real(11),
               .ended = row.Text(12)};
    run.narrowed = absl::StrSplit(row.Text(13), ',', absl::SkipEmpty());
    data.runs.push_back(std::move(run));
  }
  return row.status();
}

absl::Status ReadSeries(Database& database, int64_t base, CampaignData& data) {
  Statement sample = database.Prepare(
      absl::StrCat("SELECT run, elapsed, cases, features, edges, inputs, findings, near_ties, "
                   "rss_bytes, disk_bytes, ",
                   HasMemoryByRole(database) ? "supervisor_bytes, worker_bytes" : "0, 0",
                   " FROM samples ORDER BY elapsed"));
  while (sample.Step()) {
    data.samples.push_back({.run = sample.Int(0) + base,
                            .elapsed = sample.Real(1),
                            .cases = sample.Int(2),
                            .features = sample.Int(3),
                            .edges = sample.Int(4),
                            .inputs = sample.Int(5),
                            .findings = sample.Int(6),
                            .near_ties = sample.Int(7),
                            .rss_bytes = sample.Int(8),
                            .disk_bytes = sample.Int(9),
                            .supervisor_bytes = sample.Int(10),
                            .worker_bytes = sample.Int(11)});
  }
  Statement restart =
      database.Prepare("SELECT run, elapsed, what, reason FROM restarts ORDER BY elapsed");
  while (restart.Step()) {
    data.restarts.push_back(
        {restart.Int(0) + base, restart.Real(1), restart.Text(2), restart.Text(3)});
  }
  return sample.status().ok() ? restart.status() : sample.status();
}

absl::Status ReadDistributions(Database& database, int64_t base, CampaignData& data) {
  Statement margin =
      database.Prepare("SELECT run, engine, property, path, metric, bucket, count FROM margins");
  while (margin.Step()) {
    data.margins.push_back({margin.Int(0) + base, margin.Text(1), margin.Text(2), margin.Text(3),
                            margin.Text(4), static_cast<int>(margin.Int(5)), margin.Int(6)});
  }
  Statement counter =
      database.Prepare("SELECT run, engine, property, kind, name, count FROM counters");
  while (counter.Step()) {
    data.counters.push_back({counter.Int(0) + base, counter.Text(1), counter.Text(2),
                             counter.Text(3), counter.Text(4), counter.Int(5)});
  }
  return margin.status().ok() ? counter.status() : margin.status();
}

// The row of the shard that owns a finding stands for all of them.
void MergeFinding(FindingRow finding, std::vector<FindingRow>& all) {
  const auto same = std::find_if(all.begin(), all.end(), [&](const FindingRow& other) {
    return other.signature == finding.signature;
  });
  if (same == all.end()) {
    all.push_back(std::move(finding));
    return;
  }
  const int64_t count = same->count + finding.count;
  if (same->state == FindingState::kElsewhere) *same = std::move(finding);
  same->count = count;
}

absl::Status ReadState(const std::string& file, CampaignData& data) {
  auto database = Database::Open(file, Database::Mode::kReadOnly);
  if (!database.ok()) return database.status();
  int64_t base = 0;
  for (const RunRow& run : data.runs) base = std::max(base, run.id);
  absl::Status status = ReadRuns(*database, base, data);
  status.Update(ReadSeries(*database, base, data));
  status.Update(ReadDistributions(*database, base, data));
  auto activity = ReadActivity(*database);
  status.Update(activity.status());
  auto findings = ReadFindings(*database);
  status.Update(findings.status());
  if (!status.ok()) return absl::Status(status.code(), absl::StrCat(file, ": ", status.message()));
  for (BatchRow& row : *activity) {
    row.run += base;
    data.activity.push_back(std::move(row));
  }
  for (FindingRow& finding : *findings) MergeFinding(std::move(finding), data.findings);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CampaignData> ReadCampaignFolder(const std::string& state_folder) {
  std::vector<std::string> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(state_folder, error)) {
    if (entry.path().extension() == ".sqlite") files.push_back(entry.path().string());
  }
  if (files.empty()) {
    return absl::NotFoundError(
        absl::StrCat(state_folder, ": no campaign was recorded here (there is no *.sqlite); ",
                     "`crosscheck fuzz --workdir DIR` starts one, with its record in DIR/state"));
  }
  std::sort(files.begin(), files.end());
  CampaignData data;
  for (const std::string& file : files) {
    if (absl::Status status = ReadState(file, data); !status.ok()) return status;
  }
  std::sort(data.findings.begin(), data.findings.end(),
            [](const FindingRow& a, const FindingRow& b) {
              return std::tie(a.elapsed, a.signature) < std::tie(b.elapsed, b.signature);
            });
  return data;
}

absl::StatusOr<CampaignData> ReadCampaign(const std::string& workdir) {
  return ReadCampaignFolder(workdir + "/state");
}

}  // namespace crosscheck
