#include "properties/judges/session_machine.h"

#include <algorithm>

namespace crosscheck {
namespace {

std::string_view NameOf(SessionCall call) { return kSessionCallNames[static_cast<size_t>(call)]; }

SessionExpectation Refused(std::string_view rule) {
  return {.allowed = Allowed::kRefused, .rule = rule};
}

SessionExpectation Inexpressible(std::string_view rule) {
  return {.allowed = Allowed::kRefused, .rule = rule, .by_adapter = true};
}

SessionExpectation Either(SessionExpectation expected, std::string_view rule) {
  expected.allowed = Allowed::kEither;
  expected.rule = rule;
  return expected;
}

}  // namespace

const SessionMachine::Session& SessionMachine::Find(int sequence) const {
  static const Session* const closed = new Session();
  const auto found = sessions_.find(sequence);
  return found == sessions_.end() ? *closed : found->second;
}

SessionExpectation SessionMachine::ExpectIds(const std::vector<int64_t>& ids,
                                             std::string_view accepted) const {
  if (ids.empty()) return Refused("empty_prompt");
  const bool inside =
      std::all_of(ids.begin(), ids.end(), [this](int64_t id) { return id >= 0 && id < vocab_; });
  if (!inside) return Refused(accepted == "open" ? "open_id" : "prompt_id");
  return {.rule = accepted};
}

// "refuses … an empty prompt, a token id outside the vocabulary, … or a prompt and decode budget
// past its context"; with a budget of 0 the check of the context may wait for prefill.
SessionExpectation SessionMachine::ExpectOpen(const SessionStep& step) const {
  SessionExpectation expected = ExpectIds(HandedIds(step, vocab_), "open");
  if (expected.allowed == Allowed::kRefused) return expected;
  const auto length = static_cast<int64_t>(step.ids.size());
  if (step.max_tokens == 0 && length > context_) return Either(expected, "open_context");
  if (length + step.max_tokens > context_) return Refused("open_context");
  return expected;
}

SessionExpectation SessionMachine::ExpectPrefill(const Session& session,
                                                 const SessionStep& step) const {
  if (session.phase == Phase::kFinished) return Refused("prefill_after_finish");
  if (session.phase == Phase::kPrefilled) return Refused("second_prefill");
  const auto length = static_cast<int64_t>(session.prompt.size());
  if (length > context_) return Refused("prefill_context");
  SessionExpectation expected{.rule = NameOf(step.call), .length = length};
  // "The default ignores `cancel`".
  if (step.call == SessionCall::kCancelledPrefill) return Either(expected, NameOf(step.call));
  return session.doubtful ? Either(expected, "prefill_after_cancel") : expected;
}

SessionExpectation SessionMachine::ExpectDecode(const Session& session,
                                                const std::vector<SessionStep>& steps,
                                                size_t step) const {
  const SessionStep& decode = steps[step];
  const int handed = HandedPrediction(steps, step);
  if (!minted_.contains(handed)) return Inexpressible("no_prediction");
  if (session.phase == Phase::kFinished) return Refused("decode_after_finish");
  if (session.phase == Phase::kOpen) return Refused("decode_before_prefill");
  if (handed != session.prediction) {
    const bool foreign = steps[static_cast<size_t>(handed)].sequence != decode.sequence;
    return Refused(foreign ? "foreign_prediction" : "stale_prediction");
  }
  const int64_t id = HandedIds(decode, vocab_).at(0);
  if (id < 0 || id >= vocab_) return Refused("decode_id");
  const SessionHistory& history = histories_[session.history];
  const auto length = static_cast<int64_t>(history.ids.size());
  if (length >= context_) return Refused("decode_context");
  SessionExpectation expected{.rule = NameOf(decode.call), .length = length + 1};
  if (decode.call == SessionCall::kCancelledDecode) return Either(expected, NameOf(decode.call));
  if (session.doubtful) return Either(expected, "decode_after_failure");
  // Whether the budget of the request also bounds the calls of its session is not said.
  const bool beyond = length - static_cast<int64_t>(history.prompt) >= session.max_tokens;
  return beyond ? Either(expected, "decode_beyond_budget") : expected;
}

SessionExpectation SessionMachine::Expect(const std::vector<SessionStep>& steps,
                                          size_t step) const {
  const SessionStep& call = steps[step];
  const Session& session = Find(call.sequence);
  const bool closed = session.phase == Phase::kClosed;
  const SessionExpectation accepted{.rule = NameOf(call.call)};
  switch (call.call) {
    case SessionCall::kOpen:
      return ExpectOpen(call);
    case SessionCall::kReset:
      return accepted;
    case SessionCall::kPrompt: {
      // A session may borrow its model, so that nothing else runs on it.
      if (!closed) return Either(accepted, "prompt_while_open");
      const auto ids = HandedIds(call, vocab_);
      if (static_cast<int>(ids.size()) > context_) return Refused("prompt_context");
      return ExpectIds(ids, accepted.rule);
    }
    default:
      break;
  }
  if (closed) return Inexpressible("no_session");
  switch (call.call) {
    case SessionCall::kPrefill:
    case SessionCall::kCancelledPrefill:
      return ExpectPrefill(session, call);
    case SessionCall::kSelect:
      if (session.phase == Phase::kFinished) return Refused("select_after_finish");
      if (session.phase == Phase::kOpen) return Refused("select_before_prefill");
      return accepted;
    case SessionCall::kFinish:
      return session.phase == Phase::kFinished ? Refused("second_finish") : accepted;
    default:
      return ExpectDecode(session, steps, step);
  }
}

void SessionMachine::Refuse(Session& session, SessionCall call) {
  if (call == SessionCall::kOpen) session = Session();
  const bool may_end = call == SessionCall::kCancelledPrefill || call == SessionCall::kDecode ||
                       call == SessionCall::kCancelledDecode;
  // A stale prediction is refused "before changing any state"; what else fails may end the live
  // one ("eligibility … ends at consumption, cancellation, failure, finish").
  if (may_end) session.doubtful = true;
}

void SessionMachine::Advance(const std::vector<SessionStep>& steps, size_t step, bool accepted) {
  const SessionExpectation expected = Expect(steps, step);
  Session& session = sessions_[steps[step].sequence];
  if (accepted) return Accept(session, steps[step], static_cast<int>(step));
  const bool before_any_state = expected.allowed == Allowed::kRefused &&
                                expected.rule != "decode_id" && expected.rule != "decode_context";
  if (steps[step].call == SessionCall::kOpen || !before_any_state) {
    Refuse(session, steps[step].call);
  }
}

void SessionMachine::Accept(Session& session, const SessionStep& step, int index) {
  switch (step.call) {
    case SessionCall::kOpen:
      session = Session{
          .phase = Phase::kOpen, .prompt = HandedIds(step, vocab_), .max_tokens = step.max_tokens};
      break;
    case SessionCall::kPrefill:
    case SessionCall::kCancelledPrefill:
      session.phase = Phase::kPrefilled;
      session.doubtful = false;
      session.history = histories_.size();
      histories_.push_back({.ids = session.prompt, .prompt = session.prompt.size(), .selects = {}});
      break;
    case SessionCall::kSelect: {
      SessionHistory& history = histories_[session.history];
      history.selects.push_back({index, static_cast<int>(history.ids.size()) - 1});
      session.prediction = index;
      session.doubtful = false;
      minted_.insert(index);
      break;
    }
    case SessionCall::kDecode:
    case SessionCall::kCancelledDecode:
      histories_[session.history].ids.push_back(HandedIds(step, vocab_).at(0));
      session.prediction = -1;
      break;
    case SessionCall::kFinish:
      session.phase = Phase::kFinished;
      session.prediction = -1;
      break;
    case SessionCall::kReset:
      session = Session();
      break;
    case SessionCall::kPrompt:
      break;
  }
}

}  // namespace crosscheck
