// What a fuzzing engine finds beside a target: seed corpus, dictionary, options, known issues.
#ifndef CROSSCHECK_FUZZ_SIDE_FILES_H_
#define CROSSCHECK_FUZZ_SIDE_FILES_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fuzz/fuzz_target.h"

namespace crosscheck {

// File name and bytes of each seed: the simplest case of every property, and the cases of the files
// whose subject is the target's, a bare one for each of its properties.
absl::StatusOr<std::vector<std::pair<std::string, std::string>>> SeedFiles(
    const FuzzTarget& target, const std::vector<std::string>& case_files);

// A boundary value of a field, as the bytes that the reader of cases turns into it.
struct DictionaryEntry {
  std::string field;  // "model.heads"
  uint64_t index = 0;
  std::string bytes;
};
// Of every scalar field that random cases of the subject reach: its largest index, the one before,
// and the powers of two up to it. One byte is no entry: engines try all of those by themselves.
std::vector<DictionaryEntry> Dictionary(const Subject& subject, const Limits& limits);
// In the format of AFL and libFuzzer.
std::string DictionaryText(const std::vector<DictionaryEntry>& entries);

// [libfuzzer] max_len and timeout.
std::string OptionsText();

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_SIDE_FILES_H_
