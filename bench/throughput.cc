// Cases per second per core and where the time goes, with lazy references; the exact model against
// libtorch in fp64; the cost of each property's judge.
//
// usage: throughput [ENGINE] [CASES]     (lattice 20000 by default; one worker)
//
// Prints shares of one run, so that a noisy machine moves all of them together. `harness` is
// everything that is neither the engine (its files included) nor a reference; its target is at most
// 10 %.
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <memory>

#include "fmt/format.h"
#include "fuzz/smoke.h"
#include "properties/subjects/model_run.h"
#include "reference/reference_model.h"

namespace crosscheck {
namespace {

void PrintStage(std::string_view name, double seconds, double busy, int64_t cases) {
  std::cout << fmt::format("  {:14}{:>8.1f} %{:>10.1f} us per case\n", name, 100 * seconds / busy,
                           1e6 * seconds / cases);
}

int PrintThroughput(const std::string& engine, int64_t cases) {
  SmokeOptions options;
  options.executor.engine = engine;
  options.cases = cases;
  options.jobs = 1;
  options.properties = {FindProperty("logit_closeness"), FindProperty("greedy_prefix")};
  auto report = RunSmoke(options);
  if (!report.ok()) {
    std::cerr << "throughput: " << std::string(report.status().message()) << "\n";
    return 1;
  }
  const SmokeSeconds& s = report->stage_seconds;
  double harness = s.draw + s.judge + s.stages.transport;
  std::cout << fmt::format("{}: {} cases, {:.0f} per second per core, {} findings\n", engine,
                           report->cases, report->cases / s.busy, report->findings.size());
  PrintStage("draw", s.draw, s.busy, report->cases);
  PrintStage("write model", s.stages.write_model, s.busy, report->cases);
  PrintStage("engine load", s.stages.engine_load, s.busy, report->cases);
  PrintStage("engine run", s.stages.engine_run, s.busy, report->cases);
  PrintStage("torch", s.stages.torch, s.busy, report->cases);
  PrintStage("exact", s.stages.exact, s.busy, report->cases);
  PrintStage("judge", s.judge, s.busy, report->cases);
  PrintStage("transport", s.stages.transport, s.busy, report->cases);
  PrintStage("harness", harness, s.busy, report->cases);
  return 0;
}

// What a case of each property costs, in microseconds. A model is loaded for every few cases, and
// some properties ask for many runs, so that the judge's share differs.
int PrintJudges(const std::string& engine) {
  constexpr int64_t kCases = 1000;
  std::cout << fmt::format("{:24}{:>10}{:>12}{:>8}{:>8}{:>11}{:>11}\n", "us per case", "engine",
                           "references", "draw", "judge", "transport", "harness");
  for (const Property* property : Properties()) {
    SmokeOptions options;
    options.executor.engine = engine;
    options.cases = kCases;
    options.jobs = 1;
    options.minimise.max_evaluations = 1;
    options.properties = {property};
    auto report = RunSmoke(options);
    if (!report.ok()) {
      std::cerr << "throughput: " << std::string(report.status().message()) << "\n";
      return 1;
    }
    const SmokeSeconds& s = report->stage_seconds;
    const StageSeconds& stages = s.stages;
    const auto micros = [](double seconds) { return 1e6 * seconds / kCases; };
    std::cout << fmt::format(
        "{:24}{:>10.1f}{:>12.1f}{:>8.1f}{:>8.1f}{:>11.1f}{:>9.1f} %\n", property->name,
        micros(stages.engine_run + stages.engine_load + stages.write_model),
        micros(stages.torch + stages.exact), micros(s.draw), micros(s.judge),
        micros(stages.transport), 100 * (s.draw + s.judge + stages.transport) / s.busy);
  }
  return 0;
}

double SecondsToPrefill(const ReferenceModel& model, absl::Span<const int32_t> ids) {
  auto start = std::chrono::steady_clock::now();
  if (!model.NewSession()->Extend({.ids = ids}).ok()) std::abort();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Both compute the same generated cases, turn by turn.
void PrintReferences() {
  Limits limits;
  double exact_seconds = 0;
  double torch_seconds = 0;
  constexpr int kModels = 200;
  for (int i = 0; i < kModels; ++i) {
    Stream stream(static_cast<uint64_t>(i), "bench");
    Case drawn = ModelRunSubject().random(stream, limits);
    const auto& c = drawn.As<ModelRunCase>();
    auto model = std::make_shared<const Model>(GenerateModel(*c.model));
    auto exact = MakeExactModel(model, ExactVariant::kFp64);
    auto torch = MakeTorchModel(model, TorchPrecision::kFp64);
    if (!exact.ok() || !torch.ok()) std::abort();
    for (int repeat = 0; repeat < 3; ++repeat) {
      double exact_once = SecondsToPrefill(**exact, c.sequences[0].ids);
      double torch_once = SecondsToPrefill(**torch, c.sequences[0].ids);
      if (repeat == 0) continue;  // the first run of each warms caches
      exact_seconds += exact_once;
      torch_seconds += torch_once;
    }
  }
  std::cout << fmt::format(
      "exact fp64 {:.0f} us, libtorch fp64 {:.0f} us per generated prompt: ratio {:.3f}\n",
      1e6 * exact_seconds / (2 * kModels), 1e6 * torch_seconds / (2 * kModels),
      exact_seconds / torch_seconds);
}

}  // namespace
}  // namespace crosscheck

int main(int argc, char** argv) {
  std::string engine = argc > 1 ? argv[1] : "lattice";
  int64_t cases = argc > 2 ? std::atoll(argv[2]) : 20000;
  int exit_code = crosscheck::PrintThroughput(engine, cases);
  if (exit_code != 0) return exit_code;
  crosscheck::PrintReferences();
  return crosscheck::PrintJudges(engine);
}
