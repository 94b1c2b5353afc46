// Requests, checkpoints and comparisons that tests of engines are written with.
#ifndef CROSSCHECK_TESTS_ENGINES_ENGINE_REQUESTS_H_
#define CROSSCHECK_TESTS_ENGINES_ENGINE_REQUESTS_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engines/answer_check.h"
#include "engines/engine.h"
#include "engines/generate_message.h"
#include "engines/scratch_folder.h"
#include "reference/checkpoint.h"
#include "reference/weights.h"
#include "tests/small_spec.h"

namespace crosscheck::contract {

// Two small generated models of one family and different shape in a scratch folder. The head of the
// second is the embedding where every engine serves that.
class Checkpoints {
 public:
  explicit Checkpoints(Family family = Family::kQwen35);
  std::string path(int i) const;
  const ModelSpec& spec(int i) const { return specs_[static_cast<size_t>(i)]; }

 private:
  std::unique_ptr<ScratchFolder> folder_;
  std::vector<ModelSpec> specs_;
};

// The request `head` with "op" and, when a model was loaded, "model" filled in.
Message Request(const std::string& op, Json head = Json::object(), const std::string& model = "");
Message LogitsRequest(const std::string& model, const std::string& path,
                      const std::vector<int>& ids);
// A complete greedy request.
Message GenerateRequest(const std::string& model, const std::vector<int>& ids, int max_tokens);
// Loads checkpoint i; fails the test and returns "" when it cannot.
std::string Load(Engine& engine, const Checkpoints& checkpoints, int i);
// The code paths of `logits` that the engine says it has for checkpoint 0; "prompt" is always one.
std::vector<std::string> Paths(Engine& engine, const Checkpoints& checkpoints);
// Equal but for "id" and "seconds".
bool SameAnswer(const Reply& a, const Reply& b);

// The answer to hello.
Json Hello(Engine& engine);
// Whether hello lists the extension; what an engine does not offer is no part of its contract.
bool Serves(Engine& engine, std::string_view extension);

// Resident memory of this process and its children, in bytes.
int64_t ResidentBytes();

inline void ExpectFails(Engine& engine, const Message& request, FailureKind kind) {
  const Reply reply = engine.Call(request);
  ASSERT_FALSE(reply.ok()) << request.head.dump() << " was answered by "
                           << reply.message.head.dump();
  EXPECT_EQ(kFailureKindNames[static_cast<int>(reply.failure->kind)],
            kFailureKindNames[static_cast<int>(kind)])
      << request.head.dump() << ": " << reply.failure->message;
}

inline Reply ExpectAnswers(Engine& engine, const Message& request, int vocab = 0) {
  Reply reply = engine.Call(request);
  EXPECT_TRUE(reply.ok()) << request.head.dump() << ": "
                          << (reply.ok() ? "" : reply.failure->message);
  if (reply.ok()) {
    EXPECT_EQ(CheckAnswer(request.head, reply.message, vocab), "") << request.head.dump();
  }
  return reply;
}

inline Checkpoints::Checkpoints(Family family) {
  auto folder = ScratchFolder::Create();
  EXPECT_TRUE(folder.ok()) << folder.status();
  folder_ = *std::move(folder);
  ModelSpec spec = SmallSpec(family);
  spec.vocab = 41;
  spec.max_positions = 48;
  spec.eos = 40;
  specs_.push_back(spec);
  spec.vocab = 23;
  spec.eos = 22;
  spec.tied = family != Family::kLlama;
  specs_.push_back(spec);
  for (int i = 0; i < 2; ++i) {
    const ModelRecipe recipe{specs_[static_cast<size_t>(i)], {.seed = 7}};
    EXPECT_EQ(WriteCheckpoint(GenerateModel(recipe), path(i)), absl::OkStatus());
  }
}

inline std::string Checkpoints::path(int i) const {
  return absl::StrCat(folder_->path(), "/model", i);
}

inline Message Request(const std::string& op, Json head, const std::string& model) {
  head["op"] = op;
  if (!model.empty()) head["model"] = model;
  Message request;
  request.head = std::move(head);
  return request;
}

inline Message LogitsRequest(const std::string& model, const std::string& path,
                             const std::vector<int>& ids) {
  const Json sequence = {{"ids", ids}};
  return Request("logits",
                 {{"path", path}, {"batched", false}, {"sequences", Json::array({sequence})}},
                 model);
}

inline Message GenerateRequest(const std::string& model, const std::vector<int>& ids,
                               int max_tokens) {
  Message request = GenerateMessage(ids, max_tokens, kGreedy, /*seed=*/1);
  if (!model.empty()) request.head["model"] = model;
  return request;
}

inline std::string Load(Engine& engine, const Checkpoints& checkpoints, int i) {
  const Reply reply = ExpectAnswers(
      engine, Request("load", {{"path", checkpoints.path(i)}, {"options", {{"dtype", "f32"}}}}));
  if (!reply.ok()) return "";
  EXPECT_EQ(reply.message.head["vocab"], checkpoints.spec(i).vocab);
  EXPECT_EQ(reply.message.head["context"], checkpoints.spec(i).max_positions);
  return reply.message.head["model"].get<std::string>();
}

inline std::vector<std::string> Paths(Engine& engine, const Checkpoints& checkpoints) {
  const Reply reply = ExpectAnswers(engine, Request("load", {{"path", checkpoints.path(0)}}));
  if (!reply.ok()) return {};
  const auto paths = reply.message.head["paths"].get<std::vector<std::string>>();
  EXPECT_NE(std::find(paths.begin(), paths.end(), "prompt"), paths.end());
  ExpectAnswers(engine, Request("unload", Json::object(), reply.message.head["model"]));
  return paths;
}

inline bool SameAnswer(const Reply& a, const Reply& b) {
  if (!a.ok() || !b.ok()) return false;
  Json heads[] = {a.message.head, b.message.head};
  for (Json& head : heads) {
    head.erase("id");
    head.erase("seconds");
  }
  if (heads[0] != heads[1] || a.message.tensors.size() != b.message.tensors.size()) return false;
  for (const Tensor& tensor : a.message.tensors) {
    const Tensor* other = b.message.Find(tensor.name);
    if (other == nullptr || other->bytes != tensor.bytes || other->shape != tensor.shape) {
      return false;
    }
  }
  return true;
}

inline Json Hello(Engine& engine) {
  const Reply hello =
      ExpectAnswers(engine, Request("hello", {{"protocol", {1}}, {"client", "contract test"}}));
  return hello.ok() ? hello.message.head : Json::object();
}

inline bool Serves(Engine& engine, std::string_view extension) {
  const Json hello = Hello(engine);
  const Json extensions = hello.value("extensions", Json::array());
  return std::find(extensions.begin(), extensions.end(), extension) != extensions.end();
}

inline int64_t ResidentBytes() {
  std::vector<std::string> processes = {"self"};
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream children(task.path() / "children");
    for (std::string pid; children >> pid;) processes.push_back(pid);
  }
  int64_t pages = 0;
  for (const std::string& process : processes) {
    int64_t size = 0;
    int64_t resident = 0;
    std::ifstream(absl::StrCat("/proc/", process, "/statm")) >> size >> resident;
    pages += resident;
  }
  return pages * sysconf(_SC_PAGESIZE);
}

}  // namespace crosscheck::contract

#endif  // CROSSCHECK_TESTS_ENGINES_ENGINE_REQUESTS_H_
