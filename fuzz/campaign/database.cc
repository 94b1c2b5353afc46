#include "fuzz/campaign/database.h"

#include <sqlite3.h>

#include "absl/strings/str_cat.h"

namespace crosscheck {
namespace {

constexpr int kBusyMilliseconds = 10'000;  // a reader of the report may hold the file

absl::Status ErrorOf(sqlite3* database, int code) {
  const char* file = database == nullptr ? nullptr : sqlite3_db_filename(database, "main");
  const std::string text =
      absl::StrCat("campaign state ", file == nullptr ? "" : file, ": ",
                   database == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(database));
  switch (code & 0xff) {
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(absl::StrCat(text, "; the disk is full"));
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
      return absl::PermissionDeniedError(
          absl::StrCat(text, "; the folder must exist and be writable"));
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(absl::StrCat(
          text, "; move the file away to start the campaign's record anew, the corpus is kept"));
    default:
      return absl::UnavailableError(text);
  }
}

}  // namespace

Statement::Statement(sqlite3* database, std::string_view sql) : database_(database) {
  sqlite3_stmt* made = nullptr;
  const int code =
      sqlite3_prepare_v2(database, sql.data(), static_cast<int>(sql.size()), &made, nullptr);
  statement_ = std::shared_ptr<sqlite3_stmt>(made, sqlite3_finalize);
  if (code != SQLITE_OK) status_ = ErrorOf(database, code);
}

bool Statement::Step() {
  if (!status_.ok()) return false;
  const int code = sqlite3_step(statement_.get());
  if (code != SQLITE_ROW && code != SQLITE_DONE) status_ = ErrorOf(database_, code);
  return code == SQLITE_ROW;
}

int64_t Statement::Int(int column) const { return sqlite3_column_int64(statement_.get(), column); }

double Statement::Real(int column) const { return sqlite3_column_double(statement_.get(), column); }

std::string Statement::Text(int column) const {
  const auto* text = sqlite3_column_text(statement_.get(), column);
  const auto size = static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column));
  return text == nullptr ? "" : std::string(reinterpret_cast<const char*>(text), size);
}

void Statement::BindOne(int place, int64_t value) {
  if (statement_ != nullptr) sqlite3_bind_int64(statement_.get(), place, value);
}

void Statement::BindOne(int place, double value) {
  if (statement_ != nullptr) sqlite3_bind_double(statement_.get(), place, value);
}

void Statement::BindOne(int place, std::string_view value) {
  if (statement_ == nullptr) return;
  sqlite3_bind_text64(statement_.get(), place, value.data(), value.size(), SQLITE_TRANSIENT,
                      SQLITE_UTF8);
}

absl::StatusOr<Database> Database::Open(const std::string& path, Mode mode) {
  sqlite3* opened = nullptr;
  const int flags =
      mode == Mode::kCreate ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
  const int code = sqlite3_open_v2(path.c_str(), &opened, flags, nullptr);
  Database database(std::shared_ptr<sqlite3>(opened, sqlite3_close_v2));
  if (code != SQLITE_OK)
    return absl::Status(ErrorOf(opened, code).code(),
                        absl::StrCat(path, ": ", sqlite3_errmsg(opened)));
  sqlite3_extended_result_codes(opened, 1);
  sqlite3_busy_timeout(opened, kBusyMilliseconds);
  if (mode == Mode::kCreate) {
    absl::Status status =
        database.RunScript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;");
    if (!status.ok()) return status;
  }
  return database;
}

absl::Status Database::RunScript(const std::string& sql) {
  const int code = sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : ErrorOf(handle_.get(), code);
}

Transaction::Transaction(Database& database)
    : database_(database), begun_(database.Run("BEGIN IMMEDIATE")), open_(begun_.ok()) {}

Transaction::~Transaction() {
  if (open_) database_.Run("ROLLBACK").IgnoreError();
}

absl::Status Transaction::Commit() {
  if (!begun_.ok()) return begun_;
  absl::Status status = database_.Run("COMMIT");
  open_ = !status.ok();
  return status;
}

}  // namespace crosscheck
