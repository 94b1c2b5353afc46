// Case files as the verbs take them: a corpus entry names its property; a bare case is judged by
// every property of its subject.
#ifndef CROSSCHECK_CLI_CASE_FILES_H_
#define CROSSCHECK_CLI_CASE_FILES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "fuzz/corpus_store.h"
#include "fuzz/known_issues.h"
#include "properties/property.h"

namespace crosscheck {

struct CaseFile {
  std::string path;
  Case value;
  std::vector<const Property*> properties;
  std::string engine;   // with which it was found; empty for a bare case
  Signature signature;  // empty property for a bare case

  // The engine of a flag; without one that of the file, and of a bare case lattice.
  std::string EngineOr(const std::string& flag) const {
    if (!flag.empty()) return flag;
    return engine.empty() ? "lattice" : engine;
  }
};

absl::StatusOr<CaseFile> ReadCaseFile(const std::string& path);
absl::StatusOr<std::vector<CaseFile>> ReadCaseFiles(const std::vector<std::string>& paths);

// known_issues.txt of a corpus folder; no folder means no known issues.
absl::StatusOr<std::vector<KnownIssue>> ReadKnownIssuesOf(const std::string& corpus_folder);

}  // namespace crosscheck

#endif  // CROSSCHECK_CLI_CASE_FILES_H_
