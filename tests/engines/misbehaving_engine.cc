// A library with the C ABI that breaks one rule per op, for tests of the host and of the library
// engine.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

#include "engines/engine_abi.h"
#include "engines/message.h"
#include "tests/engines/write_arena.h"

namespace {

using crosscheck::EncodeFrame;
using crosscheck::Json;
using crosscheck::MakeTensor;
using crosscheck::Message;
using crosscheck::WriteArena;

struct State {
  int calls = 0;
};

Message Answer(const Json& id) {
  Message answer;
  answer.head = {{"id", id}, {"ok", true}};
  return answer;
}

[[noreturn]] void End(const std::string& op) {
  if (op == "segv") {
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
  }
  if (op == "abort") {
    for (int i = 0; i < 30; ++i) std::fprintf(stderr, "line %d\n", i);
  }
  if (op == "rust_memory") std::fprintf(stderr, "memory allocation of 10737418240 bytes failed\n");
  if (op == "exit") _exit(7);
  if (op == "hang") {
    for (;;) pause();
  }
  signal(SIGABRT, SIG_DFL);
  raise(SIGABRT);
  _exit(1);
}

// CPU seconds of this process, so that waiting for a core does not count.
void Burn(double seconds) {
  const auto now = [] { return static_cast<double>(clock()) / CLOCKS_PER_SEC; };
  for (const double end = now() + seconds; now() < end;) {
  }
}

// The frame that the op asks for; not all of them are frames.
std::string Frames(const std::string& op, const Json& id, int call) {
  Message answer = Answer(id);
  if (op == "hello") {
    answer.head.update({{"protocol", 1},
                        {"name", "misbehaving"},
                        {"version", "1"},
                        {"build", ""},
                        {"extensions", Json::array({"core"})},
                        {"environment", Json::object()},
                        {"limits", Json::object()}});
  }
  if (op == "wrong_id") answer.head["id"] = 4711;
  if (op == "unknown_code") {
    answer.head.update({{"ok", false}, {"error", {{"code", "tired"}, {"message", "no"}}}});
  }
  if (op == "nll") {
    answer.tensors.push_back(
        MakeTensor("nll", {1}, std::vector<float>(1, static_cast<float>(call))));
  }
  if (op == "hidden") answer.tensors.push_back(MakeTensor("hidden", {7, 1}, std::vector<float>(7)));
  if (op == "taps") answer.tensors.push_back(MakeTensor("L00.x", {1}, std::vector<int32_t>(1)));
  if (op == "large") {
    answer.tensors.push_back(MakeTensor("zeros", {1 << 20}, std::vector<float>(1 << 20)));
  }
  if (op == "spin") Burn(1e9);
  if (op == "work") Burn(0.02);
  if (op == "babble") return "loading model\x01 ... 100 %\n";
  std::string frames = EncodeFrame(answer);
  if (op == "extra") frames += "one more thing";
  if (op == "progress") {
    Message progress;
    progress.head = {{"id", id}, {"progress", 0.5}};
    frames.insert(0, EncodeFrame(progress) + EncodeFrame(progress));
  }
  return frames;
}

}  // namespace

extern "C" {

#define XCK_EXPORT __attribute__((visibility("default")))

XCK_EXPORT uint32_t xck_abi_version(void) { return MISBEHAVING_ABI_VERSION; }

XCK_EXPORT int32_t xck_open(const uint8_t*, uint64_t, xck_engine** engine, xck_arena*) {
  *engine = reinterpret_cast<xck_engine*>(new State());
  return 0;
}

XCK_EXPORT int32_t xck_call(xck_engine* engine, const uint8_t* request, uint64_t size,
                            xck_arena* reply) {
  const auto message = crosscheck::DecodeFrame({reinterpret_cast<const char*>(request), size});
  if (!message.ok()) return 1;
  const std::string op = message->head.value("op", std::string());
  const int call = ++reinterpret_cast<State*>(engine)->calls;
  for (const char* end : {"segv", "abort", "rust_memory", "exit", "hang"}) {
    if (op == end) End(op);
  }
  if (op == "no_answer") return 7;
  if (op == "print") std::printf("a library that prints\n"), std::fflush(stdout);
  const int32_t result = WriteArena(reply, Frames(op, message->head.value("id", Json()), call));
  if (op == "write_before") reply->data[-1] = 1;
  if (op == "write_behind") reply->data[reply->capacity] = 1;
  if (op == "too_long") reply->size = reply->capacity + 1;
  return result;
}

XCK_EXPORT void xck_close(xck_engine* engine) { delete reinterpret_cast<State*>(engine); }

}  // extern "C"
