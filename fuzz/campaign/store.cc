#include "fuzz/campaign/store.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "fuzz/campaign/store_queries.h"

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

absl::Status AddMemoryByRole(Database& database) {
  if (HasMemoryByRole(database)) return absl::OkStatus();
  return database.RunScript(
      "ALTER TABLE samples ADD COLUMN supervisor_bytes INTEGER;"
      "ALTER TABLE samples ADD COLUMN worker_bytes INTEGER;");
}

}  // namespace

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
        absl::StrCat("INSERT INTO findings (", kFindingColumns,
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
