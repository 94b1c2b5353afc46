// What must hold of two recorded dumps, by whatever tools, before any number is made of them
// (quality.md 2.3). Every error is FailedPrecondition or DataLoss and names both values.
#ifndef CROSSCHECK_QUALITY_DUMP_CHECK_H_
#define CROSSCHECK_QUALITY_DUMP_CHECK_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "quality/dump.h"
#include "quality/prompts.h"
#include "quality/summary.h"

namespace crosscheck::quality {

// What a manifest says at a JSON pointer; null where it says nothing.
const Json& ValueAt(const Json& manifest, const std::string& pointer);

// A manifest alone: its mode, vocabulary and columns are known ones.
absl::Status CheckManifest(const DumpReader& dump);

// prompts.jsonl of a dump; its ids are those that the manifest's hash stands for, where it has one.
absl::StatusOr<std::vector<Prompt>> ReadDumpPrompts(const DumpReader& dump);

// The same parameters of the tracks and the same model: what the candidate was derived from
// (model.of), else what it loaded (model.files), is what the reference loaded. A key that one side
// does not state is not compared. Vocabularies differ only where the larger side kept its logits.
absl::Status CheckManifests(const DumpReader& reference, const DumpReader& candidate);

// The same prompts with the same ids, in the same order. Where texts agree and ids do not, the
// tokenizers differ, and the message has both splits.
absl::Status CheckPrompts(const std::vector<Prompt>& reference, const std::string& reference_folder,
                          const std::vector<Prompt>& candidate,
                          const std::string& candidate_folder);

// Tracks that both have hold equally many items, one for each prompt where they are about prompts;
// the greedy runs are of these prompts.
absl::Status CheckItems(DumpReader& reference, DumpReader& candidate,
                        const std::vector<Prompt>& prompts);

// Tokenizers that split the fixed strings differently although the prompts agree.
std::vector<Finding> TokenizerFindings(const DumpReader& reference, const DumpReader& candidate);

int VocabularyOf(const DumpReader& dump);
LogitMode ModeOf(const DumpReader& dump);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_DUMP_CHECK_H_
