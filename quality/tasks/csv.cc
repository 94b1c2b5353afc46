#include "quality/tasks/csv.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace crosscheck::quality {
namespace {

class CsvParser {
 public:
  CsvParser(std::string_view text, std::string_view source) : text_(text), source_(source) {}

  absl::StatusOr<std::vector<CsvRecord>> Run() {
    std::vector<CsvRecord> records;
    while (at_ < text_.size()) {
      if (LineEnds()) continue;
      CsvRecord record{.line = line_, .fields = {}};
      do {
        absl::Status status = Peek() == '"' ? Quoted(record) : Plain(record);
        if (!status.ok()) return status;
      } while (Take(','));
      if (at_ < text_.size() && !LineEnds()) return Error("text behind a closing quote");
      records.push_back(std::move(record));
    }
    return records;
  }

 private:
  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  bool Take(char c) {
    const bool found = at_ < text_.size() && text_[at_] == c;
    at_ += found;
    return found;
  }

  // Takes one line break, if there is one.
  bool LineEnds() {
    const size_t length = text_.substr(at_, 2) == "\r\n" ? 2 : Peek() == '\n' ? 1 : 0;
    if (at_ >= text_.size() || length == 0) return false;
    at_ += length;
    ++line_;
    return true;
  }

  absl::Status Plain(CsvRecord& record) {
    const size_t end = std::min(text_.find_first_of(",\"\n", at_), text_.size());
    if (end < text_.size() && text_[end] == '"') {
      return Error("a quote inside a field that is not quoted");
    }
    size_t length = end - at_;
    if (end < text_.size() && text_[end] == '\n' && length > 0 && text_[end - 1] == '\r') --length;
    record.fields.emplace_back(text_.substr(at_, length));
    at_ += length;
    return absl::OkStatus();
  }

  absl::Status Quoted(CsvRecord& record) {
    std::string field;
    const int begin = line_;
    ++at_;
    while (true) {
      const size_t end = text_.find('"', at_);
      if (end == std::string_view::npos) {
        line_ = begin;
        return Error("a quote that is never closed");
      }
      const std::string_view piece = text_.substr(at_, end - at_);
      line_ += static_cast<int>(std::count(piece.begin(), piece.end(), '\n'));
      field.append(piece);
      at_ = end + 1;
      if (!Take('"')) break;
      field.push_back('"');
    }
    record.fields.push_back(std::move(field));
    return absl::OkStatus();
  }

  absl::Status Error(std::string_view what) const {
    return absl::InvalidArgumentError(
        absl::StrCat(std::string(source_), ":", line_, ": ", std::string(what)));
  }

  std::string_view text_, source_;
  size_t at_ = 0;
  int line_ = 1;
};

}  // namespace

absl::StatusOr<std::vector<CsvRecord>> ParseCsv(std::string_view text, std::string_view source) {
  return CsvParser(text, source).Run();
}

}  // namespace crosscheck::quality
