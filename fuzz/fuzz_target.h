// A fuzz target: bytes to a case to a verdict, with the engine and the exact model in this process.
//
// The first byte chooses the property of the subject, the rest are the bytes of the case. Nothing
// but the input and the file `<executable>.known` decides what happens: no argument, environment
// variable, working directory or clock (fuzzing.md 1.13).
#ifndef CROSSCHECK_FUZZ_FUZZ_TARGET_H_
#define CROSSCHECK_FUZZ_FUZZ_TARGET_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engines/engine.h"
#include "fuzz/known_issues.h"
#include "properties/property.h"

namespace crosscheck {

struct FuzzTargetOptions {
  std::string_view subject;
  std::string_view engine = "lattice";
  bool torch = false;  // libtorch as the second reference; without it marginal findings are passed
  std::string known_file = {};  // known issues, which do not stop the search
  // When set: what is put around the engine, to compare searches on planted bugs.
  std::function<std::unique_ptr<Engine>(std::unique_ptr<Engine>)> decorate = nullptr;
};

// Bounds the work of one input: at most some 50 ms of the exact model.
Limits FuzzLimits(Limits limits);

// What the first byte of an input chooses among, in this order.
std::vector<const Property*> PropertiesOf(const Subject& subject);

// An input as a target reads it, and back: the byte that chooses the property, and the case within
// the limits. Both are total.
std::string TargetBytes(const Property& property, const Case& c, const Limits& limits);
const Property& PropertyOfInput(const Subject& subject, Bytes input);
Case CaseOfInput(const Subject& subject, Bytes input, const Limits& limits);

class FuzzTarget {
 public:
  // Opens the engine. Errors: no such subject or engine, unreadable known issues.
  static absl::StatusOr<std::unique_ptr<FuzzTarget>> Open(const FuzzTargetOptions& options);

  // The property that the first byte chooses, and the case of the rest. Total.
  const Property& PropertyOf(Bytes input) const;
  Case CaseOf(Bytes input) const;
  // The bytes that CaseOf and PropertyOf turn back into this.
  std::string BytesOf(const Property& property, const Case& c) const;
  Verdict Judge(Bytes input);
  // Judges the simplest case of each property, so that what is made once (libraries that are
  // loaded, tables) is there before a fork server forks and before coverage is credited to an
  // input.
  void WarmUp();
  // Neither known nor, without libtorch, marginal.
  bool IsNew(const Verdict& verdict, const Case& c) const;
  // What LLVMFuzzerTestOneInput does: judges, feeds the coverage back, and on a new finding prints
  // it, then its signature line, and aborts.
  void Run(Bytes input);

  const Subject& subject() const { return *subject_; }
  const std::vector<const Property*>& properties() const { return properties_; }
  const Limits& limits() const { return limits_; }

 private:
  FuzzTarget() = default;

  const Subject* subject_ = nullptr;
  std::vector<const Property*> properties_;
  std::string engine_name_, engine_version_;
  std::unique_ptr<Engine> engine_;
  Json hello_;
  Limits limits_;
  bool torch_ = false;
  std::vector<KnownIssue> known_;
};

// `<executable>.known`, beside the program that runs.
std::string KnownFileOfThisProgram();

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_FUZZ_TARGET_H_
