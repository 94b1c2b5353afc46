// The exact model with a planted fault: an engine with findings that starts in milliseconds, for
// tests that start hundreds of processes. `faulty:` takes libtorch.
#include "engines/faulty_engine.h"
#include "engines/reference_engine.h"
#include "tests/engines/exported_engine.h"

namespace crosscheck {

absl::StatusOr<std::unique_ptr<Engine>> OpenExportedEngine() {
  constexpr char kFault[] = "extra_token";  // caught by generation_contract
  auto exact = OpenReferenceEngine("exact", "");
  if (!exact.ok()) return exact.status();
  return MakeFaultyEngine(kFault, *std::move(exact));
}

}  // namespace crosscheck
