// Runs a plan by role: the engine under test in its own process, references here; keeps loaded
// models.
#ifndef CROSSCHECK_FUZZ_EXECUTOR_H_
#define CROSSCHECK_FUZZ_EXECUTOR_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engines/host_client.h"
#include "properties/property.h"

namespace crosscheck {

enum class ReferenceUse {
  kLazy,
  kAll
};  // kAll: libtorch on every case, the rest when a judge asks

struct ExecutorOptions {
  std::string engine = "lattice";
  double deadline_seconds = 10;
  uint64_t memory_limit_bytes = 4ull << 30;
  ReferenceUse references = ReferenceUse::kLazy;
  bool torch = true;    // false: libtorch is no reference; judges go on without it
  int models_kept = 8;  // loaded at the same time, per engine; the oldest is unloaded
};

// Seconds spent per stage since the executor was made, for bench/ and the summary; never judged.
struct StageSeconds {
  double write_model = 0, engine_load = 0, engine_run = 0, torch = 0, exact = 0, transport = 0;
};

class Executor {
 public:
  // Starts the engine under test. Errors: no such engine, it does not start, no folder for its
  // files.
  static absl::StatusOr<std::unique_ptr<Executor>> Create(const ExecutorOptions& options);
  // The same with an engine that runs already.
  static absl::StatusOr<std::unique_ptr<Executor>> Create(const ExecutorOptions& options,
                                                          std::unique_ptr<HostClient> engine);
  virtual ~Executor() = default;
  // The runs are sent when a judge looks at them. `want_torch`: libtorch runs are Wanted() for the
  // statistics. The observations must not outlive the executor.
  virtual std::unique_ptr<Observations> Observe(Runs runs, bool want_torch) = 0;
  virtual const Json& hello() const = 0;     // of the engine under test
  virtual const Limits& limits() const = 0;  // default limits narrowed by hello
  virtual const std::string& engine_name() const = 0;
  virtual const std::string& engine_family() const = 0;
  virtual ReferenceUse references() const = 0;
  virtual StageSeconds seconds() const = 0;
};

// Which of `needs` the engine lacks; empty when it can be judged.
std::vector<std::string> MissingExtensions(const Property& property, const Json& hello);

// The default limits without what the engine says in hello.limits that it cannot do; `narrowed`
// names those fields.
Limits NarrowLimits(const Json& hello, std::vector<std::string>* narrowed = nullptr);

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_EXECUTOR_H_
