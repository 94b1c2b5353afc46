#include "fuzz/campaign/store.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <system_error>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace crosscheck {
namespace {

namespace fs = std::filesystem;

constexpr char kSchema[] = R"sql(
CREATE TABLE IF NOT EXISTS runs (id INTEGER PRIMARY KEY, shard INTEGER, shards INTEGER, build TEXT,
  engines TEXT, engine_versions TEXT, seed INTEGER, strategy TEXT, jobs INTEGER, started TEXT,
  start_elapsed REAL, seconds REAL, ended TEXT, narrowed TEXT);
CREATE TABLE IF NOT EXISTS batches (id INTEGER PRIMARY KEY, run INTEGER, elapsed REAL, engine TEXT,
  property TEXT, driver TEXT, first INTEGER, cases INTEGER, passed INTEGER, near_ties INTEGER,
  unsupported INTEGER, setup_errors INTEGER, findings INTEGER, known INTEGER, seconds REAL,
  new_features INTEGER, new_inputs INTEGER);
CREATE TABLE IF NOT EXISTS samples (run INTEGER, elapsed REAL, cases INTEGER, features INTEGER,
  edges INTEGER, inputs INTEGER, findings INTEGER, near_ties INTEGER, rss_bytes INTEGER,
  disk_bytes INTEGER, supervisor_bytes INTEGER, worker_bytes INTEGER);
CREATE TABLE IF NOT EXISTS margins (run INTEGER, engine TEXT, property TEXT, path TEXT, metric TEXT,
  bucket INTEGER, count INTEGER, PRIMARY KEY (run, engine, property, path, metric, bucket))
  WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counters (run INTEGER, engine TEXT, property TEXT, kind TEXT, name TEXT,
  count INTEGER, PRIMARY KEY (run, engine, property, kind, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS features (build TEXT, feature INTEGER, PRIMARY KEY (build, feature))
  WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS findings (signature TEXT PRIMARY KEY, property TEXT, engine TEXT,
  driver TEXT, build TEXT, verdict TEXT, message TEXT, state INTEGER, elapsed REAL,
  first_case INTEGER, count INTEGER, case_text TEXT, case_file TEXT, reduced_text TEXT,
  marginal INTEGER, minimal INTEGER, evaluations INTEGER, replays INTEGER, failures INTEGER,
  attempts INTEGER, localised TEXT, first_bad TEXT);
CREATE TABLE IF NOT EXISTS restarts (run INTEGER, elapsed REAL, what TEXT, reason TEXT);
CREATE TABLE IF NOT EXISTS readers (shard INTEGER PRIMARY KEY, position INTEGER);
PRAGMA user_version = 2;
)sql";

constexpr std::string_view kSumOfBatches =
    "SELECT run, MAX(elapsed), engine, property, driver, MIN(first), SUM(cases), SUM(passed), "
    "SUM(near_ties), SUM(unsupported), SUM(setup_errors), SUM(findings), SUM(known), SUM(seconds), "
    "SUM(new_features), SUM(new_inputs) FROM batches GROUP BY run, engine, property, driver";

constexpr std::string_view kFindingColumns =
    "signature, property, engine, driver, build, verdict, message, state, elapsed, first_case, "
    "count, case_text, case_file, reduced_text, marginal, minimal, evaluations, replays, failures, "
    "attempts, localised, first_bad";

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

BatchRow BatchOf(const Statement& row) {
  return {.run = row.Int(0),
          .elapsed = row.Real(1),
          .engine = row.Text(2),
          .property = row.Text(3),
          .driver = row.Text(4),
          .first = row.Int(5),
          .cases = row.Int(6),
          .passed = row.Int(7),
          .near_ties = row.Int(8),
          .unsupported = row.Int(9),
          .setup_errors = row.Int(10),
          .findings = row.Int(11),
          .known = row.Int(12),
          .seconds = row.Real(13),
          .new_features = row.Int(14),
          .new_inputs = row.Int(15)};
}

FindingState StateOf(int64_t value) {
  const int64_t last = std::size(kFindingStateNames) - 1;
  return static_cast<FindingState>(std::clamp<int64_t>(value, 0, last));
}

FindingRow FindingOf(const Statement& row) {
  return {.signature = row.Text(0),
          .property = row.Text(1),
          .engine = row.Text(2),
          .driver = row.Text(3),
          .build = row.Text(4),
          .verdict = row.Text(5),
          .message = row.Text(6),
          .state = StateOf(row.Int(7)),
          .elapsed = row.Real(8),
          .first_case = row.Int(9),
          .count = row.Int(10),
          .case_text = row.Text(11),
          .case_file = row.Text(12),
          .reduced_text = row.Text(13),
          .marginal = row.Int(14) != 0,
          .minimal = row.Int(15) != 0,
          .evaluations = static_cast<int>(row.Int(16)),
          .replays = static_cast<int>(row.Int(17)),
          .failures = static_cast<int>(row.Int(18)),
          .attempts = static_cast<int>(row.Int(19)),
          .localised = row.Text(20),
          .first_bad = row.Text(21)};
}

absl::StatusOr<std::vector<BatchRow>> ReadActivity(Database& database) {
  std::vector<BatchRow> rows;
  Statement row = database.Prepare(kSumOfBatches);
  while (row.Step()) rows.push_back(BatchOf(row));
  return row.status().ok() ? absl::StatusOr<std::vector<BatchRow>>(std::move(rows)) : row.status();
}

absl::StatusOr<std::vector<FindingRow>> ReadFindings(Database& database) {
  std::vector<FindingRow> rows;
  Statement row = database.Prepare(
      absl::StrCat("SELECT ", View(kFindingColumns), " FROM findings ORDER BY elapsed, signature"));
  while (row.Step()) rows.push_back(FindingOf(row));
  return row.status().ok() ? absl::StatusOr<std::vector<FindingRow>>(std::move(rows))
                           : row.status();
}

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

// A record of version 1 has the memory of all processes together only.
bool HasMemoryByRole(Database& database) {
  return database.Prepare("SELECT 1 FROM pragma_table_info('samples') WHERE name = 'worker_bytes'")
      .Step();
}

absl::Status AddMemoryByRole(Database& database) {
  if (HasMemoryByRole(database)) return absl::OkStatus();
  return database.RunScript(
      "ALTER TABLE samples ADD COLUMN supervisor_bytes INTEGER;"
      "ALTER TABLE samples ADD COLUMN worker_bytes INTEGER;");
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

absl::StatusOr<Store> Store::Open(const std::string& path) {
  std::error_code error;
  fs::create_directories(fs::path(path).parent_path(), error);
  auto database = Database::Open(path, Database::Mode::kCreate);
  if (!database.ok()) return database.status();
  Store store(*std::move(database));
  absl::Status status = store.database_.RunScript(kSchema);
  if (status.ok()) status = AddMemoryByRole(store.database_);
  if (!status.ok()) return status;
  Statement last = store.database_.Prepare(
      "SELECT MAX(COALESCE((SELECT MAX(start_elapsed + seconds) FROM runs), 0), "
      "COALESCE((SELECT MAX(elapsed) FROM batches), 0), "
      "COALESCE((SELECT MAX(elapsed) FROM samples), 0))");
  if (last.Step()) store.elapsed_ = last.Real(0);
  if (!last.status().ok()) return last.status();
  return store;
}

absl::StatusOr<int64_t> Store::BeginRun(const RunRow& run) {
  absl::Status status = database_.Run(
      "INSERT INTO runs (shard, shards, build, engines, engine_versions, seed, strategy, jobs, "
      "started, start_elapsed, seconds, ended, narrowed) VALUES (?,?,?,?,?,?,?,?,?,?,0,'',?)",
      run.shard, run.shards, run.build, run.engines, run.engine_versions, run.seed, run.strategy,
      run.jobs, run.started, elapsed_, absl::StrJoin(run.narrowed, ","));
  if (!status.ok()) return status;
  Statement id = database_.Prepare("SELECT MAX(id) FROM runs");
  if (!id.Step()) return id.status();
  return id.Int(0);
}

absl::Status Store::EndRun(int64_t run, double seconds, std::string_view ended) {
  absl::Status status =
      database_.Run("UPDATE runs SET seconds = ?, ended = ? WHERE id = ?", seconds, ended, run);
  // One plain file, which can also be read in a folder that nobody may write to; a reader that has
  // it open at this moment leaves it as it is.
  database_.Run("PRAGMA journal_mode = DELETE").IgnoreError();
  return status;
}

absl::Status Store::AddSample(const SampleRow& s) {
  elapsed_ = std::max(elapsed_, s.elapsed);
  absl::Status status = database_.Run(
      "INSERT INTO samples (run, elapsed, cases, features, edges, inputs, findings, near_ties, "
      "rss_bytes, disk_bytes, supervisor_bytes, worker_bytes) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
      s.run, s.elapsed, s.cases, s.features, s.edges, s.inputs, s.findings, s.near_ties,
      s.rss_bytes, s.disk_bytes, s.supervisor_bytes, s.worker_bytes);
  status.Update(
      database_.Run("UPDATE runs SET seconds = ? - start_elapsed WHERE id = ?", s.elapsed, s.run));
  return status;
}

absl::Status Store::AddRestart(const RestartRow& restart) {
  return database_.Run("INSERT INTO restarts VALUES (?,?,?,?)", restart.run, restart.elapsed,
                       restart.what, restart.reason);
}

absl::Status Store::AddBatch(const BatchRecord& batch) {
  const BatchRow& b = batch.row;
  Transaction transaction(database_);
  absl::Status status = database_.Run(
      "INSERT INTO batches (run, elapsed, engine, property, driver, first, cases, passed, "
      "near_ties, unsupported, setup_errors, findings, known, seconds, new_features, new_inputs) "
      "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
      b.run, b.elapsed, b.engine, b.property, b.driver, b.first, b.cases, b.passed, b.near_ties,
      b.unsupported, b.setup_errors, b.findings, b.known, b.seconds, b.new_features, b.new_inputs);
  for (const auto& [key, histogram] : batch.margins) {
    for (const auto& [bucket, count] : histogram) {
      status.Update(
          database_.Run("INSERT INTO margins VALUES (?,?,?,?,?,?,?) ON CONFLICT DO "
                        "UPDATE SET count = count + excluded.count",
                        b.run, b.engine, b.property, key.first, key.second, bucket, count));
    }
  }
  for (const auto& [key, count] : batch.counters) {
    status.Update(
        database_.Run("INSERT INTO counters VALUES (?,?,?,?,?,?) ON CONFLICT DO UPDATE "
                      "SET count = count + excluded.count",
                      b.run, b.engine, b.property, key.first, key.second, count));
  }
  for (const uint64_t feature : batch.features) {
    status.Update(database_.Run(
        "INSERT OR IGNORE INTO features SELECT build, ? FROM runs WHERE id = ?", feature, b.run));
  }
  for (const FindingRow& f : batch.findings) {
    status.Update(database_.Run(
        absl::StrCat("INSERT INTO findings (", View(kFindingColumns),
                     ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO UPDATE "
                     "SET count = count + excluded.count"),
        f.signature, f.property, f.engine, f.driver, f.build, f.verdict, f.message,
        static_cast<int>(f.state), f.elapsed, f.first_case, f.count, f.case_text, f.case_file,
        f.reduced_text, f.marginal, f.minimal, f.evaluations, f.replays, f.failures, f.attempts,
        f.localised, f.first_bad));
  }
  if (!status.ok()) return status;
  elapsed_ = std::max(elapsed_, b.elapsed);
  return transaction.Commit();
}

absl::Status Store::SaveFinding(const FindingRow& f) {
  return database_.Run(
      "UPDATE findings SET verdict = ?, message = ?, state = ?, case_file = ?, reduced_text = ?, "
      "marginal = ?, minimal = ?, evaluations = ?, replays = ?, failures = ?, attempts = ?, "
      "localised = ?, first_bad = ? WHERE signature = ?",
      f.verdict, f.message, static_cast<int>(f.state), f.case_file, f.reduced_text, f.marginal,
      f.minimal, f.evaluations, f.replays, f.failures, f.attempts, f.localised, f.first_bad,
      f.signature);
}

absl::StatusOr<std::vector<std::pair<int64_t, int64_t>>> Store::Recorded(uint64_t seed,
                                                                         std::string_view engine,
                                                                         std::string_view property,
                                                                         std::string_view driver) {
  std::vector<std::pair<int64_t, int64_t>> ranges;
  Statement row = database_.Prepare(
      "SELECT first, cases FROM batches JOIN runs ON runs.id = run WHERE seed = ? AND engine = ? "
      "AND property = ? AND driver = ? ORDER BY first",
      seed, engine, property, driver);
  while (row.Step()) ranges.emplace_back(row.Int(0), row.Int(1));
  if (!row.status().ok()) return row.status();
  return ranges;
}

absl::StatusOr<std::vector<uint64_t>> Store::Features(std::string_view build) {
  std::vector<uint64_t> features;
  Statement row = database_.Prepare("SELECT feature FROM features WHERE build = ?", build);
  while (row.Step()) features.push_back(static_cast<uint64_t>(row.Int(0)));
  if (!row.status().ok()) return row.status();
  return features;
}

absl::StatusOr<std::vector<FindingRow>> Store::Findings() { return ReadFindings(database_); }

absl::StatusOr<std::vector<BatchRow>> Store::Activity() { return ReadActivity(database_); }

absl::StatusOr<int64_t> Store::Offset(int shard) {
  Statement row = database_.Prepare("SELECT position FROM readers WHERE shard = ?", shard);
  const bool found = row.Step();
  if (!row.status().ok()) return row.status();
  return found ? row.Int(0) : 0;
}

absl::Status Store::SetOffset(int shard, int64_t offset) {
  return database_.Run("INSERT OR REPLACE INTO readers VALUES (?,?)", shard, offset);
}

}  // namespace crosscheck
