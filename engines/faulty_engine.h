// Engines with one known fault each, to prove that the harness finds, minimises, keeps and replays
// findings.
//
// A faulty engine decorates another engine and edits its requests or answers; no reference knows of
// it. What makes a fault show is part of its definition, so that the smallest case is known before
// a minimiser runs. Each file of engines/faults/ says for its faults what makes them show and what
// the smallest case is.
//
// Every other dimension (heads, hidden, vocabulary, intermediate) is as small as the limits of the
// subject allow.
#ifndef CROSSCHECK_ENGINES_FAULTY_ENGINE_H_
#define CROSSCHECK_ENGINES_FAULTY_ENGINE_H_

#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engines/engine.h"

namespace crosscheck {

// In the order of AllFaults().
std::vector<std::string_view> FaultNames();

// `inner` with the fault of this name; an unknown name is an error that lists all.
absl::StatusOr<std::unique_ptr<Engine>> MakeFaultyEngine(std::string_view fault,
                                                         std::unique_ptr<Engine> inner);

}  // namespace crosscheck

#endif  // CROSSCHECK_ENGINES_FAULTY_ENGINE_H_
