#include "engines/in_process_client.h"

#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "engines/answer_check.h"

namespace crosscheck {
namespace {

class InProcessClient final : public HostClient {
 public:
  InProcessClient(Engine& engine, const Json& hello) : engine_(engine), hello_(hello) {}

  ~InProcessClient() override {
    for (const auto& [model, vocab] : vocab_of_model_) {
      Message request;
      request.head = {{"op", "unload"}, {"model", model}};
      engine_.Call(request);
    }
  }

  Reply Call(const Message& request) override {
    Reply reply = engine_.Call(request);
    if (!reply.ok()) return reply;
    const std::string wrong = CheckAnswer(request.head, reply.message, VocabOf(request.head));
    if (!wrong.empty()) {
      return FailedReply(FailureKind::kProtocol, absl::StrCat("lying: ", wrong));
    }
    const std::string op = request.head.value("op", "");
    if (op == "load") {
      vocab_of_model_[reply.message.head["model"].get<std::string>()] =
          reply.message.head["vocab"].get<int>();
    } else if (op == "unload") {
      vocab_of_model_.erase(request.head["model"].get<std::string>());
    }
    return reply;
  }

  const Json& hello() const override { return hello_; }
  pid_t process() const override { return 0; }
  int generation() const override { return 1; }
  double transport_seconds() const override { return 0; }

 private:
  int VocabOf(const Json& head) const {
    const auto model = head.find("model");
    if (model == head.end() || !model->is_string()) return 0;
    const auto found = vocab_of_model_.find(model->get_ref<const std::string&>());
    return found == vocab_of_model_.end() ? 0 : found->second;
  }

  Engine& engine_;
  const Json& hello_;
  std::map<std::string, int> vocab_of_model_;
};

}  // namespace

std::unique_ptr<HostClient> MakeInProcessClient(Engine& engine, const Json& hello) {
  return std::make_unique<InProcessClient>(engine, hello);
}

}  // namespace crosscheck
