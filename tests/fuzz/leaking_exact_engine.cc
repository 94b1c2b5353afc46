// The exact model that keeps some memory with every call: an engine without findings that grows.
#include <string>
#include <utility>
#include <vector>

#include "engines/reference_engine.h"
#include "tests/engines/exported_engine.h"

namespace crosscheck {
namespace {

class LeakingEngine : public Engine {
 public:
  explicit LeakingEngine(std::unique_ptr<Engine> inner) : inner_(std::move(inner)) {}
  Reply Call(const Message& request) override {
    kept_.emplace_back(kKeptBytes, 'x');
    return inner_->Call(request);
  }

 private:
  static constexpr size_t kKeptBytes = 64 << 10;
  const std::unique_ptr<Engine> inner_;
  std::vector<std::string> kept_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> OpenExportedEngine() {
  auto exact = OpenReferenceEngine("exact", "");
  if (!exact.ok()) return exact.status();
  return std::make_unique<LeakingEngine>(*std::move(exact));
}

}  // namespace crosscheck
