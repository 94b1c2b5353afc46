// The client side of crosscheck-host: one child process per engine under test and worker.
//
// The child is started by posix_spawn, gets an address-space limit, answers frames on stdin and
// stdout, and is killed and restarted when it dies, hangs, babbles or lies. The parent never trusts
// what it reads.
#ifndef CROSSCHECK_ENGINES_HOST_CLIENT_H_
#define CROSSCHECK_ENGINES_HOST_CLIENT_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "engines/engine.h"

namespace crosscheck {

struct HostOptions {
  std::string engine;  // name for the registry, or a command line (CommandLineOf)
  double hello_deadline_seconds = 60;
  double deadline_seconds = 10;              // every other message; progress frames reset it
  uint64_t memory_limit_bytes = 4ull << 30;  // address space; 0: none (address sanitizer builds)
  std::string scratch_folder = {};  // removed by the child when the parent disappears; may be empty
  int repeat_one_in = 50;  // one request in n is sent twice and must be bit-equal; 0: never
};

class HostClient : public Engine {
 public:
  // Starts the child and says hello. A child that cannot start (no such engine, library missing) is
  // an error status.
  static absl::StatusOr<std::unique_ptr<HostClient>> Start(const HostOptions& options);
  ~HostClient() override;

  // After kDead, kSlow and kProtocol the child has been killed; the next Call starts a new one (all
  // loaded models of the old one are gone: generation() has grown).
  Reply Call(const Message& request) override = 0;
  virtual const Json& hello() const = 0;  // the answer to hello
  // Number of the child process that the next Call talks to, from 1.
  virtual int generation() const = 0;
  virtual pid_t process() const = 0;  // of the child; 0: there is none now
  virtual double transport_seconds()
      const = 0;  // time in Call outside the engine, summed; for bench/
};

}  // namespace crosscheck

#endif  // CROSSCHECK_ENGINES_HOST_CLIENT_H_
