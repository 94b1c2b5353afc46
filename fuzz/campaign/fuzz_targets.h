// The libFuzzer targets of the `fuzz` build, run in slices of time on private copies, so that a
// finding joins the copy's known issues and does not end every slice after it.
#ifndef CROSSCHECK_FUZZ_CAMPAIGN_FUZZ_TARGETS_H_
#define CROSSCHECK_FUZZ_CAMPAIGN_FUZZ_TARGETS_H_

#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engines/child_process.h"

namespace crosscheck {

class FuzzTargets {
 public:
  struct SliceResult {
    int64_t executions = 0, new_inputs = 0, edges = 0;
    std::vector<std::string> inputs = {};     // new files of its corpus, their bytes as hex
    std::vector<std::string> artifacts = {};  // paths of new findings
    std::string problem = {};                 // it did not run: why
  };

  // The targets <subject>_fuzzer of these subjects in `folder`, copied below `own_folder`. None is
  // no error.
  static absl::StatusOr<FuzzTargets> Find(const std::string& folder, const std::string& own_folder,
                                          const std::set<std::string>& subjects);

  // The command line of a slice. Writes the signatures into the target's known issues.
  absl::StatusOr<std::vector<std::string>> Prepare(int target, double seconds,
                                                   const std::vector<std::string>& signatures);
  absl::Status AddSeed(int target, const std::string& bytes);
  // After its end.
  SliceResult Collect(int target, ChildProcess& process);

  const std::vector<std::string>& names() const { return names_; }
  const std::string& subject(int target) const { return subjects_[static_cast<size_t>(target)]; }

 private:
  std::string Folder(int target) const { return own_ + "/" + names_[static_cast<size_t>(target)]; }
  absl::Status Copy(const std::string& from, int target) const;

  std::string source_, own_;
  std::vector<std::string> names_, subjects_;
  // Files that were looked at, by target; an artifact that is not replayed stays in its folder.
  std::vector<std::set<std::string>> seen_, seen_artifacts_;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_CAMPAIGN_FUZZ_TARGETS_H_
