#include "fuzz/coverage_quotas.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace crosscheck {
namespace {

constexpr int64_t kFewestCases = 1000;
constexpr double kStandardErrors = 4;

constexpr CoverageQuota kQuotas[] = {
    {"model_run", "family:qwen3_5", 0.3},
    {"model_run", "family:llama", 0.15},
    {"model_run", "family:qwen3_5_moe", 0.15},
    {"model_run", "top_k:1", 0.02, "family:qwen3_5_moe"},
    {"model_run", "top_k:many", 0.06, "family:qwen3_5_moe"},
    {"model_run", "router:near_tied", 0.02, "family:qwen3_5_moe"},
    {"model_run", "router:tied", 0.02, "family:qwen3_5_moe"},
    {"model_run", "value_heads!=key_heads", 0.4},
    {"model_run", "kv_heads!=heads", 0.2},
    {"model_run", "odd_heads", 0.2},
    {"model_run", "partial_rotary", 0.2},
    {"model_run", "hidden_off_simd_width", 0.3},
    {"model_run", "tied_head", 0.2},
    {"model_run", "style:plain", 0.05},
    {"model_run", "style:outlier_channels", 0.05},
    {"model_run", "style:near_tied_head", 0.05},
    {"model_run", "style:tied_head_rows", 0.05},
    {"model_run", "style:large", 0.05},
    {"model_run", "style:tiny", 0.05},
    {"model_run", "path:prompt", 0.1},
    {"model_run", "path:readout", 0.1},
    {"model_run", "path:session", 0.1},
    {"model_run", "boundary_length", 0.2},
    {"model_run", "crosses_chunk_64", 0.02},
    {"model_run", "steps", 0.05},
    {"model_run", "multi_sequence", 0.05},
    {"model_run", "repeated_token", 0.2},
    {"generation", "budget_0", 0.05},
    {"generation", "budget_1", 0.05},
    {"generation", "fills_the_context", 0.02},
    {"generation", "beyond_the_context", 0.05},
    {"generation", "eos_in_the_prompt", 0.1},
    {"generation", "stop_ids", 0.2},
    {"generation", "log_probs", 0.2},
    {"generation", "stream", 0.2},
    {"generation", "sampled", 0.05},
    {"session", "conduct:orderly", 0.3},
    {"session", "call:decode", 0.2},
    {"session", "call:finish", 0.05},
    {"session", "call:reset", 0.05},
    {"session", "call:prefill_after_cancel", 0.01},
    {"session", "call:decode_after_failure", 0.02},
    {"session", "call:prompt", 0.02},
    {"session", "several_sessions", 0.15},
    {"session", "context_full", 0.02},
    {"session", "refused:open_id", 0.05},
    {"session", "refused:open_context", 0.005},
    {"session", "refused:empty_prompt", 0.03},
    {"session", "refused:decode_id", 0.03},
    {"session", "refused:second_prefill", 0.01},
    {"session", "refused:select_before_prefill", 0.005},
    {"session", "refused:stale_prediction", 0.01},
    {"session", "refused:foreign_prediction", 0.002},
    {"sampler", "mode:seeds", 0.1},
    {"sampler", "mode:stream", 0.1},
    {"sampler", "mode:invert", 0.1},
    {"sampler", "mode:generate", 0.1},
    {"sampler", "seeds:random", 0.15},
    {"sampler", "seeds:consecutive", 0.15},
    {"sampler", "seeds:seconds", 0.1},
    {"sampler", "seeds:nanoseconds", 0.1},
    {"sampler", "logits:peaked", 0.05},
    {"sampler", "logits:tied", 0.05},
    {"sampler", "logits:near_tied", 0.05},
    {"sampler", "logits:masked", 0.05},
    {"sampler", "logits:extreme", 0.05},
    {"sampler", "greedy", 0.03},
    {"sampler", "temperature", 0.3},
    {"sampler", "top_k", 0.3},
    {"sampler", "top_p", 0.3},
    {"sampler", "min_p", 0.3},
    {"sampler", "penalty", 0.2},
    {"model_run", "edit_inside", 0.2},
    {"model_run", "split", 0.3},
    {"model_run", "sampled", 0.2},
    {"loader", "unchanged", 0.05},
    {"loader", "several_changes", 0.2},
    {"loader", "change:config_value", 0.05},
    {"loader", "change:config_form", 0.03},
    {"loader", "change:tensor", 0.03},
    {"loader", "change:tensor_dtype", 0.03},
    {"loader", "change:header_entry", 0.03},
    {"loader", "change:offsets", 0.03},
    {"loader", "change:header_text", 0.03},
    {"loader", "change:header_length", 0.03},
    {"loader", "change:file_bytes", 0.03},
    {"loader", "change:index", 0.03},
    {"loader", "change:tokenizer", 0.03},
    {"loader", "change:file", 0.03},
    {"lora", "alpha!=rank", 0.6},
    {"lora", "zero_b", 0.1},
    {"lora", "one_layer_of_a_module", 0.2},
    {"lora", "steps", 0.05},
    {"lora", "path:prompt", 0.1},
    {"lora", "path:readout", 0.1},
    {"lora", "path:session", 0.1},
    {"lora", "module:gate_proj", 0.1},
    {"lora", "module:up_proj", 0.1},
    {"lora", "module:down_proj", 0.1},
    {"lora", "module:q_proj", 0.08},
    {"lora", "module:k_proj", 0.08},
    {"lora", "module:v_proj", 0.08},
    {"lora", "module:o_proj", 0.08},
    {"lora", "module:in_proj_qkv", 0.08},
    {"lora", "module:in_proj_z", 0.08},
    {"lora", "module:in_proj_b", 0.08},
    {"lora", "module:in_proj_a", 0.08},
    {"lora", "module:out_proj", 0.08},
    {"weight_format", "format:f32", 0.15},
    {"weight_format", "format:f16", 0.15},
    {"weight_format", "format:int8", 0.15},
    {"weight_format", "format:q8_0", 0.15},
    {"weight_format", "hidden_states", 0.15},
    {"weight_format", "tied_head", 0.4},
    {"weight_format", "value_heads!=key_heads", 0.4},
    {"weight_format", "kv_heads!=heads", 0.2},
    {"weight_format", "style:outlier_channels", 0.05},
};

}  // namespace

absl::Span<const CoverageQuota> CoverageQuotas() { return kQuotas; }

std::vector<std::string> ViolatedQuotas(std::string_view subject,
                                        const std::map<std::string, int64_t>& labels, int64_t cases,
                                        int cases_per_model,
                                        absl::Span<const std::string> not_generated) {
  std::vector<std::string> violated;
  if (cases < kFewestCases) return violated;
  const double draws = static_cast<double>(cases) / std::max(cases_per_model, 1);
  for (const CoverageQuota& quota : kQuotas) {
    if (quota.subject != subject) continue;
    if (std::any_of(not_generated.begin(), not_generated.end(), [&](const std::string& label) {
          return label == quota.label || label == quota.family;
        })) {
      continue;
    }
    const auto found = labels.find(std::string(quota.label));
    const double share =
        found == labels.end() ? 0 : static_cast<double>(found->second) / static_cast<double>(cases);
    const double error = std::sqrt(quota.least_share * (1 - quota.least_share) / draws);
    if (share >= quota.least_share - kStandardErrors * error) continue;
    char text[160];
    std::snprintf(text, sizeof(text),
                  "coverage of %s: %.1f %% of %lld cases, at least %.0f %% wanted",
                  std::string(quota.label).c_str(), 100 * share, static_cast<long long>(cases),
                  100 * quota.least_share);
    violated.emplace_back(text);
  }
  return violated;
}

}  // namespace crosscheck
