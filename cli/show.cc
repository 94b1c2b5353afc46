// `crosscheck show`: what a case is and what each implementation answered, with its error against
// the exact model.
#include <cmath>
#include <iostream>
#include <map>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/case_files.h"
#include "cli/verb.h"
#include "fmt/format.h"
#include "fuzz/executor.h"
#include "fuzz/run_case.h"
#include "reference/reference_model.h"

namespace crosscheck {
namespace {

struct ShowFlags {
  std::string path;
  std::string engine;
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

// The position of each row of the i-th `logits.<i>` tensor, where the answer says it.
std::vector<int> RowPositions(const Message& message, const Tensor& tensor) {
  std::vector<int> rows(tensor.shape.empty() ? 0 : tensor.shape[0]);
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int>(i);
  auto positions = message.head.find("positions");
  if (positions == message.head.end() || !positions->is_array() ||
      tensor.name.rfind("logits.", 0) != 0)
    return rows;
  size_t sequence = std::strtoul(tensor.name.c_str() + 7, nullptr, 10);
  if (sequence >= positions->size() || (*positions)[sequence].size() != rows.size()) return rows;
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = (*positions)[sequence][i].get<int>();
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
  parts.reserve(reply.message.tensors.size() + 2);
  for (const Tensor& tensor : reply.message.tensors) {
    parts.push_back(absl::StrCat(tensor.name, " [", absl::StrJoin(tensor.shape, ", "), "]"));
  }
  if (reply.message.head.contains("ids"))
    parts.push_back("ids " + reply.message.head["ids"].dump());
  std::optional<double> worst;
  if (exact != nullptr) worst = WorstDifference(*exact, reply.message);
  if (worst) parts.push_back(fmt::format("largest difference from exact {:.3e}", *worst));
  return absl::StrJoin(parts, ", ");
}

nlohmann::json ShowAnswers(const CaseFile& file, const Property& property, Executor& executor) {
  std::vector<Run> plan = property.plan(file.value);
  std::vector<std::pair<Role, std::string>> names;
  names.reserve(plan.size());
  for (const Run& run : plan) names.emplace_back(run.role, RunName(run, executor.engine_name()));
  auto observations = executor.Observe(std::move(plan), true);
  const Message* exact = nullptr;
  for (size_t i = 0; i < names.size() && exact == nullptr; ++i) {
    if (names[i].first == Role::kExact && (*observations)[i].ok())
      exact = &(*observations)[i].message;
  }
  nlohmann::json answers = nlohmann::json::array();
  for (size_t i = 0; i < names.size(); ++i) {
    std::string text =
        observations->Available(i)
            ? Summary((*observations)[i], names[i].first == Role::kExact ? nullptr : exact)
            : "is the engine under test";
    std::cout << fmt::format("  {:28} {}\n", names[i].second, text);
    answers.push_back({{"implementation", names[i].second}, {"answer", text}});
  }
  return answers;
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
  return {{"property", property.name},
          {"answers", answers},
          {"verdict", kVerdictKindNames[static_cast<int>(verdict.kind)]},
          {"signature", verdict.IsFinding() ? verdict.signature.ToString() : ""},
          {"message", verdict.message},
          {"bucket", verdict.bucket},
          {"measures", measures}};
}

int RunShow(const ShowFlags& flags) {
  auto file = ReadCaseFile(flags.path);
  if (!file.ok()) return Fail(file.status());
  const std::string engine = file->EngineOr(flags.engine);
  auto executor = Executor::Create({.engine = engine, .deadline_seconds = flags.deadline});
  if (!executor.ok()) return Fail(executor.status());
  const Subject& subject = file->value.subject();
  std::cout << subject.print(file->value)
            << "\nlabels: " << absl::StrJoin(subject.labels(file->value), ", ") << "\n";
  nlohmann::json json = {{"schema", 1},
                         {"command", "show"},
                         {"case", flags.path},
                         {"engine", engine},
                         {"properties", nlohmann::json::array()}};
  for (const Property* property : file->properties)
    json["properties"].push_back(ShowProperty(*file, *property, **executor));
  absl::Status written = WriteJson(json, flags.json);
  return written.ok() ? kExitClean : Fail(written);
}

}  // namespace

void AddShow(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<ShowFlags>();
  CLI::App* verb =
      app.add_subcommand("show", "What a case is and what each implementation answered");
  verb->add_option("case", flags->path, "A case file")->required();
  verb->add_option("--engine", flags->engine, "Engine (default: the one the file records)");
  verb->add_option("--deadline", flags->deadline, "Seconds per engine message")
      ->check(CLI::PositiveNumber);
  verb->add_option("--json", flags->json, "Write JSON to a file, '-' for stdout");
  verb->footer(
      "Examples:\n"
      "  crosscheck show corpus/regressions/logit_closeness/x.case\n"
      "  crosscheck show seeds/boundary_lengths.case --engine torch");
  verb->callback([flags, &exit_code] { exit_code = RunShow(*flags); });
}

}  // namespace crosscheck
