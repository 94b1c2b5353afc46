// A thin RAII layer over SQLite: statements with typed parameters, transactions, errors as status.
//
// Example:
//   Statement rows = database.Prepare("SELECT name, cases FROM t WHERE run = ?", run);
//   while (rows.Step()) Use(rows.Text(0), rows.Int(1));
//   if (!rows.status().ok()) …
#ifndef CROSSCHECK_FUZZ_CAMPAIGN_DATABASE_H_
#define CROSSCHECK_FUZZ_CAMPAIGN_DATABASE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct sqlite3;
struct sqlite3_stmt;

namespace crosscheck {

class Statement {
 public:
  Statement(sqlite3* database, std::string_view sql);

  template <class... Values>
  Statement& Bind(const Values&... values) {
    int place = 0;
    (BindOne(++place, values), ...);
    return *this;
  }
  bool Step();  // true: there is a row; false: the end, or an error
  int64_t Int(int column) const;
  double Real(int column) const;
  std::string Text(int column) const;
  const absl::Status& status() const { return status_; }

 private:
  void BindOne(int place, int64_t value);
  void BindOne(int place, int value) { BindOne(place, int64_t{value}); }
  void BindOne(int place, bool value) { BindOne(place, int64_t{value}); }
  void BindOne(int place, uint64_t value) { BindOne(place, static_cast<int64_t>(value)); }
  void BindOne(int place, double value);
  void BindOne(int place, std::string_view value);
  void BindOne(int place, const std::string& value) { BindOne(place, std::string_view(value)); }
  void BindOne(int place, const char* value) { BindOne(place, std::string_view(value)); }

  sqlite3* database_;
  std::shared_ptr<sqlite3_stmt> statement_;
  absl::Status status_;
};

class Database {
 public:
  enum class Mode { kCreate, kReadOnly };
  // kCreate: write-ahead log; a commit survives the death of every process, not that of the
  // machine.
  static absl::StatusOr<Database> Open(const std::string& path, Mode mode);

  template <class... Values>
  Statement Prepare(std::string_view sql, const Values&... values) {
    Statement statement(handle_.get(), sql);
    statement.Bind(values...);
    return statement;
  }
  // Runs one statement to its end.
  template <class... Values>
  absl::Status Run(std::string_view sql, const Values&... values) {
    Statement statement = Prepare(sql, values...);
    while (statement.Step()) {
    }
    return statement.status();
  }
  absl::Status RunScript(const std::string& sql);  // several statements

 private:
  explicit Database(std::shared_ptr<sqlite3> handle) : handle_(std::move(handle)) {}
  std::shared_ptr<sqlite3> handle_;
};

// Rolled back unless committed.
class Transaction {
 public:
  explicit Transaction(Database& database);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  absl::Status Commit();

 private:
  Database& database_;
  absl::Status begun_;
  bool open_;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_CAMPAIGN_DATABASE_H_
