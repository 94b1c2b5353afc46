// An engine in a shared library with the C ABI of engine_abi.h, loaded into this process.
#ifndef CROSSCHECK_ENGINES_LIBRARY_ENGINE_H_
#define CROSSCHECK_ENGINES_LIBRARY_ENGINE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "engines/engine.h"

namespace crosscheck {

// `options`: a JSON object for xck_open. A missing file, a file that is no engine library, another
// ABI version and an engine that does not open are errors that say what to do. The library stays
// loaded until the process ends.
//
// The reply arena has guard bytes on both sides; damage to them, a size beyond the capacity and a
// non-zero result of xck_call are kProtocol failures.
absl::StatusOr<std::unique_ptr<Engine>> OpenLibraryEngine(const std::string& path,
                                                          const Json& options);

}  // namespace crosscheck

#endif  // CROSSCHECK_ENGINES_LIBRARY_ENGINE_H_
