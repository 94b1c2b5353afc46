// Runs a plan by role: the engine under test in its own process, references here; keeps loaded models.
#ifndef CROSSCHECK_FUZZ_EXECUTOR_H_
#define CROSSCHECK_FUZZ_EXECUTOR_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engines/host_client.h"
#include "properties/property.h"

namespace crosscheck {

enum class ReferenceUse { kLazy, kAll };   // kAll: libtorch on every case, the rest when a judge asks

struct ExecutorOptions {
  std::string engine = "lattice";
  double deadline_seconds = 10;
  uint64_t memory_limit_bytes = 4ull << 30;
  ReferenceUse references = ReferenceUse::kLazy;
  int models_kept = 4;                     // loaded at the same time, per engine; the oldest is unloaded
};

// Seconds spent per stage since the executor was made, for bench/ and the summary; never judged.
struct StageSeconds {
  double write_model = 0, engine_load = 0, engine_run = 0, torch = 0, exact = 0, transport = 0;
};

class Executor {
 public:
  static absl::StatusOr<std::unique_ptr<Executor>> Create(const ExecutorOptions& options);
  virtual ~Executor() = default;
  virtual std::unique_ptr<Observations> Observe(std::vector<Run> runs) = 0;
  virtual const Json& hello() const = 0;                       // of the engine under test
  virtual const Limits& limits() const = 0;                    // default limits narrowed by hello
  virtual const std::string& engine_name() const = 0;
  virtual StageSeconds seconds() const = 0;
};

// Which of `needs` the engine lacks; empty when it can be judged.
std::vector<std::string> MissingExtensions(const Property& property, const Json& hello);

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_EXECUTOR_H_
