#include "cli/reports/compare_page.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/reports/compare_cells.h"
#include "cli/reports/compare_cost.h"
#include "cli/reports/compare_json.h"
#include "cli/reports/compare_text.h"
#include "fmt/format.h"

namespace crosscheck {
namespace {

using quality::Comparison;
using quality::ConfigurationResult;
using quality::GateVerdict;

Markup VerdictBadge(GateVerdict verdict) {
  const char* kind = verdict == GateVerdict::kPass   ? "good"
                     : verdict == GateVerdict::kFail ? "bad"
                                                     : "doubtful";
  return Badge(kind, VerdictWord(verdict));
}

Markup Lead(const Comparison& comparison) {
  Markup items;
  for (const ConfigurationResult& result : comparison.configurations) {
    items += Element("li", VerdictBadge(result.verdict()) + " " + CompareSentence(result));
  }
  return Element("p", {{"class", "lead"}},
                 VerdictBadge(OverallVerdict(comparison)) +
                     absl::StrCat(" ",
                                  Plural(static_cast<int64_t>(comparison.configurations.size()),
                                         "configuration"),
                                  " against ", comparison.reference, ".")) +
         Element("ul", items);
}

Markup Numbers(const Comparison& comparison) {
  const std::string all = absl::StrCat(comparison.options.greedy_tokens);
  HtmlTable table{.caption = "95 % intervals, by prompts or windows as clusters; KL in nats",
                  .columns = {{"configuration"},
                              {"verdict"},
                              {"bits/weight", true},
                              {"size", true},
                              {"KL mean", true},
                              {"KL 99.9 %", true},
                              {"same top p", true},
                              {"greedy 10", true},
                              {"margin-aware", true},
                              {"greedy " + all, true},
                              {"margin-aware", true},
                              {"ln PPL ratio, " + SchemeText(comparison), true},
                              {"worst layer", true}},
                  .rows = {}};
  for (const ConfigurationResult& r : comparison.configurations) {
    const auto rate = [&r](const std::string& name) { return RateText(FindMetric(r, name)); };
    table.rows.push_back(
        {r.configuration.name, VerdictBadge(r.verdict()), BitsText(r),
         r.weight_bytes == 0 ? "–" : BytesText(static_cast<double>(r.weight_bytes)),
         IntervalText(FindMetric(r, "kl_mean")), TailText(r),
         ShareText(FindMetric(r, "top1_agreement")), rate("greedy_match_10"),
         rate("greedy_match_margin_aware_10"), rate("greedy_match_" + all),
         rate("greedy_match_margin_aware_" + all),
         IntervalText(FindMetric(r, "perplexity_log_ratio")), WorstLayerText(r)});
  }
  if (comparison.noise.configuration.engine.empty()) return table.Render();
  return table.Render() + Paragraph("Noise floor, the reference in another precision (" +
                                    Markup(comparison.noise.configuration.engine) + "): KL " +
                                    IntervalText(FindMetric(comparison.noise, "kl_mean")) + ".");
}

std::string WordOfJson(const quality::Json& value) {
  return value.is_string() ? value.get<std::string>()
                           : value.dump(-1, ' ', false, quality::Json::error_handler_t::replace);
}

Markup Identity(const Comparison& comparison) {
  HtmlTable files{.caption = "What was compared", .columns = {{"what"}, {"SHA-256"}}, .rows = {}};
  for (const auto& [name, hash] : comparison.model.items()) {
    files.rows.push_back({name, Code(WordOfJson(hash))});
  }
  const quality::Json& tokenizer = comparison.inputs.tokenizer;
  files.rows.push_back({"tokenizer", Code(tokenizer.is_object() && tokenizer.contains("sha256")
                                              ? WordOfJson(tokenizer["sha256"])
                                              : "none")});
  files.rows.push_back({"ids of the prompts", Code(comparison.inputs.prompts_sha256)});
  files.rows.push_back({"ids of the text", Code(comparison.inputs.text_sha256)});
  for (const quality::TaskRequests& task : comparison.inputs.tasks) {
    for (const quality::TaskFile& file : task.task.files) {
      files.rows.push_back({fmt::format("{}: {}, {} rows", task.task.name, file.path, file.rows),
                            Code(file.sha256)});
    }
  }
  HtmlTable engines{
      .caption = "What was asked for, and what the engines say they loaded",
      .columns =
          {{"configuration"}, {"engine"}, {"weights"}, {"served as"}, {"echo"}, {"time", true}},
      .rows = {}};
  Markup notes;
  for (const quality::TaskRequests& task : comparison.inputs.tasks) {
    notes += Element("li", TaskText(task));
  }
  for (const ConfigurationResult& r : comparison.configurations) {
    const quality::Configuration& c = r.configuration;
    engines.rows.push_back({c.name, r.engine_text.empty() ? c.engine : r.engine_text,
                            c.weight_format.empty() ? "as stored" : c.weight_format,
                            c.served_format.empty() ? "–" : c.served_format,
                            Code(WordOfJson(r.echo)), DurationText(r.seconds)});
    if (!c.note.empty()) notes += Element("li", c.name + ": " + c.note + ".");
  }
  return files.Render() + engines.Render() + (notes.empty() ? Markup() : Element("ul", notes));
}

class WorstPrompts {
 public:
  explicit WorstPrompts(const Comparison& comparison) : decoder_(comparison.inputs.decoder.get()) {}

  Markup Of(const ConfigurationResult& result) {
    if (result.worst.empty() && result.divergences.empty()) return {};
    return Element("h3", result.configuration.name) + Positions(result) + Divergences(result);
  }

 private:
  // "1234 «text»"; -1: the side had stopped.
  Markup Token(int id) {
    if (id < 0) return "ended";
    Markup token = absl::StrCat(id);
    if (decoder_ == nullptr) return token;
    const auto text = decoder_->Decode({id});
    return text.ok() ? token + " " + Element("code", {{"class", "token"}}, "«" + *text + "»")
                     : token;
  }

  // The last tokens before the divergence.
  Markup Before(const quality::GreedyDivergence& d) {
    if (decoder_ != nullptr) {
      const auto text = decoder_->Decode(d.before);
      if (text.ok()) return Code("…" + *text);
    }
    return Code("… " + absl::StrJoin(d.before, " "));
  }

  static std::string Probabilities(double p, double q) {
    return absl::StrCat(NumberText(p), " → ", NumberText(q));
  }

  Markup Positions(const ConfigurationResult& result) {
    if (result.worst.empty()) return {};
    HtmlTable table{.caption = "The worst positions, of different prompts or windows",
                    .columns = {{"where"},
                                {"position", true},
                                {"KL", true},
                                {"reference's most likely"},
                                {"candidate's most likely"}},
                    .rows = {}};
    for (const quality::WorstPosition& w : result.worst) {
      table.rows.push_back({absl::StrCat(w.track, " ", w.item), absl::StrCat(w.position),
                            NumberText(w.kl), Token(w.reference_token), Token(w.candidate_token)});
    }
    return table.Render();
  }

  Markup Divergences(const ConfigurationResult& result) {
    if (result.divergences.empty()) return {};
    HtmlTable table{.caption =
                        "Where greedy continuations part. p, q: probabilities by the reference "
                        "and the candidate; margin: the reference's logit of its token less that "
                        "of the candidate's; ε: what a legal rounding shifts",
                    .columns = {{"prompt"},
                                {"token", true},
                                {"both wrote"},
                                {"reference"},
                                {"p → q", true},
                                {"candidate"},
                                {"p → q", true},
                                {"margin", true},
                                {"ε", true},
                                {"judged"}},
                    .rows = {}};
    constexpr size_t kShown = 10;
    for (size_t i = 0; i < std::min(kShown, result.divergences.size()); ++i) {
      const quality::GreedyDivergence& d = result.divergences[i];
      table.rows.push_back(
          {d.prompt, absl::StrCat(d.index), Before(d), Token(d.reference_token),
           Probabilities(d.p_reference, d.q_reference), Token(d.candidate_token),
           Probabilities(d.p_candidate, d.q_candidate), NumberText(d.gap), NumberText(d.allowed),
           d.near_tie ? Badge("plain", "near tie, waived") : Badge("bad", "differs")});
    }
    Markup more;
    if (result.divergences.size() > kShown) {
      more = Paragraph(
          absl::StrCat(result.divergences.size() - kShown, " more are in the JSON report."));
    }
    return table.Render() + more;
  }

  quality::Tokenizer* decoder_;
};

Markup Worst(const Comparison& comparison) {
  WorstPrompts worst(comparison);
  Markup body;
  for (const ConfigurationResult& result : comparison.configurations) body += worst.Of(result);
  return body.empty() ? Paragraph("No position differs.") : body;
}

Markup Layers(const Comparison& comparison) {
  Markup body;
  for (const ConfigurationResult& result : comparison.configurations) {
    if (result.layers.empty()) continue;
    HtmlTable table{.caption = result.configuration.name,
                    .columns = {{"layer"},
                                {"stage"},
                                {"cosine mean", true},
                                {"cosine 1 %", true},
                                {"relative error", true},
                                {"added error / bound", true},
                                {"positions", true},
                                {"zero norms", true}},
                    .rows = {}};
    for (const quality::LayerStage& s : result.layers) {
      table.rows.push_back(
          {s.layer < 0 ? "–" : absl::StrCat(s.layer), s.stage, fmt::format("{:.6f}", s.cosine_mean),
           fmt::format("{:.6f}", s.cosine_q01), NumberText(s.relative_error_mean),
           NumberText(s.added_error_ratio), absl::StrCat(s.positions), absl::StrCat(s.zero_norms)});
    }
    body += Folded(Markup(result.configuration.name) + ": worst " + WorstLayerText(result),
                   table.Render());
  }
  return body.empty() ? Paragraph("No layer was compared.") : body;
}

Markup Outcomes(const ConfigurationResult& result) {
  HtmlTable table{
      .caption = result.configuration.name + ": gates, findings and what was not measured",
      .columns = {{"what"}, {"verdict"}, {"why"}},
      .rows = {}};
  for (const quality::Finding& f : result.findings) {
    table.rows.push_back({f.kind, VerdictBadge(GateVerdict::kFail), f.text});
  }
  for (const quality::GateOutcome& g : result.gates) {
    table.rows.push_back({"gate " + g.gate, VerdictBadge(g.verdict), g.text});
  }
  for (const quality::Skip& s : result.skips) {
    table.rows.push_back({s.track, Badge("plain", "not measured"), s.reason});
  }
  HtmlTable metrics{.caption = "All numbers",
                    .columns = {{"metric"}, {"value", true}, {"count", true}, {"clusters", true}},
                    .rows = {}};
  for (const auto& [name, estimate] : result.metrics) {
    metrics.rows.push_back({name, IntervalText(&estimate), GroupedCount(estimate.count),
                            absl::StrCat(estimate.clusters)});
  }
  return table.Render() + Folded("All numbers of " + result.configuration.name, metrics.Render());
}

Markup Methods(const Comparison& comparison) {
  const quality::CompareOptions& o = comparison.options;
  Markup body = Paragraph(fmt::format(
      "KL(reference‖configuration) in nats over {} prompts of at most {} positions; {} text tokens "
      "in "
      "windows of {} with stride {} (scheme {}), the first {} targets also token by token; {} "
      "greedy "
      "prompts of {} tokens{}; layers of {} prompts. {} Seed {}. Dump mode {}.",
      comparison.inputs.given, o.forced_positions, comparison.inputs.text.size(),
      o.inputs.windows.length, o.inputs.windows.stride,
      quality::kSchemeNames[static_cast<size_t>(o.inputs.windows.scheme)], o.inputs.step_targets,
      comparison.inputs.prompts.size(), o.greedy_tokens, SequentialText(comparison),
      o.layer_prompts, kIntervals, o.seed,
      quality::kLogitModeNames[static_cast<size_t>(comparison.mode)]));
  body += CodeBlock(o.command);
  body += Paragraph("Counts: " + CountsText(comparison) + ".");
  for (const ConfigurationResult& result : comparison.configurations) body += Outcomes(result);
  return body + CostTables(comparison.cost);
}

}  // namespace

std::string ComparePage(const Comparison& comparison) {
  HtmlPage page;
  page.title = "crosscheck compare: " + VerdictWord(OverallVerdict(comparison));
  page.lead = Lead(comparison);
  page.sections = {{"numbers", "Numbers", Numbers(comparison)},
                   {"identity", "Identity", Identity(comparison)},
                   {"plots", "Plots", ComparePlots(comparison)},
                   {"worst", "Worst prompts", Worst(comparison)},
                   {"layers", "Layers", Layers(comparison)},
                   {"methods", "Methods and gates", Methods(comparison)}};
  page.footer = IdentityText(comparison);
  return page.Render();
}

}  // namespace crosscheck
