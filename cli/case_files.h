// Inputs as the verbs take them: a corpus entry names its property, a bare case is judged by every
// property of its subject, the files of a campaign's shards (corpus.%06d) hold many, and the bytes
// of a fuzz target's input need its subject and the limits of the engine that it was built for.
#ifndef CROSSCHECK_CLI_CASE_FILES_H_
#define CROSSCHECK_CLI_CASE_FILES_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "fuzz/corpus_store.h"
#include "fuzz/executor.h"
#include "fuzz/known_issues.h"
#include "properties/property.h"

namespace crosscheck {

enum class CaseSource { kCase, kCampaign, kTarget };

struct CaseFile {
  std::string path;  // of a campaign's input with its number: campaign/corpus.000000#12
  Case value;
  std::vector<const Property*> properties = {};
  std::string engine = {};   // with which it was found; empty for a bare case
  Signature signature = {};  // empty property for a bare case
  CaseSource source = CaseSource::kCase;
  std::string content = {};  // text or bytes, as read

  // The engine of a flag; without one that of the file, and of a bare case lattice.
  std::string EngineOr(const std::string& flag) const {
    if (!flag.empty()) return flag;
    return engine.empty() ? "lattice" : engine;
  }
};

// What turns the bytes of a fuzz target's input into its case.
struct TargetInputs {
  const Subject* subject = nullptr;
  Limits limits;
};

// Errors: there is no such subject, or no property judges it.
absl::StatusOr<const Subject*> SubjectNamed(const std::string& name);
// Of the flag --subject: nothing when it is empty.
absl::StatusOr<std::optional<TargetInputs>> TargetInputsOf(const std::string& subject,
                                                           const Executor& executor);

// One file with one case. Without `target` it has to be text.
absl::StatusOr<CaseFile> ReadCaseFile(const std::string& path,
                                      const std::optional<TargetInputs>& target = std::nullopt);

struct CaseFiles {
  std::vector<CaseFile> files;  // by path
  int64_t unreadable = 0;       // inputs of campaigns that this build cannot read any more
};

// Files, and folders of them. Below a folder, files that are neither *.case nor corpus.%06d count
// only with `target`. Errors: nothing was found, a file is no input.
absl::StatusOr<CaseFiles> ReadCaseFiles(const std::vector<std::string>& paths,
                                        const std::optional<TargetInputs>& target = std::nullopt);

// One case and the engine that runs it: that of the flag, of the file, or lattice.
struct OpenedCase {
  CaseFile file;
  std::string engine;
  std::unique_ptr<Executor> executor;
};
absl::StatusOr<OpenedCase> OpenCase(const std::string& path, const std::string& subject,
                                    const std::string& engine, double deadline_seconds);

inline constexpr char kSubjectHelp[] =
    "Files that are no *.case are inputs of this subject's fuzz target (a crash-… of libFuzzer)";

// known_issues.txt of a corpus folder; no folder means no known issues.
absl::StatusOr<std::vector<KnownIssue>> ReadKnownIssuesOf(const std::string& corpus_folder);

}  // namespace crosscheck

#endif  // CROSSCHECK_CLI_CASE_FILES_H_
