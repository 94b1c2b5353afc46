// Margin-aware judgement of greedy tokens (judging.md 4.1, 4.2, 4.5).
#ifndef CROSSCHECK_PROPERTIES_JUDGES_GREEDY_H_
#define CROSSCHECK_PROPERTIES_JUDGES_GREEDY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engines/message.h"
#include "properties/judges/tolerance.h"
#include "properties/subjects/model_run.h"

namespace crosscheck {

// What `generate` answered for one sequence.
struct Generated {
  std::vector<int32_t> ids;
  std::string stop;      // "length", "eos" or "stop"
  bool counted = false;  // the counter of generated tokens is positive, or there are none
};
// Errors are lies: a missing field, an id that is no integer, a stop reason that does not exist.
absl::StatusOr<Generated> ReadGenerated(const Message& answer);
// The same of a reply, which must prove by its counters that generation ran: otherwise the verdict.
std::optional<Verdict> ReadGeneration(const Reply& reply, std::string_view stage,
                                      Generated& generated);

// Prompt and produced ids as the engine evaluated them: one prefill, then steps. An id outside the
// vocabulary, or one beyond the context, cuts them; a judge reports the former before it looks at
// any run that is made from this.
SequenceCase ForcedSequence(const std::vector<int32_t>& prompt, const Generated& generated,
                            const ModelSpec& spec);

// One choice of the engine: at `position` (the last token before it) it took `token`.
struct Decision {
  int sequence = 0, step = 0, position = 0;
  int token = 0;   // the end-of-sequence id where generation ended by it
  int best = 0;    // argmax of the exact logits, the lowest index among equals
  double gap = 0;  // exact logit of `best` less that of `token`
};

// Every choice that the engine made, each given its own prefix; `forced` holds prompt and produced
// ids. `exact` answers all positions of `forced`.
std::vector<Decision> Decisions(const ModelRunCase& forced, const std::vector<size_t>& prompt_sizes,
                                const std::vector<Generated>& generated, const LogitsAnswer& exact);

// The positions at which the decisions fell, as rows to judge; holds no logits.
LogitsAnswer DecisionRows(const std::vector<Decision>& decisions, size_t sequences);

// What is wrong with the form of an answer, or "": more ids than asked for, an id outside the
// vocabulary, an end-of-sequence id inside, an end for no reason.
std::string MalformedGeneration(const Generated& generated, int max_tokens, const ModelSpec& spec);

// The rule for exact ties on the engine's own logits of the row: where its logits of `best` and
// `token` are bit-equal and the largest, the lowest index of the largest must be the token. True
// when the rule is broken.
bool BreaksTieRule(const Decision& decision, absl::Span<const double> own_row);

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_JUDGES_GREEDY_H_
