// Bugs of released versions as a table, from the headers of their case files.
#ifndef CROSSCHECK_CLI_REPORTS_HISTORY_H_
#define CROSSCHECK_CLI_REPORTS_HISTORY_H_

#include <string>

#include "absl/status/statusor.h"

namespace crosscheck {

// One markdown row for each case file below the folder, in the order of their names: what, bad and
// good versions, property, size of the reduced case, cases and seconds until it was found. A file
// without `bug` or `versions` is an error.
absl::StatusOr<std::string> HistoryMarkdown(const std::string& folder);

}  // namespace crosscheck

#endif  // CROSSCHECK_CLI_REPORTS_HISTORY_H_
