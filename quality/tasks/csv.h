// Comma-separated values as RFC 4180 defines them.
#ifndef CROSSCHECK_QUALITY_TASKS_CSV_H_
#define CROSSCHECK_QUALITY_TASKS_CSV_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace crosscheck::quality {

struct CsvRecord {
  int line = 0;  // on which it begins, from 1
  std::vector<std::string> fields;
};

// Fields may be quoted; a quoted one may hold commas, line breaks and doubled quotes. Lines end
// with \n or \r\n; empty lines are skipped. InvalidArgument, naming `source` and the line: a quote
// inside an unquoted field, text behind a closing quote, a quote that is never closed.
absl::StatusOr<std::vector<CsvRecord>> ParseCsv(std::string_view text, std::string_view source);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_TASKS_CSV_H_
