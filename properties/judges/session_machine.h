// What the documentation of a decoder session says about every call of a program: a state machine.
//
// Source: the crate docs of lattice-arch 0.15.0, `decoder::{DecoderSession, PredictionLedger,
// FinishDisposition, DecoderModel}`, and `Qwen35CpuDecoder::session`. In short: a session serves
// one request in the order prefill, select/decode steps, finish; a call out of that order, a
// prediction that is not live and any call after finish are refused before any state changes; a
// session that is dropped without finish leaves nothing behind. Where the documentation leaves an
// outcome open both are allowed, and the observed one decides how it goes on.
//
// Example:
//   SessionMachine machine(spec);
//   for (size_t i = 0; i < steps.size(); ++i) {
//     SessionExpectation expected = machine.Expect(steps, i);
//     …                                            // compare
//     machine.Advance(steps, i, accepted);
//   }
//   machine.histories();                           // what each session evaluated
#ifndef CROSSCHECK_PROPERTIES_JUDGES_SESSION_MACHINE_H_
#define CROSSCHECK_PROPERTIES_JUDGES_SESSION_MACHINE_H_

#include <cstdint>
#include <map>
#include <set>
#include <string_view>
#include <vector>

#include "properties/subjects/session.h"
#include "reference/model_spec.h"

namespace crosscheck {

enum class Allowed { kAccepted, kRefused, kEither };

struct SessionExpectation {
  Allowed allowed = Allowed::kAccepted;
  // Why the call must be refused, or is left open: a word, the stage of a finding. Of an accepted
  // call its own name.
  std::string_view rule;
  int64_t length = -1;  // tokens evaluated after an accepted prefill or decode
  // The refusal is the adapter's: the engine's interface cannot express the call.
  bool by_adapter = false;
};

// A session that was prefilled: all ids that it evaluated, and at which position each accepted
// select read the logits.
struct SessionHistory {
  std::vector<int64_t> ids;
  size_t prompt = 0;  // how many of them came by prefill
  struct Select {
    int step;
    int position;
  };
  std::vector<Select> selects;
};

class SessionMachine {
 public:
  SessionMachine(int vocab, int context) : vocab_(vocab), context_(context) {}
  explicit SessionMachine(const ModelSpec& spec) : SessionMachine(spec.vocab, spec.max_positions) {}

  SessionExpectation Expect(const std::vector<SessionStep>& steps, size_t step) const;
  // `accepted`: as observed. A refused call changes nothing, but after a cancelled prefill or a
  // decode that failed the documentation lets a session end its prediction.
  void Advance(const std::vector<SessionStep>& steps, size_t step, bool accepted);
  // In the order of their prefills.
  const std::vector<SessionHistory>& histories() const { return histories_; }

 private:
  enum class Phase { kClosed, kOpen, kPrefilled, kFinished };
  struct Session {
    Phase phase = Phase::kClosed;
    std::vector<int64_t> prompt;
    int max_tokens = 0;
    size_t history = 0;     // once prefilled
    int prediction = -1;    // the live one: the step of its select
    bool doubtful = false;  // a cancelled or failed call may have ended the request or prediction
  };

  SessionExpectation ExpectIds(const std::vector<int64_t>& ids, std::string_view accepted) const;
  SessionExpectation ExpectOpen(const SessionStep& step) const;
  SessionExpectation ExpectPrefill(const Session& session, const SessionStep& step) const;
  SessionExpectation ExpectDecode(const Session& session, const std::vector<SessionStep>& steps,
                                  size_t step) const;
  const Session& Find(int sequence) const;
  static void Refuse(Session& session, SessionCall call);
  void Accept(Session& session, const SessionStep& step, int index);

  const int vocab_, context_;
  std::map<int, Session> sessions_;
  std::set<int> minted_;  // the steps of accepted selects
  std::vector<SessionHistory> histories_;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_JUDGES_SESSION_MACHINE_H_
