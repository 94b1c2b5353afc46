#include <cstdlib>
#include <iostream>
#include <utility>

#include "quality/gates.h"

namespace crosscheck::quality {
namespace {

constexpr std::string_view kText = R"(format = "crosscheck-gates/1"
confidence = 0.95                       # one-sided, per gate
on_undecided = "exit-1"                 # "exit-1" | "pass" | "fail"
gate = [
 {name="greedy10",    metric="greedy_match_margin_aware", at=10, min=0.99, configs=["fp32","f32","f16"], rule="interval", max_prompts=1000},
 {name="kl100",       metric="kl_mean", track="forced", positions=100, max=0.01, configs=["fp32","f32","f16"]},
 {name="greedy10-q4", metric="greedy_match_margin_aware", at=10, min=0.95, configs=["q4-quarot"]},
 {name="cos-fp8",     metric="layer_cosine_q01", stage="residual", min=0.999, share_of_layers=0.9, configs=["fp8*"]},
 {name="cos-fp4",     metric="layer_cosine_q01", stage="residual", min=0.995, share_of_layers=0.9, configs=["mxfp4","nvfp4","q4*"]},
 {name="broken",      metric="layer_cosine_mean", min=0.9, share_of_layers=1.0, configs=["*"]},
 {name="garbled",     metric="garbled_share", max=0.0, rule="point", configs=["*"]},
 {name="added-error", metric="layer_added_error", against="same-weights", m=2, configs=["*"]},
]
)";

GateFile ParseDefaults() {
  absl::StatusOr<GateFile> gates = ParseGates(kText, "default gates");
  if (!gates.ok()) {
    std::cerr << std::string(gates.status().message()) << "\n";
    std::abort();  // the text is ours
  }
  return *std::move(gates);
}

}  // namespace

std::string_view DefaultGateText() { return kText; }

const GateFile& DefaultGates() {
  static const GateFile gates = ParseDefaults();
  return gates;
}

}  // namespace crosscheck::quality
