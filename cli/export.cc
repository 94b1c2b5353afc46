// `crosscheck export CASE DIR`: the model of a case as a Hugging Face folder with prompts, exact
// answers and a script, so that an engine's developer reproduces without crosscheck.
//
// The folder has the form of tests/golden: `crosscheck golden check DIR --engine E` judges it too.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <iostream>
#include <limits>
#include <memory>

#include "absl/strings/str_cat.h"
#include "cli/case_files.h"
#include "cli/repro_script.h"
#include "cli/verb.h"
#include "engines/scratch_folder.h"
#include "fmt/format.h"
#include "fuzz/request_prompts.h"
#include "reference/checkpoint.h"
#include "reference/reference_model.h"
#include "reference/safetensors.h"

namespace crosscheck {
namespace {

struct ExportFlags {
  std::string path, folder;
};

// What the plans of a case ask the engine about one model.
struct ModelQuestions {
  std::shared_ptr<const ModelRecipe> model;
  std::vector<RequestPrompt> prompts;
  Json requests = Json::array();  // as the engine gets them

  void Add(RequestPrompt prompt) {
    const auto known = std::find_if(prompts.begin(), prompts.end(),
                                    [&](const RequestPrompt& p) { return p.ids == prompt.ids; });
    if (known == prompts.end()) {
      prompts.push_back(std::move(prompt));
    } else {
      known->generate = std::max(known->generate, prompt.generate);
    }
  }
};

ModelQuestions QuestionsOf(const CaseFile& file) {
  ModelQuestions questions;
  for (const Property* property : file.properties) {
    for (const Run& run : std::vector<Run>(property->plan(file.value))) {
      if (run.role != Role::kEngine || run.model == nullptr) continue;
      if (questions.model == nullptr) questions.model = run.model;
      if (!(*run.model == *questions.model)) continue;
      if (run.derive) continue;  // follows from answers, so the request is not known
      questions.requests.push_back(run.request.head);
      for (RequestPrompt& prompt : PromptsOf(run.request.head)) questions.Add(std::move(prompt));
    }
  }
  const ModelSpec* spec = questions.model == nullptr ? nullptr : &questions.model->spec;
  std::erase_if(questions.prompts, [&](const RequestPrompt& prompt) {  // what an engine must refuse
    return static_cast<int>(prompt.ids.size()) > spec->max_positions ||
           std::any_of(prompt.ids.begin(), prompt.ids.end(),
                       [&](int32_t id) { return id < 0 || id >= spec->vocab; });
  });
  return questions;
}

Tensor IdTensor(std::string name, const std::vector<int32_t>& ids) {
  const std::vector<int64_t> wide(ids.begin(), ids.end());
  return {.name = std::move(name),
          .dtype = DType::kI64,
          .shape = {static_cast<int64_t>(wide.size())},
          .bytes = std::string(reinterpret_cast<const char*>(wide.data()), 8 * wide.size())};
}

struct Answers {
  std::vector<Tensor> tensors;
  double fp32_error = 0;  // largest of three legal fp32 orders of summation, at least one ULP
};

// The greedy continuation in fp64 after `session` answered `logits`; ends before EOS.
absl::Status AddGreedy(const std::string& name, int count, const ModelSpec& spec, Logits logits,
                       ReferenceSession& session, Answers& answers) {
  std::vector<int32_t> chosen;
  std::vector<double> margins;
  while (static_cast<int>(chosen.size()) < count) {
    std::vector<double> last(logits.row(logits.rows() - 1).begin(),
                             logits.row(logits.rows() - 1).end());
    const int32_t best = ArgMax(last);
    if (best == spec.eos) break;
    std::partial_sort(last.begin(), last.begin() + 2, last.end(), std::greater<>());
    chosen.push_back(best);
    margins.push_back(last[0] - last[1]);
    auto next = session.Extend({.ids = absl::MakeConstSpan(&chosen.back(), 1)});
    if (!next.ok()) return next.status();
    logits = *std::move(next);
  }
  if (chosen.empty()) return absl::OkStatus();
  const auto size = static_cast<int64_t>(margins.size());
  answers.tensors.push_back(IdTensor(name + "greedy_ids", chosen));
  answers.tensors.push_back(MakeTensor(name + "greedy_margin_f64", {size}, margins));
  return absl::OkStatus();
}

absl::Status AddPrompt(const std::string& name, const RequestPrompt& prompt,
                       const ReferenceModel& exact, const std::shared_ptr<const Model>& model,
                       Answers& answers) {
  const auto session = exact.NewSession();
  auto logits = session->Extend({.ids = prompt.ids});
  if (!logits.ok()) return logits.status();
  for (const ExactVariant variant :
       {ExactVariant::kFp32Recurrent, ExactVariant::kFp32ChunkedReversed,
        ExactVariant::kFp32ChunkedPairwise}) {
    auto narrow = MakeExactModel(model, variant);
    if (!narrow.ok()) return narrow.status();
    auto values = (*narrow)->NewSession()->Extend({.ids = prompt.ids});
    if (!values.ok()) return values.status();
    for (size_t i = 0; i < logits->values.size(); ++i) {
      const double exactly = logits->values[i];
      answers.fp32_error = std::max({answers.fp32_error, std::abs(values->values[i] - exactly),
                                     std::abs(exactly) * std::numeric_limits<float>::epsilon()});
    }
  }
  answers.tensors.push_back(IdTensor(name + "input_ids", prompt.ids));
  answers.tensors.push_back(
      MakeTensor(name + "logits_f64", {logits->rows(), logits->vocab}, logits->values));
  const ModelSpec& spec = exact.spec();
  const int count = std::min(prompt.generate, spec.max_positions - session->length());
  return AddGreedy(name, count, spec, *std::move(logits), *session, answers);
}

absl::StatusOr<Answers> Answer(const std::shared_ptr<const Model>& model,
                               const std::vector<RequestPrompt>& prompts) {
  auto exact = MakeExactModel(model, ExactVariant::kFp64);
  if (!exact.ok()) return exact.status();
  Answers answers;
  for (size_t i = 0; i < prompts.size(); ++i) {
    absl::Status status = AddPrompt(absl::StrCat("p", i, "."), prompts[i], **exact, model, answers);
    if (!status.ok()) return status;
  }
  return answers;
}

Json Description(const CaseFile& file, const ModelQuestions& questions, double fp32_error) {
  Json fields = Json::object();
  for (const auto& [name, value] : file.value.subject().fields(file.value)) fields[name] = value;
  Json prompts = Json::array();
  for (const RequestPrompt& prompt : questions.prompts) {
    prompts.push_back({{"ids", prompt.ids}, {"generate", prompt.generate}});
  }
  const bool found = !file.signature.property.empty();
  return {{"schema", 1},
          {"case", file.path},
          {"subject", file.value.subject().name},
          {"signature", found ? file.signature.ToString() : ""},
          {"engine", file.engine},
          {"build", BuildId()},
          {"prompts", prompts},
          {"requests", questions.requests},
          {"errors", {{"logits_f32_vs_f64", fp32_error}}},
          {"fields", fields}};
}

absl::Status WriteExport(const CaseFile& file, const ModelQuestions& questions,
                         const std::string& folder) {
  const auto model = std::make_shared<const Model>(GenerateModel(*questions.model));
  auto answers = Answer(model, questions.prompts);
  if (!answers.ok()) return answers.status();
  absl::Status status = WriteCheckpoint(*model, folder);
  status.Update(WriteFile(folder + "/expected.safetensors", EncodeSafetensors(answers->tensors)));
  status.Update(WriteFile(folder + "/golden.json",
                          Description(file, questions, answers->fp32_error).dump(1) + "\n"));
  status.Update(WriteFile(folder + "/repro.py", kReproScript));
  auto text = ReadFile(file.path);
  if (!text.ok()) return text.status();
  status.Update(WriteFile(folder + "/exported.case", *text));
  return status;
}

// Everything is written beside the target, which appears at once or not at all.
int RunExport(const ExportFlags& flags) {
  auto file = ReadCaseFile(flags.path);
  if (!file.ok()) return Fail(file.status());
  const ModelQuestions questions = QuestionsOf(*file);
  if (questions.model == nullptr) {
    return Fail(absl::InvalidArgumentError(absl::StrCat(
        flags.path, ": subject ", std::string(file->value.subject().name),
        " runs no model, so there is no checkpoint to export; `crosscheck show` prints its fields "
        "and answers")));
  }
  std::error_code error;
  std::string target = flags.folder;
  while (target.size() > 1 && target.back() == '/') target.pop_back();
  if (std::filesystem::exists(target, error) && !std::filesystem::is_empty(target, error)) {
    return Fail(absl::AlreadyExistsError(target + " exists and is not empty; name a new folder"));
  }
  const std::string partial = absl::StrCat(target, ".partial-", getpid());
  absl::Status status = WriteExport(*file, questions, partial);
  if (status.ok()) {
    std::filesystem::rename(partial, target, error);
    if (error) status = absl::UnavailableError("cannot create " + target + ": " + error.message());
  }
  if (!status.ok()) {
    RemoveTree(partial.c_str());
    return Fail(status);
  }
  std::cout << fmt::format(
      "{}: {} prompt(s), config.json, model.safetensors, tokenizer.json, expected.safetensors\n"
      "  python3 {}/repro.py                       # shows the expected values\n"
      "  crosscheck golden check {} --engine ENGINE\n",
      target, questions.prompts.size(), target, target);
  return kExitClean;
}

}  // namespace

void AddExport(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<ExportFlags>();
  CLI::App* verb = app.add_subcommand(
      "export", "A case as a Hugging Face folder with exact answers and a script");
  verb->add_option("case", flags->path, "A case file")->required();
  verb->add_option("folder", flags->folder, "Folder to create")->required();
  verb->footer(
      "Examples:\n"
      "  crosscheck export findings/logit_closeness/x.case repro && python3 repro/repro.py\n"
      "  crosscheck export x.case repro && crosscheck golden check repro --engine lattice");
  verb->callback([flags, &exit_code] { exit_code = RunExport(*flags); });
}

}  // namespace crosscheck
