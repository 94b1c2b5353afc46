#include "quality/gates.h"

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "fmt/format.h"
#include "fmt/ranges.h"

namespace crosscheck::quality {
namespace {

constexpr std::string_view kFormat = "crosscheck-gates/1";

// Reads one table key by key. The first problem is kept; keys that nobody asked for are one.
class TableReader {
 public:
  TableReader(const toml::table& table, std::string_view source) : table_(table), source_(source) {}

  template <class T>
  bool Read(std::string_view key, T& out) {
    known_.insert(key);
    const toml::node* node = table_.get(key);
    if (node == nullptr) return false;
    if constexpr (std::is_same_v<T, std::optional<double>>) {
      double value = 0;
      if (Read(key, value)) out = value;
    } else if (const std::optional<T> value = node->value<T>()) {
      out = *value;
    } else {
      Fail(*node, fmt::format("\"{}\" is no {}", key, TypeName<T>()));
    }
    return true;
  }

  void ReadStrings(std::string_view key, std::vector<std::string>& out) {
    known_.insert(key);
    const toml::node* node = table_.get(key);
    const toml::array* array = node == nullptr ? nullptr : node->as_array();
    for (size_t i = 0; array != nullptr && i < array->size(); ++i) {
      if (const auto value = array->get(i)->value_exact<std::string>()) out.push_back(*value);
    }
    if (out.empty() || out.size() != array->size()) {
      Fail(node == nullptr ? static_cast<const toml::node&>(table_) : *node,
           fmt::format("\"{}\" must be a list of at least one string", key));
    }
  }

  // One of `names`, as its index.
  template <class Enum>
  void ReadChoice(std::string_view key, std::initializer_list<std::string_view> names, Enum& out) {
    std::string value;
    if (!Read(key, value) || !status_.ok()) return;
    const auto found = std::find(names.begin(), names.end(), value);
    if (found == names.end()) {
      Fail(*table_.get(key),
           fmt::format("\"{}\" is \"{}\", not one of {}", key, value, fmt::join(names, ", ")));
    } else {
      out = static_cast<Enum>(found - names.begin());
    }
  }

  void Mark(std::string_view key) { known_.insert(key); }
  void Check(bool ok, std::string_view key, std::string_view what) {
    const toml::node* node = table_.get(key);
    if (!ok) Fail(node == nullptr ? static_cast<const toml::node&>(table_) : *node, what);
  }
  int line() const { return static_cast<int>(table_.source().begin.line); }

  absl::Status Finish() {
    for (const auto& [key, node] : table_) {
      if (known_.contains(key.str())) continue;
      Fail(node, fmt::format("unknown key \"{}\"; known: {}", key.str(), fmt::join(known_, ", ")));
    }
    return status_;
  }

 private:
  template <class T>
  static std::string_view TypeName() {
    if (std::is_same_v<T, std::string>) return "string";
    return std::is_same_v<T, double> ? "number" : "integer";
  }

  void Fail(const toml::node& node, std::string_view what) {
    if (!status_.ok()) return;
    status_ = absl::InvalidArgumentError(
        fmt::format("{}:{}: {}", source_, node.source().begin.line, what));
  }

  const toml::table& table_;
  const std::string_view source_;
  std::set<std::string_view> known_;
  absl::Status status_;
};

void ReadMetric(TableReader& reader, Gate& gate) {
  std::string metric;
  reader.Check(reader.Read("metric", metric), "metric", "a gate needs a \"metric\"");
  const auto& all = GateMetrics();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const GateMetric& m) { return m.name == metric; });
  if (found != all.end()) {
    gate.metric = *found;
    return;
  }
  std::vector<std::string_view> names;
  names.reserve(all.size());
  for (const GateMetric& m : all) names.push_back(m.name);
  reader.Check(false, "metric",
               fmt::format("no metric \"{}\"; there are: {}", metric, fmt::join(names, ", ")));
}

void CheckGate(TableReader& reader, const Gate& gate) {
  const bool no_bound = gate.metric.name == "layer_added_error";
  reader.Check(no_bound || gate.min || gate.max, "name", "a gate needs \"min\" or \"max\"");
  reader.Check(!no_bound || !(gate.min || gate.max), "name",
               "layer_added_error has its own bound: neither \"min\" nor \"max\"");
  reader.Check(!(gate.min && gate.max), "max", "\"min\" and \"max\" at once: make two gates");
  reader.Check(std::isfinite(gate.bound()), gate.min ? "min" : "max", "a bound must be finite");
  const bool greedy = gate.metric.name.starts_with("greedy_match");
  reader.Check(!greedy || gate.at > 0, "at", "a greedy gate needs \"at\", a number of tokens");
  reader.Check(greedy || gate.at == 0, "at", "\"at\" belongs to greedy gates");
  const bool share = gate.share_of_layers > 0 && gate.share_of_layers <= 1;
  reader.Check(share, "share_of_layers", "\"share_of_layers\" must be above 0 and at most 1");
  reader.Check(gate.multiplier > 0, "m", "\"m\" must be positive");
  reader.Check(gate.positions >= 0, "positions", "\"positions\" must not be negative");
  const bool forced_kl =
      gate.metric.name == "kl_mean" && (gate.track.empty() || gate.track == "forced");
  reader.Check(gate.positions == 0 || forced_kl, "positions",
               "\"positions\" belongs to kl_mean of the track forced");
  reader.Check(gate.max_prompts >= 0, "max_prompts", "\"max_prompts\" must not be negative");
  const bool rate = gate.metric.kind == MetricKind::kRate;
  reader.Check(!rate || (gate.bound() >= 0 && gate.bound() <= 1), gate.min ? "min" : "max",
               "a rate is between 0 and 1");
  const bool value = gate.metric.kind == MetricKind::kValue;
  reader.Check(!value || gate.rule == GateRule::kPoint, "metric",
               fmt::format("{} has no interval: rule = \"point\"", gate.metric.name));
}

absl::StatusOr<Gate> ReadGate(const toml::node& node, std::string_view source) {
  const toml::table* table = node.as_table();
  if (table == nullptr) {
    return absl::InvalidArgumentError(fmt::format(
        "{}:{}: a gate is a table: {{name=…, metric=…, …}}", source, node.source().begin.line));
  }
  TableReader reader(*table, source);
  Gate gate;
  gate.line = reader.line();
  reader.Check(reader.Read("name", gate.name), "name", "a gate needs a \"name\"");
  ReadMetric(reader, gate);
  reader.Read("track", gate.track);
  reader.Read("stage", gate.stage);
  reader.Read("min", gate.min);
  reader.Read("max", gate.max);
  reader.Read("at", gate.at);
  reader.Read("positions", gate.positions);
  reader.Read("share_of_layers", gate.share_of_layers);
  reader.Read("m", gate.multiplier);
  reader.Read("max_prompts", gate.max_prompts);
  reader.ReadChoice("rule", {"interval", "point"}, gate.rule);
  reader.Read("against", gate.against);
  reader.Check(gate.against.empty() || gate.against == "same-weights", "against",
               "\"against\" can only be \"same-weights\"");
  reader.ReadStrings("configs", gate.configs);
  CheckGate(reader, gate);
  if (absl::Status status = reader.Finish(); !status.ok()) return status;
  return gate;
}

absl::StatusOr<GateFile> ReadFile(const toml::table& table, std::string_view source) {
  GateFile file;
  TableReader reader(table, source);
  std::string format;
  reader.Read("format", format);
  reader.Check(format == kFormat, "format", fmt::format("\"format\" must be \"{}\"", kFormat));
  reader.Read("confidence", file.confidence);
  reader.Check(file.confidence > 0.5 && file.confidence < 1, "confidence",
               "\"confidence\" must be above 0.5 and below 1");
  reader.ReadChoice("on_undecided", {"exit-1", "pass", "fail"}, file.on_undecided);
  reader.Mark("gate");
  const toml::array* gates = table["gate"].as_array();
  reader.Check(gates != nullptr && !gates->empty(), "gate",
               "\"gate\" must be a list of at least one gate");
  if (absl::Status status = reader.Finish(); !status.ok()) return status;
  std::set<std::string> names;
  for (const toml::node& node : *gates) {
    absl::StatusOr<Gate> gate = ReadGate(node, source);
    if (!gate.ok()) return gate.status();
    if (!names.insert(gate->name).second) {
      return absl::InvalidArgumentError(
          fmt::format("{}:{}: a second gate \"{}\"", source, gate->line, gate->name));
    }
    file.gates.push_back(*std::move(gate));
  }
  return file;
}

}  // namespace

const std::vector<GateMetric>& GateMetrics() {
  using enum MetricKind;
  static const std::vector<GateMetric> metrics = {
      {"greedy_match", kRate, "prompts whose first `at` greedy tokens are equal"},
      {"greedy_match_margin_aware", kRate, "the same, near ties counted as equal"},
      {"kl_mean", kMean, "mean KL(reference || candidate) over positions, nats"},
      {"reverse_kl_mean", kMean, "mean KL(candidate || reference)"},
      {"kl_q99", kValue, "99 % quantile of KL over positions"},
      {"kl_q999", kValue, "99.9 % quantile of KL over positions"},
      {"kl_max", kValue, "largest KL of a position"},
      {"top1_agreement", kMean, "share of positions with equal argmax"},
      {"top1_decided_agreement", kMean, "the same where the margin exceeds the errors"},
      {"top5_overlap", kMean, "mean share of the five likeliest tokens in common"},
      {"top10_overlap", kMean, "the same of ten"},
      {"top100_overlap", kMean, "the same of a hundred"},
      {"total_variation_mean", kMean, "mean total variation"},
      {"delta_p_rms", kValue, "RMS of the change of the true token's probability"},
      {"perplexity_log_ratio", kMean, "ln(candidate's perplexity / reference's)"},
      {"sampled_p_value", kValue, "draws against the reference's law: f32 and f16 only"},
      {"sampled_effect", kValue, "(chi-square less its degrees of freedom) / draws of the same"},
      {"sampler_p_value", kValue, "draws against the law of the engine's own logits"},
      {"flips_p_value", kValue, "as many other choices at near ties by legal rounding"},
      {"sampled_kl_mean", kMean, "mean KL at the sampling temperature"},
      {"excess_nll", kMean, "mean NLL by the reference of the candidate's text, less of its own"},
      {"token_match", kMean, "mean share of equal tokens of the generated texts"},
      {"bleu", kValue, "corpus BLEU of the generated texts, 0 to 100"},
      {"garbled_share", kRate, "prompts with garbled text"},
      {"accuracy_difference", kMean, "candidate's accuracy less the reference's"},
      {"answer_flips", kRate, "questions answered otherwise"},
      {"lora_effect_ratio", kValue, "KL to the reference's adapted model over its effect"},
      {"layer_cosine_q01", kLayer, "1 % quantile over positions of the cosine"},
      {"layer_cosine_mean", kLayer, "mean of the cosine"},
      {"layer_cosine_min", kLayer, "least cosine"},
      {"layer_relative_error_q99", kLayer, "99 % quantile of the relative L2 error"},
      {"layer_added_error", kLayer, "error that a layer adds over its bound, by swap-in"},
  };
  return metrics;
}

bool MatchesGlob(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern.front() == '*') {
    return MatchesGlob(pattern.substr(1), text) ||
           (!text.empty() && MatchesGlob(pattern, text.substr(1)));
  }
  return !text.empty() && (pattern.front() == '?' || pattern.front() == text.front()) &&
         MatchesGlob(pattern.substr(1), text.substr(1));
}

bool Gate::AppliesTo(std::string_view configuration) const {
  return std::any_of(configs.begin(), configs.end(), [&](const std::string& pattern) {
    return MatchesGlob(pattern, configuration);
  });
}

bool Gate::Reaches(double value) const { return min ? value >= *min : value <= max.value_or(0); }

absl::StatusOr<GateFile> ParseGates(std::string_view text, std::string_view source) {
  const toml::parse_result parsed = toml::parse(text);
  if (!parsed) {
    const toml::parse_error& error = parsed.error();
    return absl::InvalidArgumentError(
        fmt::format("{}:{}: {}", source, error.source().begin.line, error.description()));
  }
  return ReadFile(parsed.table(), source);
}

}  // namespace crosscheck::quality
