// Subject "session": one random model and a program of session calls, in order and out of it, with
// legal and illegal ids, lengths and budgets (docs/engine_protocol.md, op `program` with `calls`).
#ifndef CROSSCHECK_PROPERTIES_SUBJECTS_SESSION_H_
#define CROSSCHECK_PROPERTIES_SUBJECTS_SESSION_H_

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "properties/subject.h"
#include "reference/weights.h"

namespace crosscheck {

// The cancelled calls are made with a cancellation that is already set. kPrompt is the stateless
// path `prompt` on the model of a sequence.
enum class SessionCall {
  kOpen,
  kPrefill,
  kSelect,
  kDecode,
  kFinish,
  kReset,
  kCancelledPrefill,
  kCancelledDecode,
  kPrompt
};
inline constexpr std::string_view kSessionCallNames[] = {
    "open",  "prefill",           "select",           "decode", "finish",
    "reset", "cancelled_prefill", "cancelled_decode", "prompt"};

// Which id takes the place of the last one of a call: -1, vocab, vocab + 1, 2^40; or no ids at all
// (open and prompt).
enum class IdFault { kNone, kNegative, kVocab, kVocabPlusOne, kHuge, kEmpty };
inline constexpr std::string_view kIdFaultNames[] = {"none",           "negative", "vocab",
                                                     "vocab_plus_one", "huge",     "empty"};

// The prediction that a decode hands over: of the latest select of its sequence, of the one before,
// or of the latest select of another sequence.
enum class PredictionChoice { kLatest, kOlder, kOther };
inline constexpr std::string_view kPredictionChoiceNames[] = {"latest", "older", "other"};

// What the program may do: only what the documentation allows, calls out of order, illegal ids,
// lengths and budgets, or both.
enum class SessionConduct { kOrderly, kAnyOrder, kAnyInput, kAnything };
inline constexpr std::string_view kSessionConductNames[] = {"orderly", "any_order", "any_input",
                                                            "anything"};

struct SessionStep {
  SessionCall call = SessionCall::kOpen;
  int sequence = 0;
  std::vector<int32_t> ids = {};  // of open and prompt; one 0 else
  int max_tokens = 0;             // of open
  int32_t id = 0;                 // of decode
  IdFault fault = IdFault::kNone;
  PredictionChoice prediction = PredictionChoice::kLatest;  // of decode
  bool operator==(const SessionStep&) const = default;
};

struct SessionCase {
  static constexpr std::string_view kSubjectName = "session";
  std::shared_ptr<const ModelRecipe> model;  // never null in a case
  SessionConduct conduct = SessionConduct::kOrderly;
  int sequences = 1;  // 1 or 2
  std::vector<SessionStep> steps;
};
bool operator==(const SessionCase& a, const SessionCase& b);  // recipes by value

// The ids that a step hands to the engine, the fault applied: all of open and prompt, the one of
// decode.
std::vector<int64_t> HandedIds(const SessionStep& step, int vocab);
// The index of the select whose prediction decode `step` hands over, or -1 when there is none.
int HandedPrediction(const std::vector<SessionStep>& steps, size_t step);

const Subject& SessionSubject();

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_SUBJECTS_SESSION_H_
