// `crosscheck show`: what a case is and what each implementation answered, with its error against
// the exact model.
#include <algorithm>
#include <cmath>
#include <iostream>
#include <map>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/case_files.h"
#include "cli/reports/run_report.h"
#include "cli/verb.h"
#include "fmt/format.h"
#include "fuzz/executor.h"
#include "fuzz/localise.h"
#include "fuzz/run_case.h"
#include "reference/reference_model.h"

namespace crosscheck {
namespace {

struct ShowFlags {
  std::string path;
  std::string engine, subject;
  std::string json;
  double deadline = 10;
};

std::string RunName(const Run& run, const std::string& engine) {
  switch (run.role) {
    case Role::kEngine:
      return engine;
    case Role::kExact:
      return "exact";
    case Role::kTorch:
      return absl::StrCat("torch:", std::string(kTorchPrecisionNames[run.variant]));
    case Role::kPerturbed:
      return absl::StrCat("exact:", std::string(kExactVariantNames[run.variant]));
  }
  return "?";
}

// The position of each row of the i-th `logits.<i>` tensor, where the answer says it, counted back
// from the last one: a padded prompt and the same without its padding end alike.
std::vector<int> RowPositions(const Message& message, const Tensor& tensor) {
  std::vector<int> rows(tensor.shape.empty() ? 0 : tensor.shape[0]);
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int>(i + 1 - rows.size());
  auto positions = message.head.find("positions");
  if (positions == message.head.end() || !positions->is_array() ||
      tensor.name.rfind("logits.", 0) != 0)
    return rows;
  size_t sequence = std::strtoul(tensor.name.c_str() + 7, nullptr, 10);
  if (sequence >= positions->size() || (*positions)[sequence].size() != rows.size()) return rows;
  const int last = rows.empty() ? 0 : (*positions)[sequence].back().get<int>();
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = (*positions)[sequence][i].get<int>() - last;
  return rows;
}

// Largest absolute difference over the rows that both answers hold; nothing when they share none.
std::optional<double> WorstDifference(const Message& exact, const Message& other) {
  std::optional<double> worst;
  for (const Tensor& tensor : other.tensors) {
    const Tensor* same = exact.Find(tensor.name);
    if (same == nullptr || same->shape.size() != 2 || tensor.shape.size() != 2 ||
        same->shape[1] != tensor.shape[1])
      continue;
    auto a = same->ToDoubles();
    auto b = tensor.ToDoubles();
    if (!a.ok() || !b.ok()) continue;
    size_t width = tensor.shape[1];
    std::map<int, size_t> exact_row;
    std::vector<int> exact_positions = RowPositions(exact, *same);
    for (size_t i = 0; i < exact_positions.size(); ++i) exact_row[exact_positions[i]] = i;
    std::vector<int> positions = RowPositions(other, tensor);
    for (size_t i = 0; i < positions.size(); ++i) {
      auto row = exact_row.find(positions[i]);
      if (row == exact_row.end()) continue;
      for (size_t j = 0; j < width; ++j) {
        double difference = std::abs((*a)[row->second * width + j] - (*b)[i * width + j]);
        worst = std::isnan(difference) ? INFINITY : std::max(worst.value_or(0), difference);
      }
    }
  }
  return worst;
}

std::string Summary(const Reply& reply, const Message* exact) {
  if (!reply.ok()) {
    return fmt::format("{}: {}", kFailureKindNames[static_cast<int>(reply.failure->kind)],
                       reply.failure->message);
  }
  std::vector<std::string> parts;
  constexpr size_t kShownTensors = 4;
  const size_t tensors = reply.message.tensors.size();
  for (size_t i = 0; i < std::min(tensors, kShownTensors); ++i) {
    const Tensor& tensor = reply.message.tensors[i];
    parts.push_back(absl::StrCat(tensor.name, " [", absl::StrJoin(tensor.shape, ", "), "]"));
  }
  if (tensors > kShownTensors) {
    parts.push_back(absl::StrCat("… ", tensors - kShownTensors, " more tensors"));
  }
  if (reply.message.head.contains("ids"))
    parts.push_back("ids " + reply.message.head["ids"].dump());
  std::optional<double> worst;
  if (exact != nullptr) worst = WorstDifference(*exact, reply.message);
  if (worst) parts.push_back(fmt::format("largest difference from exact {:.3e}", *worst));
  return absl::StrJoin(parts, ", ");
}

// The dozens of references on nudged weights, in one line.
struct NudgedRuns {
  int count = 0, failed = 0;
  std::optional<double> worst;

  void Add(const Reply& reply, const Message* exact) {
    ++count;
    failed += !reply.ok();
    if (!reply.ok() || exact == nullptr) return;
    if (const auto difference = WorstDifference(*exact, reply.message)) {
      worst = std::max(worst.value_or(0), *difference);
    }
  }
  std::string Summary() const {
    std::string text = absl::StrCat(count, " runs");
    if (failed > 0) absl::StrAppend(&text, ", ", failed, " failed");
    if (worst) text += fmt::format(", largest difference from exact {:.3e}", *worst);
    return text;
  }
};

nlohmann::json ShowAnswers(const CaseFile& file, const Property& property, Executor& executor) {
  const std::vector<Run> plan = property.plan(file.value);
  auto observations = executor.Observe(plan, true);
  const Message* exact = nullptr;
  for (size_t i = 0; i < plan.size() && exact == nullptr; ++i) {
    if (plan[i].role == Role::kExact && (*observations)[i].ok())
      exact = &(*observations)[i].message;
  }
  nlohmann::json answers = nlohmann::json::array();
  const auto print = [&answers](const std::string& name, const std::string& text) {
    std::cout << fmt::format("  {:28} {}\n", name, text);
    answers.push_back({{"implementation", name}, {"answer", text}});
  };
  NudgedRuns nudged;
  for (size_t i = 0; i < plan.size(); ++i) {
    if (plan[i].nudge > 0) {
      nudged.Add((*observations)[i], exact);
      continue;
    }
    print(RunName(plan[i], executor.engine_name()),
          observations->Available(i)
              ? Summary((*observations)[i], plan[i].role == Role::kExact ? nullptr : exact)
              : "is the engine under test");
  }
  if (nudged.count > 0) print("exact:fp32, nudged weights", nudged.Summary());
  return answers;
}

// The first bad stage and the worst ones, as a table; adds their keys to `json`.
void ShowPlace(const Localisation& place, nlohmann::json& json) {
  std::cout << "  " << place.ToLine() << "\n";
  nlohmann::json worst = nlohmann::json::array();
  constexpr size_t kShownStages = 8;
  for (size_t i = 0; i < std::min(kShownStages, place.stages.size()); ++i) {
    const StageError& s = place.stages[i];
    if (i == 0) {
      std::cout << fmt::format("    {:>5}  {:30}{:>12}{:>12}{:>12}\n", "layer", "stage",
                               "added error", "bound", "ratio");
    }
    std::cout << fmt::format("    {:>5}  {:30}{:>12.3e}{:>12.3e}{:>12.3g}\n",
                             s.layer < 0 ? "-" : absl::StrCat(s.layer), s.stage, s.added_error,
                             s.bound, s.ratio);
    worst.push_back({{"layer", s.layer},
                     {"stage", s.stage},
                     {"added_error", s.added_error},
                     {"bound", s.bound},
                     {"ratio", s.ratio}});
  }
  json["first_bad"] = FirstBadJson(place.first_bad);
  json["stages"] = worst;
  json["localised"] = place.ToLine();
}

nlohmann::json ShowProperty(const CaseFile& file, const Property& property, Executor& executor) {
  std::cout << "\n" << property.name << "\n";
  nlohmann::json answers = ShowAnswers(file, property, executor);
  Verdict verdict = RunCase(property, file.value, executor);
  std::cout << fmt::format("  verdict {}{}\n", kVerdictKindNames[static_cast<int>(verdict.kind)],
                           verdict.IsFinding() ? " " + verdict.signature.ToString() : "");
  if (!verdict.message.empty()) std::cout << "  " << verdict.message << "\n";
  nlohmann::json measures = nlohmann::json::array();
  for (const Measure& m : verdict.measures) {
    std::cout << fmt::format("  {:10} {:16} error {:.3e}, bound {:.3e}{}\n", m.path, m.metric,
                             m.error, m.bound,
                             m.bound > 0 ? fmt::format(", ratio {:.3f}", m.error / m.bound) : "");
    measures.push_back(
        {{"metric", m.metric}, {"path", m.path}, {"error", m.error}, {"bound", m.bound}});
  }
  nlohmann::json json = {{"property", property.name},
                         {"answers", answers},
                         {"verdict", kVerdictKindNames[static_cast<int>(verdict.kind)]},
                         {"signature", verdict.IsFinding() ? verdict.signature.ToString() : ""},
                         {"message", verdict.message},
                         {"bucket", verdict.bucket},
                         {"measures", measures}};
  if (CanLocalise(property, file.value, verdict)) {
    ShowPlace(Localise(property, file.value, verdict, executor), json);
  }
  return json;
}

int RunShow(const ShowFlags& flags) {
  auto opened = OpenCase(flags.path, flags.subject, flags.engine, flags.deadline);
  if (!opened.ok()) return Fail(opened.status());
  const CaseFile& file = opened->file;
  const Subject& subject = file.value.subject();
  std::cout << subject.print(file.value)
            << "\nlabels: " << absl::StrJoin(subject.labels(file.value), ", ") << "\n";
  nlohmann::json json = {{"schema", 1},
                         {"command", "show"},
                         {"case", flags.path},
                         {"engine", opened->engine},
                         {"properties", nlohmann::json::array()}};
  for (const Property* property : file.properties)
    json["properties"].push_back(ShowProperty(file, *property, *opened->executor));
  absl::Status written = WriteJson(json, flags.json);
  return written.ok() ? kExitClean : Fail(written);
}

}  // namespace

void AddShow(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<ShowFlags>();
  CLI::App* verb =
      app.add_subcommand("show", "What a case is and what each implementation answered");
  verb->add_option("case", flags->path, "A case file, or an input of a fuzz target (--subject)")
      ->required();
  verb->add_option("--engine", flags->engine, "Engine (default: the one the file records)");
  verb->add_option("--subject", flags->subject, kSubjectHelp);
  verb->add_option("--deadline", flags->deadline, "Seconds per engine message")
      ->check(CLI::PositiveNumber);
  verb->add_option("--json", flags->json, "Write JSON to a file, '-' for stdout");
  verb->footer(
      "Examples:\n"
      "  crosscheck show corpus/regressions/logit_closeness/x.case\n"
      "  crosscheck show seeds/boundary_lengths.case --engine torch\n"
      "  crosscheck show crash-0a1b2c --subject model_run");
  verb->callback([flags, &exit_code] { exit_code = RunShow(*flags); });
}

}  // namespace crosscheck
