// The contract of every engine and every version (docs/engine_protocol.md), as laws over an engine
// that was just opened.
//
// Each law states one rule with EXPECTs; engine_contract_test.cc applies all of them to all
// engines.
#ifndef CROSSCHECK_TESTS_ENGINES_ENGINE_CONTRACT_H_
#define CROSSCHECK_TESTS_ENGINES_ENGINE_CONTRACT_H_

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "engines/engine.h"
#include "tests/engines/engine_requests.h"
#include "tests/engines/lattice_deviations.h"

namespace crosscheck::contract {

inline std::vector<int> Ids(int count, int vocab) {
  std::vector<int> ids(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) ids[static_cast<size_t>(i)] = (5 * i + 1) % vocab;
  return ids;
}

inline void AnswersHelloTwice(Engine& engine, const Checkpoints&) {
  const Message hello = Request("hello", {{"protocol", {1}}, {"client", "contract test"}});
  const Reply first = ExpectAnswers(engine, hello);
  const Reply second = ExpectAnswers(engine, hello);
  EXPECT_TRUE(SameAnswer(first, second));
}

inline void CallsAnUnknownOpUnsupported(Engine& engine, const Checkpoints&) {
  ExpectFails(engine, Request("levitate"), FailureKind::kUnsupported);
  ExpectAnswers(engine, Request("ping"));
}

// Requests that differ from a good one in one field; nothing that they do may change a later
// answer.
inline void RefusesWrongTypes(Engine& engine, const Checkpoints& checkpoints) {
  const std::string model = Load(engine, checkpoints, 0);
  const Message good = LogitsRequest(model, "prompt", {1, 2, 3});
  const Reply before = ExpectAnswers(engine, good);
  const std::pair<const char*, Json> wrong[] = {{"/path", 7},
                                                {"/sequences", "1 2 3"},
                                                {"/sequences", Json::array({"1"})},
                                                {"/sequences/0/ids", 1},
                                                {"/sequences/0/ids", Json::array({1, "2"})},
                                                {"/sequences/0/ids", Json::array({1, 2.5})},
                                                {"/model", 3},
                                                {"/model", "no such model"},
                                                {"/op", 5}};
  for (const auto& [pointer, value] : wrong) {
    Message request = good;
    request.head[Json::json_pointer(pointer)] = value;
    ExpectFails(engine, request, FailureKind::kBadRequest);
  }
  ExpectFails(engine, Request("load", {{"path", 5}}), FailureKind::kBadRequest);
  ExpectFails(engine, Request("nll", {{"ids", "text"}}, model), FailureKind::kBadRequest);
  if (Serves(engine, "session/1")) {
    ExpectFails(engine,
                Request("program", {{"steps", {{"prefill", 1}}}, {"want", {"logits"}}}, model),
                FailureKind::kBadRequest);
  }
  EXPECT_TRUE(SameAnswer(before, ExpectAnswers(engine, good)));
}

inline void RefusesMissingFields(Engine& engine, const Checkpoints& checkpoints) {
  const std::string model = Load(engine, checkpoints, 0);
  const Message logits = LogitsRequest(model, "prompt", {1, 2});
  const Message generate = GenerateRequest(model, {1, 2}, 3);
  for (const char* field : {"op", "model", "path", "sequences"}) {
    Message request = logits;
    request.head.erase(field);
    ExpectFails(engine, request, FailureKind::kBadRequest);
  }
  const std::vector<const char*> of_generate = {"model", "ids", "max_tokens", "sampling"};
  for (const char* field :
       Serves(engine, "generate/1") ? of_generate : std::vector<const char*>{}) {
    Message request = generate;
    request.head.erase(field);
    ExpectFails(engine, request, FailureKind::kBadRequest);
  }
  ExpectFails(engine, Request("load"), FailureKind::kBadRequest);
  ExpectFails(engine, Request("unload"), FailureKind::kBadRequest);
  ExpectFails(engine, Request("nll", Json::object(), model), FailureKind::kBadRequest);
  ExpectAnswers(engine, logits);
}

inline void RefusesIdsOutsideTheVocabulary(Engine& engine, const Checkpoints& checkpoints) {
  const std::string model = Load(engine, checkpoints, 0);
  const int64_t vocab = checkpoints.spec(0).vocab;
  const Json hello = Hello(engine);
  const Family family = checkpoints.spec(0).family;
  const bool generates = Serves(engine, "generate/1");
  const std::vector<std::string> paths = Paths(engine, checkpoints);
  for (const int64_t id : {vocab, vocab + 1, int64_t{-1}, int64_t{1} << 40}) {
    for (const std::string& path : paths) {
      Message request = LogitsRequest(model, path, {1});
      request.head["sequences"][0]["ids"].push_back(id);
      // What no u32 holds never reaches an engine's own check.
      const bool reaches = id >= 0 && id < int64_t{1} << 32;
      ExpectFails(
          engine, request,
          reaches ? KindOfRefusal(hello, path, Bad::kForeignId, family) : FailureKind::kRefused);
    }
    ExpectFails(engine, Request("nll", {{"ids", {1, id}}}, model), FailureKind::kRefused);
    if (!generates) continue;
    Message generate = GenerateRequest(model, {1}, 2);
    generate.head["ids"].push_back(id);
    ExpectFails(engine, generate,
                id >= 0 && id < int64_t{1} << 32
                    ? KindOfRefusal(hello, "generate", Bad::kForeignId, family)
                    : FailureKind::kRefused);
  }
  ExpectAnswers(engine, LogitsRequest(model, "prompt", {0, static_cast<int>(vocab) - 1}),
                static_cast<int>(vocab));
}

inline void RefusesAnEmptyPrompt(Engine& engine, const Checkpoints& checkpoints) {
  const Json hello = Hello(engine);
  const std::string model = Load(engine, checkpoints, 0);
  for (const std::string& path : Paths(engine, checkpoints)) {
    ExpectFails(engine, LogitsRequest(model, path, {}),
                KindOfRefusal(hello, path, Bad::kEmptyPrompt, checkpoints.spec(0).family));
  }
  if (!Serves(engine, "generate/1")) return;
  ExpectFails(engine, GenerateRequest(model, {}, 2), FailureKind::kRefused);
}

inline void TakesTheLongestPromptAndRefusesOneMore(Engine& engine, const Checkpoints& checkpoints) {
  const std::string model = Load(engine, checkpoints, 0);
  const ModelSpec& spec = checkpoints.spec(0);
  const Json hello = Hello(engine);
  for (const std::string& path : Paths(engine, checkpoints)) {
    ExpectAnswers(engine, LogitsRequest(model, path, Ids(spec.max_positions, spec.vocab)),
                  spec.vocab);
    ExpectFails(engine, LogitsRequest(model, path, Ids(spec.max_positions + 1, spec.vocab)),
                KindOfRefusal(hello, path, Bad::kTooManyPositions, spec.family));
  }
}

inline void KeepsTwoModelsApart(Engine& engine, const Checkpoints& checkpoints) {
  const std::string first = Load(engine, checkpoints, 0);
  const Message request = LogitsRequest(first, "prompt", {1, 2, 3});
  const Reply alone = ExpectAnswers(engine, request, checkpoints.spec(0).vocab);
  const std::string second = Load(engine, checkpoints, 1);
  EXPECT_NE(first, second);
  const Reply other =
      ExpectAnswers(engine, LogitsRequest(second, "prompt", {1, 2, 3}), checkpoints.spec(1).vocab);
  EXPECT_TRUE(SameAnswer(alone, ExpectAnswers(engine, request, checkpoints.spec(0).vocab)));
  EXPECT_FALSE(SameAnswer(alone, other));
}

inline void UnloadsAndReloads(Engine& engine, const Checkpoints& checkpoints) {
  const std::string model = Load(engine, checkpoints, 0);
  const Reply before = ExpectAnswers(engine, LogitsRequest(model, "prompt", {1, 2, 3}));
  ExpectAnswers(engine, Request("unload", Json::object(), model));
  ExpectFails(engine, LogitsRequest(model, "prompt", {1, 2, 3}), FailureKind::kBadRequest);
  ExpectFails(engine, Request("unload", Json::object(), model), FailureKind::kBadRequest);
  const std::string again = Load(engine, checkpoints, 0);
  EXPECT_TRUE(SameAnswer(before, ExpectAnswers(engine, LogitsRequest(again, "prompt", {1, 2, 3}))));
}

inline void RefusesAFolderThatIsNoCheckpoint(Engine& engine, const Checkpoints& checkpoints) {
  ExpectFails(engine, Request("load", {{"path", checkpoints.path(0) + "/missing"}}),
              FailureKind::kRefused);
}

inline void AnswersTheSameBitsTwice(Engine& engine, const Checkpoints& checkpoints) {
  const std::string model = Load(engine, checkpoints, 0);
  std::vector<Message> requests = {Request("nll", {{"ids", {1, 2, 3}}}, model)};
  if (Serves(engine, "generate/1")) requests.push_back(GenerateRequest(model, {1, 2, 3}, 6));
  for (const std::string& path : Paths(engine, checkpoints)) {
    requests.push_back(LogitsRequest(model, path, {3, 1, 4, 1, 5}));
  }
  const Message hidden = Request("hidden", {{"ids", {1, 2, 3}}}, model);
  if (ShowsHiddenStates(Hello(engine))) {
    requests.push_back(hidden);
  } else {
    ExpectFails(engine, hidden, FailureKind::kUnsupported);
  }
  for (const Message& request : requests) {
    const Reply first = ExpectAnswers(engine, request, checkpoints.spec(0).vocab);
    EXPECT_TRUE(SameAnswer(first, ExpectAnswers(engine, request, checkpoints.spec(0).vocab)))
        << request.head.dump();
  }
}

// The session path answers the last position of the last chunk and every later one, and says so.
inline void NamesThePositionsOfASession(Engine& engine, const Checkpoints& checkpoints) {
  const std::vector<std::string> paths = Paths(engine, checkpoints);
  if (std::find(paths.begin(), paths.end(), "session") == paths.end()) {
    GTEST_SKIP() << "the engine has no path session";
  }
  const std::string model = Load(engine, checkpoints, 0);
  Message request = LogitsRequest(model, "session", {3, 1, 4, 1, 5, 9});
  request.head["sequences"][0]["chunks"] = {4};
  const Reply reply = ExpectAnswers(engine, request, checkpoints.spec(0).vocab);
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply.message.head["positions"][0].back(), 5);
  EXPECT_GT(reply.message.head["counters"].value("step", 0), 0) << reply.message.head.dump();
}

inline void RunsProgramsAndClosesInTheMiddle(Engine& engine, const Checkpoints& checkpoints) {
  if (!Serves(engine, "session/1")) GTEST_SKIP() << "the engine does not offer session/1";
  const std::string model = Load(engine, checkpoints, 0);
  const Json steps = {{{"op", "prefill"}, {"sequence", 0}, {"ids", {1, 2, 3}}},
                      {{"op", "decode"}, {"sequence", 0}, {"id", 4}},
                      {{"op", "reset"}, {"sequence", 0}},
                      {{"op", "prefill"}, {"sequence", 0}, {"ids", {1, 2, 3}}},
                      {{"op", "decode"}, {"sequence", 0}, {"id", 4}}};
  const Reply reply =
      ExpectAnswers(engine, Request("program", {{"steps", steps}, {"want", {"logits"}}}, model),
                    checkpoints.spec(0).vocab);
  ASSERT_TRUE(reply.ok());
  const Tensor* first = reply.message.Find("step.1.logits");
  const Tensor* again = reply.message.Find("step.4.logits");
  ASSERT_NE(first, nullptr);
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(first->bytes, again->bytes) << "a reset leaves nothing behind";
  // The engine is closed with an open sequence and a loaded model when the test ends.
}

// Two sessions, call by call: a step that is refused leaves the program and the other session
// alone.
inline void ServesSessionsCallByCall(Engine& engine, const Checkpoints& checkpoints) {
  const std::string model = Load(engine, checkpoints, 0);
  const auto decode = [](int id, int prediction) {
    return Json{{"op", "decode"}, {"sequence", 0}, {"id", id}, {"prediction", prediction}};
  };
  const Json steps = {{{"op", "open"}, {"sequence", 0}, {"ids", {1, 2, 3}}, {"max_tokens", 4}},
                      {{"op", "open"}, {"sequence", 1}, {"ids", {7}}, {"max_tokens", 1}},
                      {{"op", "prefill"}, {"sequence", 0}},
                      {{"op", "select"}, {"sequence", 0}},
                      {{"op", "prefill"}, {"sequence", 1}},
                      {{"op", "select"}, {"sequence", 1}},
                      decode(4, 5),
                      decode(4, 3),
                      {{"op", "finish"}, {"sequence", 1}},
                      {{"op", "reset"}, {"sequence", 1}},
                      {{"op", "prompt"}, {"sequence", 1}, {"ids", {1, 2}}},
                      {{"op", "select"}, {"sequence", 1}}};
  const Json head = {{"calls", true}, {"steps", steps}, {"want", {"logits"}}};
  const Reply first = engine.Call(Request("program", head, model));
  if (!first.ok() && first.failure->kind == FailureKind::kUnsupported) {
    GTEST_SKIP() << first.failure->message;  // an engine or a family without decoder sessions
  }
  const Reply reply =
      ExpectAnswers(engine, Request("program", head, model), checkpoints.spec(0).vocab);
  ASSERT_TRUE(reply.ok());
  const Json& seen = reply.message.head["steps"];
  EXPECT_EQ(seen[2].value("length", 0), 3) << seen.dump();
  EXPECT_EQ(seen[7].value("length", 0), 4) << seen.dump();
  EXPECT_EQ(seen[6]["error"]["code"], "refused") << "a prediction of the other session";
  EXPECT_EQ(seen[11]["error"]["code"], "bad_request") << "a call without a session";
  EXPECT_NE(reply.message.Find("step.3.logits"), nullptr);
  for (const int accepted : {0, 1, 3, 4, 5, 8, 9, 10}) {
    EXPECT_EQ(seen[static_cast<size_t>(accepted)]["ok"], true) << seen.dump();
  }
}

inline void RefusesSamplingThatItCannotHonour(Engine& engine, const Checkpoints& checkpoints) {
  if (!Serves(engine, "generate/1")) GTEST_SKIP() << "the engine does not offer generate/1";
  const std::string model = Load(engine, checkpoints, 0);
  Message request = GenerateRequest(model, {1, 2, 3}, 4);
  request.head["sampling"]["presence_penalty"] = 0.5;
  request.head["sampling"]["frequency_penalty"] = 0.5;
  const Reply reply = engine.Call(request);
  if (!reply.ok()) {
    EXPECT_EQ(reply.failure->kind, FailureKind::kUnsupported) << reply.failure->message;
  }
  ExpectAnswers(engine, GenerateRequest(model, {1, 2, 3}, 4), checkpoints.spec(0).vocab);
}

inline void StopsAtAStopId(Engine& engine, const Checkpoints& checkpoints) {
  if (!Serves(engine, "generate/1")) GTEST_SKIP() << "the engine does not offer generate/1";
  const std::string model = Load(engine, checkpoints, 0);
  Message request = GenerateRequest(model, {1, 2, 3}, 4);
  const Reply free_run = ExpectAnswers(engine, request, checkpoints.spec(0).vocab);
  ASSERT_TRUE(free_run.ok());
  ASSERT_FALSE(free_run.message.head["ids"].empty());
  request.head["stop"] = Json::array({free_run.message.head["ids"][0]});
  const Reply stopped = ExpectAnswers(engine, request, checkpoints.spec(0).vocab);
  ASSERT_TRUE(stopped.ok());
  EXPECT_EQ(stopped.message.head["stop"], "stop");
  EXPECT_TRUE(stopped.message.head["ids"].empty());
}

inline void TakesACancelOfNothing(Engine& engine, const Checkpoints&) {
  ExpectAnswers(engine, Request("cancel", {{"target", 12345}}));
  ExpectFails(engine, Request("cancel"), FailureKind::kBadRequest);
  ExpectAnswers(engine, Request("ping"));
}

inline void DoesNotGrowInAThousandRequests(Engine& engine, const Checkpoints& checkpoints) {
#if __has_feature(address_sanitizer)
  GTEST_SKIP() << "the sanitizer keeps freed memory";
#endif
  const std::vector<std::string> paths = Paths(engine, checkpoints);
  const auto run = [&](int count) {
    for (int i = 0; i < count; ++i) {
      const std::string model = i % 10 == 0 ? Load(engine, checkpoints, 0) : "";
      if (model.empty()) {
        engine.Call(Request("ping"));
      } else {
        for (const std::string& path : paths) {
          engine.Call(LogitsRequest(model, path, {1, 2, 3, 4}));
        }
        engine.Call(Request("nll", {{"ids", {1, 99999}}}, model));
        engine.Call(Request("unload", Json::object(), model));
      }
    }
  };
  run(300);
  const int64_t before = ResidentBytes();
  run(1000);
  EXPECT_LT(ResidentBytes() - before, 1 << 20);
}

struct Law {
  const char* name;
  void (*check)(Engine& engine, const Checkpoints& checkpoints);
};

inline const std::vector<Law>& Laws() {
  static const auto* const laws = new std::vector<Law>{
      {"AnswersHelloTwice", AnswersHelloTwice},
      {"CallsAnUnknownOpUnsupported", CallsAnUnknownOpUnsupported},
      {"RefusesWrongTypes", RefusesWrongTypes},
      {"RefusesMissingFields", RefusesMissingFields},
      {"RefusesIdsOutsideTheVocabulary", RefusesIdsOutsideTheVocabulary},
      {"RefusesAnEmptyPrompt", RefusesAnEmptyPrompt},
      {"TakesTheLongestPromptAndRefusesOneMore", TakesTheLongestPromptAndRefusesOneMore},
      {"KeepsTwoModelsApart", KeepsTwoModelsApart},
      {"UnloadsAndReloads", UnloadsAndReloads},
      {"RefusesAFolderThatIsNoCheckpoint", RefusesAFolderThatIsNoCheckpoint},
      {"AnswersTheSameBitsTwice", AnswersTheSameBitsTwice},
      {"NamesThePositionsOfASession", NamesThePositionsOfASession},
      {"RunsProgramsAndClosesInTheMiddle", RunsProgramsAndClosesInTheMiddle},
      {"ServesSessionsCallByCall", ServesSessionsCallByCall},
      {"RefusesSamplingThatItCannotHonour", RefusesSamplingThatItCannotHonour},
      {"StopsAtAStopId", StopsAtAStopId},
      {"TakesACancelOfNothing", TakesACancelOfNothing},
      {"DoesNotGrowInAThousandRequests", DoesNotGrowInAThousandRequests}};
  return *laws;
}

// Frames that are none must be answered by `bad_request`; for engines in this process, where
// CallFrame reaches the engine.
inline void AnswersBrokenFrames(Engine& engine) {
  const std::string good = EncodeFrame(Request("ping"), 1);
  std::vector<std::string> broken = {"", "XCK", "garbage that is no frame", good + "x"};
  for (size_t size = 1; size < good.size(); ++size) broken.push_back(good.substr(0, size));
  std::string oversized = good;
  oversized[15] = 0x7f;  // a payload of 2^62 bytes
  broken.push_back(oversized);
  oversized = good;
  oversized[7] = 0x7f;  // a head of 2 GB
  broken.push_back(oversized);
  std::string no_json = good;
  no_json[kFrameHeaderBytes] = '!';
  broken.push_back(no_json);
  for (const std::string& frame : broken) {
    const absl::StatusOr<Message> answer = DecodeFrame(engine.CallFrame(frame));
    ASSERT_TRUE(answer.ok()) << answer.status();
    const Reply reply = ToReply(*answer);
    ASSERT_FALSE(reply.ok()) << answer->head.dump();
    EXPECT_EQ(reply.failure->kind, FailureKind::kBadRequest) << reply.failure->message;
  }
  const absl::StatusOr<Message> answer = DecodeFrame(engine.CallFrame(good));
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_TRUE(ToReply(*answer).ok()) << answer->head.dump();
}

}  // namespace crosscheck::contract

#endif  // CROSSCHECK_TESTS_ENGINES_ENGINE_CONTRACT_H_
