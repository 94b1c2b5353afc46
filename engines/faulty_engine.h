// Engines with one known fault each, to prove that the harness finds, minimises, keeps and replays
// findings.
//
// A faulty engine decorates another engine and edits its requests or answers; no reference knows of
// it. What makes a fault show is part of its definition, so that the smallest case is known before
// a minimiser runs. All but two act on `logits` and leave every other op alone: rope_pairing edits
// the weights at `load`, second_token acts on `generate`.
//
// Name, what makes it show, the smallest case:
// - none: never; the benign control
// - rope_pairing: full attention, two or more tokens, rotary_dim >= 4; 1 full layer, 1 head,
//   head_dim 4, 2 tokens
// - token_logit: id 3 occurred at or before the position; 1 layer, 1 token (id 3), vocabulary 4
// - future_leak: path readout, a position that is not the last; 1 layer, 2 tokens
// - stale_state: the 2nd and later sequences of a request; 1 layer, 2 sequences of 1 token
// - crash: a sequence of 5 or more tokens; 1 layer, 5 tokens
// - hang: an id twice in a row; 1 layer, 2 equal tokens
// - allocate: an id of 10 or more; 1 layer, 1 token (id 10), vocabulary 11
// - nan: position 2 is answered; 1 layer, 3 tokens
// - panic: a model of 2 or more layers; 2 layers, 1 token
// - garbage: an odd number of tokens, at least 3, in a sequence; 1 layer, 3 tokens
// - second_token: two or more generated tokens; 1 layer, 1 token, vocabulary 3, 2 generated
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

// In the order of the table above.
std::vector<std::string_view> FaultNames();

// `inner` with the fault of this name; an unknown name is an error that lists all.
absl::StatusOr<std::unique_ptr<Engine>> MakeFaultyEngine(std::string_view fault,
                                                         std::unique_ptr<Engine> inner);

}  // namespace crosscheck

#endif  // CROSSCHECK_ENGINES_FAULTY_ENGINE_H_
