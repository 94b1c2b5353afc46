#include "reference/golden.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "reference/checkpoint.h"
#include "reference/golden_judge.h"
#include "reference/golden_recording.h"

namespace crosscheck {
namespace {

// Keeps every stage of one Extend under "<layer>.<stage>".
class StageCollector : public TapSink {
 public:
  bool Wants(int /*layer*/, std::string_view /*stage*/) const override { return true; }
  void Tap(int layer, std::string_view stage, std::vector<int64_t> /*shape*/,
           std::vector<double> values) override {
    values_[absl::StrCat(layer, ".", std::string(stage))] = std::move(values);
  }
  const std::vector<double>* Find(int layer, std::string_view stage) const {
    const auto found = values_.find(absl::StrCat(layer, ".", std::string(stage)));
    return found == values_.end() ? nullptr : &found->second;
  }

 private:
  std::map<std::string, std::vector<double>> values_;
};

std::vector<double> Margins(const std::vector<double>& rows, size_t vocab) {
  std::vector<double> margins;
  for (size_t at = 0; at + vocab <= rows.size(); at += vocab) {
    std::vector<double> row(rows.begin() + static_cast<int64_t>(at),
                            rows.begin() + static_cast<int64_t>(at + vocab));
    std::partial_sort(row.begin(), row.begin() + 2, row.end(), std::greater<>());
    margins.push_back(row[0] - row[1]);
  }
  return margins;
}

// Runs one implementation through everything that one golden records.
class ImplementationCheck {
 public:
  ImplementationCheck(const ReferenceModel& model, GoldenRecording* recording, GoldenJudge* judge)
      : model_(model), recording_(recording), judge_(judge) {}

  absl::Status Run() {
    for (int p = 0; recording_->Has(absl::StrCat("p", p, ".input_ids")); ++p) {
      const std::string prompt = absl::StrCat("p", p, ".");
      absl::StatusOr<std::vector<int32_t>> ids = recording_->Ids(prompt + "input_ids");
      if (!ids.ok()) return ids.status();
      for (const absl::Status& status :
           {CheckPrefill(prompt, *ids), CheckDecode(prompt, *ids), CheckGreedy(prompt, *ids)}) {
        if (!status.ok()) return status;
      }
    }
    if (absl::Status status = CheckStages(); !status.ok()) return status;
    return CheckPadding();
  }

 private:
  absl::Status CheckPrefill(const std::string& prompt, absl::Span<const int32_t> ids) {
    StageCollector stages;
    const std::unique_ptr<ReferenceSession> session = model_.NewSession();
    absl::StatusOr<Logits> logits = session->Extend({.ids = ids, .taps = &stages});
    if (!logits.ok()) return logits.status();
    if (absl::Status status = judge_->Compare(prompt + "logits_f64", "logits", logits->values);
        !status.ok()) {
      return status;
    }
    if (absl::Status status = CheckStates(prompt, *session); !status.ok()) return status;
    if (absl::Status status = CheckMixture(prompt, stages); !status.ok()) return status;
    return judge_->Compare(prompt + "hidden_f64", "hidden", HiddenRows(stages));
  }

  // Embedding, the residual stream after every layer, and after the final norm.
  std::vector<double> HiddenRows(const StageCollector& stages) const {
    std::vector<double> rows;
    const auto append = [&](int layer, std::string_view stage) {
      if (const std::vector<double>* values = stages.Find(layer, stage)) {
        rows.insert(rows.end(), values->begin(), values->end());
      }
    };
    append(-1, "embedding");
    for (size_t i = 0; i < model_.spec().layers.size(); ++i) {
      append(static_cast<int>(i), "layer_out");
    }
    append(-1, "final_norm");
    return rows;
  }

  absl::Status CheckStates(const std::string& prompt, const ReferenceSession& session) {
    std::map<std::string, Tensor> states;
    for (Tensor& state : session.States()) {
      std::string name = state.name;
      states[name] = std::move(state);
    }
    const std::string prefix = prompt + "state.";
    for (const std::string& name : recording_->Names(prefix, ".f64")) {
      const auto found = states.find(name.substr(prefix.size(), name.size() - prefix.size() - 4));
      std::vector<double> values;
      if (found == states.end()) {
        judge_->Fail(absl::StrCat(name, ": the session has no such state"));
      } else if (found->second.shape != recording_->Shape(name)) {
        judge_->Fail(absl::StrCat(name, ": the session's state has another shape"));
      } else {
        absl::StatusOr<std::vector<double>> wide = found->second.ToDoubles();
        if (!wide.ok()) return wide.status();
        values = *std::move(wide);
      }
      if (absl::Status status = judge_->Compare(name, GoldenKind(name), values); !status.ok()) {
        return status;
      }
    }
    return absl::OkStatus();
  }

  // "p0.moe.layer2.<what>": what a mixture of experts computed. The chosen experts are compared as
  // sets, and their weights by expert.
  absl::Status CheckMixture(const std::string& prompt, const StageCollector& stages) {
    const std::string prefix = prompt + "moe.layer";
    for (const std::string& name : recording_->Names(prefix, "")) {
      const size_t dot = name.find('.', prefix.size());
      int layer = -1;
      if (!absl::SimpleAtoi(name.substr(prefix.size(), dot - prefix.size()), &layer)) continue;
      std::string what = name.substr(dot + 1);
      if (absl::EndsWith(what, ".f32")) continue;  // the source of a tolerance
      what = what.substr(0, what.rfind(".f64"));
      const std::vector<double>* values =
          stages.Find(layer, what == "mlp_out" ? what : "moe." + what);
      if (values == nullptr) judge_->Fail(absl::StrCat(name, ": no tap of this layer and stage"));
      absl::Status status;
      if (what == "selected" || what == "router_weights") {
        status = CompareChoices(name, what, prefix + std::to_string(layer) + ".selected", values,
                                stages.Find(layer, "moe.selected"));
      } else {
        status = judge_->Compare(name, GoldenKind(name),
                                 values == nullptr ? std::vector<double>() : *values);
      }
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  // Both sides of `name` in the order of their experts.
  absl::Status CompareChoices(const std::string& name, const std::string& what,
                              const std::string& recorded_experts,
                              const std::vector<double>* values,
                              const std::vector<double>* experts) {
    absl::StatusOr<std::vector<int32_t>> recorded = recording_->Ids(recorded_experts);
    if (!recorded.ok()) return recorded.status();
    const std::vector<double> expected_experts(recorded->begin(), recorded->end());
    absl::StatusOr<std::vector<double>> expected = expected_experts;
    if (what != "selected") expected = recording_->Values(name);
    if (!expected.ok()) return expected.status();
    const auto k = static_cast<size_t>(model_.spec().experts_per_token);
    if (values == nullptr || experts == nullptr || values->size() != expected->size() ||
        experts->size() != expected_experts.size() || values->size() != experts->size()) {
      judge_->Fail(name + ": other choices");
      return absl::OkStatus();
    }
    const std::vector<double> actual = ByExpert(*values, *experts, k);
    *expected = ByExpert(*expected, expected_experts, k);
    if (what != "selected") {
      judge_->Record(name, GoldenKind(name), actual, *expected);
    } else if (actual != *expected) {
      judge_->Fail(name + ": other experts");
    }
    return absl::OkStatus();
  }

  // Rows of k values, each sorted by the expert that it belongs to.
  static std::vector<double> ByExpert(const std::vector<double>& values,
                                      const std::vector<double>& experts, size_t k) {
    std::vector<double> sorted;
    for (size_t row = 0; row + k <= values.size(); row += k) {
      std::vector<std::pair<double, double>> pairs;
      for (size_t i = row; i < row + k; ++i) pairs.emplace_back(experts[i], values[i]);
      std::sort(pairs.begin(), pairs.end());
      for (const auto& [expert, value] : pairs) sorted.push_back(value);
    }
    return sorted;
  }

  // One token at a time from an empty session, against the logits of the prefill.
  absl::Status CheckDecode(const std::string& prompt, absl::Span<const int32_t> ids) {
    const std::unique_ptr<ReferenceSession> session = model_.NewSession();
    std::vector<double> rows;
    for (size_t i = 0; i < ids.size(); ++i) {
      absl::StatusOr<Logits> logits = session->Extend({.ids = ids.subspan(i, 1)});
      if (!logits.ok()) return logits.status();
      rows.insert(rows.end(), logits->values.begin(), logits->values.end());
    }
    return judge_->Compare(prompt + "logits_f64", "decode_logits", rows);
  }

  absl::Status CheckGreedy(const std::string& prompt, absl::Span<const int32_t> ids) {
    if (!recording_->Has(prompt + "greedy_ids")) return absl::OkStatus();
    absl::StatusOr<std::vector<int32_t>> expected = recording_->Ids(prompt + "greedy_ids");
    if (!expected.ok()) return expected.status();
    const std::unique_ptr<ReferenceSession> session = model_.NewSession();
    std::vector<int32_t> chosen;
    std::vector<double> rows;
    absl::StatusOr<Logits> logits = session->Extend({.ids = ids, .all_positions = false});
    while (true) {
      if (!logits.ok()) return logits.status();
      rows.insert(rows.end(), logits->values.begin(), logits->values.end());
      chosen.push_back(ArgMax(logits->row(0)));
      if (chosen.size() == expected->size()) break;
      logits = session->Extend({.ids = absl::MakeConstSpan(&chosen.back(), 1)});
    }
    if (chosen != *expected) judge_->Fail(prompt + "greedy_ids: other tokens");
    absl::Status status = judge_->Compare(prompt + "greedy_logits_f64", "greedy_logits", rows);
    status.Update(judge_->Compare(prompt + "greedy_margin_f64", "greedy_margin",
                                  Margins(rows, static_cast<size_t>(model_.spec().vocab))));
    return status;
  }

  absl::Status CheckStages() {
    if (!recording_->Has("stage.input_ids")) return absl::OkStatus();
    absl::StatusOr<std::vector<int32_t>> ids = recording_->Ids("stage.input_ids");
    if (!ids.ok()) return ids.status();
    StageCollector stages;
    absl::StatusOr<Logits> logits = model_.NewSession()->Extend({.ids = *ids, .taps = &stages});
    if (!logits.ok()) return logits.status();
    const std::string prefix = "stage.layer";
    for (const std::string& name : recording_->Names(prefix, ".f64")) {
      const size_t dot = name.find('.', prefix.size());
      int layer = -1;
      if (!absl::SimpleAtoi(name.substr(prefix.size(), dot - prefix.size()), &layer)) continue;
      const std::string stage = name.substr(dot + 1, name.size() - dot - 5);
      const std::vector<double>* values = stages.Find(layer, stage);
      if (values == nullptr) judge_->Fail(absl::StrCat(name, ": no tap of this layer and stage"));
      const absl::Status status = judge_->Compare(
          name, GoldenKind(name), values == nullptr ? std::vector<double>() : *values);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  // A left-padded batch, one session per row. Rows of masked positions mean nothing and are not
  // compared.
  absl::Status CheckPadding() {
    if (!recording_->Has("pad.input_ids")) return absl::OkStatus();
    absl::StatusOr<std::vector<int32_t>> ids = recording_->Ids("pad.input_ids");
    absl::StatusOr<std::vector<int32_t>> mask = recording_->Ids("pad.attention_mask");
    absl::StatusOr<std::vector<double>> logits = recording_->Values("pad.logits_f64");
    for (const absl::Status& status : {ids.status(), mask.status(), logits.status()}) {
      if (!status.ok()) return status;
    }
    const std::vector<int64_t>& shape = recording_->Shape("pad.input_ids");
    const size_t length = shape.empty() ? 0 : static_cast<size_t>(shape.back());
    const auto vocab = static_cast<size_t>(model_.spec().vocab);
    if (length == 0 || mask->size() != ids->size() || logits->size() != ids->size() * vocab) {
      return absl::InvalidArgumentError(
          "expected.safetensors: the shapes of pad.* do not fit together");
    }
    std::vector<double> actual;
    std::vector<double> expected;
    for (size_t row = 0; row < ids->size(); row += length) {
      const std::vector<uint8_t> row_mask(mask->begin() + static_cast<int64_t>(row),
                                          mask->begin() + static_cast<int64_t>(row + length));
      absl::StatusOr<Logits> answer = model_.NewSession()->Extend(
          {.ids = absl::MakeConstSpan(*ids).subspan(row, length), .mask = row_mask});
      if (!answer.ok()) return answer.status();
      for (size_t i = 0; i < length; ++i) {
        if (row_mask[i] == 0) continue;
        const absl::Span<const double> values = answer->row(static_cast<int>(i));
        actual.insert(actual.end(), values.begin(), values.end());
        const auto from = logits->begin() + static_cast<int64_t>((row + i) * vocab);
        expected.insert(expected.end(), from, from + static_cast<int64_t>(vocab));
      }
    }
    judge_->Record("pad.logits_f64", "pad.logits", actual, expected);
    return absl::OkStatus();
  }

  const ReferenceModel& model_;
  GoldenRecording* recording_;
  GoldenJudge* judge_;
};

// Without a tensor that was compared an implementation was not judged.
void KeepWhatWasCompared(GoldenJudge& judge, GoldenResult* result) {
  GoldenImplementationResult worst = judge.TakeWorst();
  if (!worst.worst.empty()) result->implementations.push_back(std::move(worst));
}

absl::Status CheckImplementation(const GoldenImplementation& implementation,
                                 const std::string& folder,
                                 const std::shared_ptr<const Model>& model,
                                 GoldenRecording* recording, GoldenResult* result) {
  if (implementation.check) {
    GoldenJudge judge(implementation, recording, result);
    absl::Status status = implementation.check(folder, *recording, judge);
    KeepWhatWasCompared(judge, result);
    return status;
  }
  absl::StatusOr<std::unique_ptr<ReferenceModel>> reference = implementation.make(model);
  if (!reference.ok()) return reference.status();
  GoldenJudge judge(implementation, recording, result);
  absl::Status status = ImplementationCheck(**reference, recording, &judge).Run();
  KeepWhatWasCompared(judge, result);
  return status;
}

}  // namespace

absl::StatusOr<GoldenResult> CheckGolden(const std::string& folder,
                                         absl::Span<const GoldenImplementation> implementations) {
  GoldenResult result;
  const std::filesystem::path path(folder);
  result.name = (path.has_filename() ? path : path.parent_path()).filename().string();
  absl::StatusOr<Model> model = ReadCheckpoint(folder);
  if (absl::IsUnimplemented(model.status())) {
    result.skipped.push_back({"", std::string(model.status().message())});
    return result;
  }
  if (!model.ok()) return model.status();
  absl::StatusOr<GoldenRecording> recording =
      GoldenRecording::Read((path / "expected.safetensors").string());
  if (!recording.ok()) return recording.status();
  const auto shared = std::make_shared<const Model>(*std::move(model));
  for (const GoldenImplementation& implementation : implementations) {
    const absl::Status status =
        CheckImplementation(implementation, folder, shared, &*recording, &result);
    if (!status.ok()) {
      return absl::Status(status.code(), absl::StrCat(folder, ": ", implementation.name, ": ",
                                                      std::string(status.message())));
    }
  }
  for (GoldenSkip& skip : recording->skipped()) result.skipped.push_back(std::move(skip));
  for (const std::string& name : recording->Unaccounted()) {
    result.failures.push_back(absl::StrCat(name, ": neither compared nor skipped"));
  }
  return result;
}

nlohmann::json GoldenResultsToJson(absl::Span<const GoldenResult> results) {
  nlohmann::json goldens = nlohmann::json::array();
  for (const GoldenResult& result : results) {
    nlohmann::json implementations = nlohmann::json::array();
    for (const GoldenImplementationResult& implementation : result.implementations) {
      nlohmann::json worst = nlohmann::json::object();
      for (const auto& [kind, error] : implementation.worst) {
        worst[kind] = {{"absolute", error.absolute},
                       {"relative", error.relative},
                       {"of_tolerance", error.of_tolerance}};
      }
      implementations.push_back({{"name", implementation.name}, {"worst", std::move(worst)}});
    }
    nlohmann::json skipped = nlohmann::json::array();
    for (const GoldenSkip& skip : result.skipped) {
      const bool whole = skip.tensor.empty();
      skipped.push_back({{whole ? "golden" : "tensor", whole ? result.name : skip.tensor},
                         {"reason", skip.reason}});
    }
    goldens.push_back({{"name", result.name},
                       {"judged", result.judged()},
                       {"implementations", std::move(implementations)},
                       {"skipped", std::move(skipped)},
                       {"failures", result.failures},
                       {"notes", result.notes}});
  }
  return {{"goldens", std::move(goldens)}};
}

}  // namespace crosscheck
