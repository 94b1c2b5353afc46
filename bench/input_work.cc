// The most work that an input of a fuzz target can ask of the exact model: searches cases with the
// largest fields, per property, and prints multiply-adds and milliseconds.
//
// usage: input_work [CASES] [ENGINE]      (400 for each property, exact:fp32)
//
// The exact model computes for every input: 50 ms at most. All references but libtorch compute for
// an input that fails or comes close to it. tests/fuzz/input_work_test.cc holds both in
// multiply-adds.
#include "fuzz/input_work.h"

#include <algorithm>
#include <cstdlib>
#include <iostream>

#include "engines/in_process_client.h"
#include "engines/registry.h"
#include "fmt/format.h"
#include "fuzz/fuzz_target.h"

namespace crosscheck {
namespace {

void PrintWorst(const Property& property, int cases, Executor& executor) {
  Stream stream(1, "input work");
  InputWork most;
  for (int i = 0; i < cases; ++i) {
    const Case c = LargeCase(*property.subject, stream, FuzzLimits(executor.limits()));
    InputWork work = MeasureWork(property, c, executor, true);
    if (work.exact_seconds > most.exact_seconds) {  // the machine may have been busy
      const InputWork again = MeasureWork(property, c, executor, false);
      work.exact_seconds = std::min(work.exact_seconds, again.exact_seconds);
    }
    most.exact = std::max(most.exact, work.exact);
    most.exact_seconds = std::max(most.exact_seconds, work.exact_seconds);
    most.all_references = std::max(most.all_references, work.all_references);
    most.seconds = std::max(most.seconds, work.seconds);
  }
  std::cout << fmt::format("{:24}{:>14.1f}{:>12.1f}{:>14.1f}{:>12.1f}\n", property.name,
                           1e-6 * static_cast<double>(most.exact), 1e3 * most.exact_seconds,
                           1e-6 * static_cast<double>(most.all_references), 1e3 * most.seconds);
}

int Main(int argc, char** argv) {
  const int cases = argc > 1 ? std::atoi(argv[1]) : 400;
  const std::string name = argc > 2 ? argv[2] : "exact:fp32";
  auto engine = OpenInProcess(name);
  if (!engine.ok()) {
    std::cerr << "input_work: " << std::string(engine.status().message()) << "\n";
    return 1;
  }
  const Reply hello = (*engine)->Call(
      {.head = {{"op", "hello"}, {"protocol", {1}}, {"client", "bench"}}, .tensors = {}});
  auto executor = Executor::Create({.engine = name, .torch = false, .models_kept = 2},
                                   MakeInProcessClient(**engine, hello.message.head));
  if (!hello.ok() || !executor.ok()) {
    std::cerr << "input_work: " << std::string(executor.status().message()) << "\n";
    return 1;
  }
  std::cout << fmt::format("{:24}{:>14}{:>12}{:>14}{:>12}\n", "most of", "exact, 10^6", "exact, ms",
                           "all, 10^6", "all, ms");
  for (const Property* property : Properties()) PrintWorst(*property, cases, **executor);
  return 0;
}

}  // namespace
}  // namespace crosscheck

int main(int argc, char** argv) { return crosscheck::Main(argc, argv); }
