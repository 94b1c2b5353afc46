// How much the exact model computes for one input of a fuzz target: its time is bounded by the
// fields of a case, and this counts it (fuzzing.md 3: work bounded by construction).
#ifndef CROSSCHECK_FUZZ_INPUT_WORK_H_
#define CROSSCHECK_FUZZ_INPUT_WORK_H_

#include <cstdint>

#include "fuzz/executor.h"
#include "properties/property.h"

namespace crosscheck {

// A case with every field at its largest value, but for a fourth of them, which are drawn: of
// those that bound each other (tokens and size of the model) now one is largest, now the other.
// Within `limits`.
Case LargeCase(const Subject& subject, Stream& stream, const Limits& limits);

// For each token that a reference is given or may generate, MultiplyAddsPerToken of its model.
struct InputWork {
  int64_t exact = 0;           // of the exact model, which every input asks
  int64_t all_references = 0;  // of the whole plan but libtorch, which an input that fails asks
  double seconds = 0;          // what those took here
  double exact_seconds = 0;
  Verdict verdict;
};

// Judges the case; with `all_references` it then looks at those that a pass left out.
InputWork MeasureWork(const Property& property, const Case& c, Executor& executor,
                      bool all_references);

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_INPUT_WORK_H_
