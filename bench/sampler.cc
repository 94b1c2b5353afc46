// Draws per second of an engine's sampler, and what a case of `sampler_distribution` costs and
// where.
//
// usage: sampler_throughput [ENGINE] [CASES]     (lattice 2000 by default; one worker)
#include <chrono>
#include <cstdlib>
#include <iostream>

#include "engines/registry.h"
#include "fmt/format.h"
#include "fuzz/smoke.h"
#include "properties/sampler_runs.h"

namespace crosscheck {
namespace {

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Whole messages of 8192 draws in this process, encoding left out; the best of five.
int PrintDraws(const std::string& name, int vocab) {
  auto engine = OpenInProcess(name);
  if (!engine.ok()) {
    std::cerr << "sampler_throughput: " << std::string(engine.status().message()) << "\n";
    return 1;
  }
  SamplerCase c;
  c.draws = 8192;
  c.logits = {.vocab = vocab, .spread = 8, .seed = 1};
  c.parameters = {.temperature = 0.7, .top_k = 50, .top_p = 0.9};
  for (const SamplerMode mode : {SamplerMode::kSeeds, SamplerMode::kStream}) {
    c.mode = mode;
    const Message request = DrawMessage(c, 0);
    double best = 0;
    for (int repeat = 0; repeat < 5; ++repeat) {
      const auto start = std::chrono::steady_clock::now();
      if (!(*engine)->Call(request).ok()) return 1;
      best = std::max(best, c.draws / SecondsSince(start));
    }
    std::cout << fmt::format("{}: vocabulary {:5}, mode {:6} {:>10.0f} draws per second\n", name,
                             vocab, kSamplerModeNames[static_cast<size_t>(mode)], best);
  }
  return 0;
}

int PrintCases(const std::string& name, int64_t cases) {
  SmokeOptions options;
  options.executor.engine = name;
  options.cases = cases;
  options.jobs = 1;
  options.minimise.max_evaluations = 1;
  options.properties = {FindProperty("sampler_distribution")};
  auto report = RunSmoke(options);
  if (!report.ok()) {
    std::cerr << "sampler_throughput: " << std::string(report.status().message()) << "\n";
    return 1;
  }
  const SmokeSeconds& s = report->stage_seconds;
  const auto print = [&](std::string_view stage, double seconds) {
    std::cout << fmt::format("  {:14}{:>8.1f} %{:>10.1f} us per case\n", stage,
                             100 * seconds / s.busy, 1e6 * seconds / cases);
  };
  std::cout << fmt::format("{}: {} cases, {:.0f} per second per core\n", name, report->cases,
                           static_cast<double>(report->cases) / s.busy);
  print("draw case", s.draw);
  print("engine load", s.stages.engine_load + s.stages.write_model);
  print("engine run", s.stages.engine_run);
  print("judge and law", s.judge);
  print("transport", s.stages.transport);
  return 0;
}

}  // namespace
}  // namespace crosscheck

int main(int argc, char** argv) {
  const std::string engine = argc > 1 ? argv[1] : "lattice";
  const int64_t cases = argc > 2 ? std::atoll(argv[2]) : 2000;
  for (const int vocab : {8, 64, 4096}) {
    if (crosscheck::PrintDraws(engine, vocab) != 0) return 1;
  }
  return crosscheck::PrintCases(engine, cases);
}
