// An engine in this process behind the interface of crosscheck-host's client: for fuzz targets,
// where the fuzzing engine isolates.
#ifndef CROSSCHECK_ENGINES_IN_PROCESS_CLIENT_H_
#define CROSSCHECK_ENGINES_IN_PROCESS_CLIENT_H_

#include <memory>

#include "engines/host_client.h"

namespace crosscheck {

// Checks every answer as HostClient does, but a crash or a hang of the engine is one of this
// process. The client unloads what was loaded through it. `engine` must outlive it; `hello` is its
// answer to hello.
std::unique_ptr<HostClient> MakeInProcessClient(Engine& engine, const Json& hello);

}  // namespace crosscheck

#endif  // CROSSCHECK_ENGINES_IN_PROCESS_CLIENT_H_
