// An engine of ours behind the C ABI, for tests that start one in milliseconds: a library is
// exported_engine.cc and a file that defines OpenExportedEngine.
#ifndef CROSSCHECK_TESTS_ENGINES_EXPORTED_ENGINE_H_
#define CROSSCHECK_TESTS_ENGINES_EXPORTED_ENGINE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "engines/engine.h"

namespace crosscheck {

absl::StatusOr<std::unique_ptr<Engine>> OpenExportedEngine();

}  // namespace crosscheck

#endif  // CROSSCHECK_TESTS_ENGINES_EXPORTED_ENGINE_H_
