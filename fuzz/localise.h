// Where an engine first goes wrong: the first bad (layer, stage) of a numeric finding,
// judging.md 5.
//
// Two means, the better one first:
// - Taps (localise_taps.h): the engine shows what it computed after each stage, and the exact
//   model computes every stage from the engine's own inputs of it. Names the stage.
// - Edited models (localise_models.h): the same case on shorter models and on models with blocks
//   that answer zero, which every engine loads. Names the layer and the half of it.
//
// The failing case is first run again as it was. A tapped run whose logits are not those of the
// run without taps, and one in which no stage is bad, is said to be so, and the models decide.
//
// Example:
//   const Localisation found = Localise(property, smallest, verdict, executor);
//   std::cout << found.ToLine();  // first bad: layer 1, q_proj (taps): added error …
#ifndef CROSSCHECK_FUZZ_LOCALISE_H_
#define CROSSCHECK_FUZZ_LOCALISE_H_

#include <optional>
#include <string>
#include <vector>

#include "fuzz/executor.h"
#include "properties/judges/stage_errors.h"
#include "properties/property.h"

namespace crosscheck {

struct FirstBad {
  int layer = -1;  // -1: outside the layers
  std::string stage;
  std::string means;  // "taps" or "edited models"
};

struct Localisation {
  std::optional<FirstBad> first_bad;
  std::vector<StageError> stages;  // worst first; empty without taps
  std::vector<std::string> notes;  // what was tried and why it did not decide, one line each
  int runs = 0;                    // judged runs on edited models

  // One line for a person: what is bad, or why nothing was named.
  std::string ToLine() const;
};

struct LocaliseOptions {
  bool use_taps = true;
};

// Whether the finding is of a kind and on a case that can be localised: a wrong number or a token
// that follows from one, on a generated model.
bool CanLocalise(const Property& property, const Case& c, const Verdict& verdict);

// `c` failed with `verdict`, and CanLocalise(). Does a bounded number of runs; never fails, what
// went wrong is in the notes.
Localisation Localise(const Property& property, const Case& c, const Verdict& verdict,
                      Executor& executor, const LocaliseOptions& options = {});

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_LOCALISE_H_
