// Regression files: a case as text behind a header that says how it was found.
//
// Layout: <root>/<property>/<signature with '.'>.case. One file per signature: a smaller case of
// the same engine replaces a larger one; after `---` stands the text that the subject prints.
//
// Example of a file:
//   # crosscheck case 1
//   signature = logit_closeness/lattice/session/numeric
//   engine = lattice@0.4.0
//   verdict = ENGINE_BUG
//   found = seed 7, case 1234, build 1a2b3c, 0.8 s
//   marginal = no
//   bug = recurrent decay per key head (#427)          only where a released version has it
//   versions = bad 0.2.1-0.4.0, good 0.4.1-0.15.0      as `bracket --record` found them
//   # error 3.1e-2 is 40 times its bound at position 3
//   ---
//   subject = model_run
//   model.hidden = 4
//   …
#ifndef CROSSCHECK_FUZZ_CORPUS_STORE_H_
#define CROSSCHECK_FUZZ_CORPUS_STORE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "properties/subject.h"
#include "properties/verdict.h"

namespace crosscheck {

struct CorpusEntry {
  Case value;
  Signature signature;
  std::string engine;  // full name with which it was found
  VerdictKind verdict = VerdictKind::kEngineBug;
  bool marginal = false;
  uint64_t seed = 0;
  int64_t cases_until_found = 0;
  double seconds_until_found = 0;  // of the search, all its workers together; 0: not recorded
  std::string bug = {};            // a name for people; "" unless somebody gave one
  std::string versions = {};       // what `bracket` found; "" unless recorded
  std::string build = {};          // build id of crosscheck
  std::vector<std::string> notes;  // message lines of the verdict, written as comments
};

std::string PrintEntry(const CorpusEntry& entry);
absl::StatusOr<CorpusEntry> ParseEntry(std::string_view text,
                                       std::string_view file_name);  // errors: file:line:column
// A seed or hand-written case without a header: a line `subject = <name>` and fields.
absl::StatusOr<Case> ParseBareCase(std::string text, const std::string& file_name);
absl::StatusOr<CorpusEntry> ReadEntry(const std::string& path);
// Writes <root>/<property>/<signature>.case atomically and returns its path.
absl::StatusOr<std::string> WriteEntry(const std::string& root, const CorpusEntry& entry);
// Every *.case under a file or folder, sorted by path.
absl::StatusOr<std::vector<std::string>> ListCaseFiles(const std::string& path);

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_CORPUS_STORE_H_
