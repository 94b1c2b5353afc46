// Signature-pinned reduction: the smallest case that fails with the same signature (judging.md 6).
#ifndef CROSSCHECK_FUZZ_MINIMISE_H_
#define CROSSCHECK_FUZZ_MINIMISE_H_

#include <atomic>
#include <functional>

#include "fuzz/run_case.h"

namespace crosscheck {

struct MinimiseOptions {
  int max_evaluations = 2000;
  double max_seconds = 60;  // wall clock; conduct only, it never changes a verdict
  int replays = 3;          // k of n when a replay disagrees (SPRT of judging.md 6)
  const std::atomic<bool>* interrupted = nullptr;  // Ctrl-C: keep the best so far
  std::function<void(const Case&, const Verdict&, int evaluations)> progress = nullptr;
};

struct Minimised {
  Case smallest;
  Verdict verdict;
  int evaluations = 0;
  bool complete = false;  // no shrink step of the smallest case fails alike
  bool flaky = false;     // the original did not fail in every replay
  double failure_rate = 1;
};

// `original` must have failed with `verdict`. A candidate fails alike when kind and signature are
// the same and it fails as clearly: a marginal failure replaces only marginal ones, and one beyond
// its bound by less than 10 times only such ones.
Minimised Minimise(const Property& property, const Case& original, const Verdict& verdict,
                   Executor& executor, const MinimiseOptions& options);

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_MINIMISE_H_
