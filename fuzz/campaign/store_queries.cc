#include "fuzz/campaign/store_queries.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"

namespace crosscheck {
namespace {

constexpr std::string_view kSumOfBatches =
    "SELECT run, MAX(elapsed), engine, property, driver, MIN(first), SUM(cases), SUM(passed), "
    "SUM(near_ties), SUM(unsupported), SUM(setup_errors), SUM(findings), SUM(known), SUM(seconds), "
    "SUM(new_features), SUM(new_inputs) FROM batches GROUP BY run, engine, property, driver";

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

}  // namespace

absl::StatusOr<std::vector<BatchRow>> ReadActivity(Database& database) {
  std::vector<BatchRow> rows;
  Statement row = database.Prepare(kSumOfBatches);
  while (row.Step()) rows.push_back(BatchOf(row));
  return row.status().ok() ? absl::StatusOr<std::vector<BatchRow>>(std::move(rows)) : row.status();
}

absl::StatusOr<std::vector<FindingRow>> ReadFindings(Database& database) {
  std::vector<FindingRow> rows;
  Statement row = database.Prepare(
      absl::StrCat("SELECT ", kFindingColumns, " FROM findings ORDER BY elapsed, signature"));
  while (row.Step()) rows.push_back(FindingOf(row));
  return row.status().ok() ? absl::StatusOr<std::vector<FindingRow>>(std::move(rows))
                           : row.status();
}

bool HasMemoryByRole(Database& database) {
  return database.Prepare("SELECT 1 FROM pragma_table_info('samples') WHERE name = 'worker_bytes'")
      .Step();
}

}  // namespace crosscheck
