#include "fuzz/coverage_quotas.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace crosscheck {
namespace {

constexpr int64_t kFewestCases = 1000;
constexpr double kStandardErrors = 4;

constexpr CoverageQuota kQuotas[] = {
    {"model_run", "value_heads!=key_heads", 0.5},
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
};

}  // namespace

absl::Span<const CoverageQuota> CoverageQuotas() { return kQuotas; }

std::vector<std::string> ViolatedQuotas(std::string_view subject,
                                        const std::map<std::string, int64_t>& labels, int64_t cases,
                                        int cases_per_model) {
  std::vector<std::string> violated;
  if (cases < kFewestCases) return violated;
  const double draws = static_cast<double>(cases) / std::max(cases_per_model, 1);
  for (const CoverageQuota& quota : kQuotas) {
    if (quota.subject != subject) continue;
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
