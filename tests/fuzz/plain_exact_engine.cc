// The exact model as an engine that computes logits and nothing else: most properties need more.
#include <utility>

#include "engines/reference_engine.h"
#include "tests/engines/exported_engine.h"

namespace crosscheck {
namespace {

class PlainEngine : public Engine {
 public:
  explicit PlainEngine(std::unique_ptr<Engine> inner) : inner_(std::move(inner)) {}
  Reply Call(const Message& request) override {
    Reply reply = inner_->Call(request);
    Json& head = reply.message.head;
    if (head.contains("extensions")) head["extensions"] = {"core", "model/1"};
    return reply;
  }

 private:
  const std::unique_ptr<Engine> inner_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> OpenExportedEngine() {
  auto exact = OpenReferenceEngine("exact", "");
  if (!exact.ok()) return exact.status();
  return std::make_unique<PlainEngine>(*std::move(exact));
}

}  // namespace crosscheck
