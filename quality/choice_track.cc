#include "quality/choice_track.h"

#include <array>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "quality/metrics/choice.h"
#include "quality/position_stat.h"

namespace crosscheck::quality {
namespace {

constexpr size_t kTargetColumn = 6;  // target_logprob in kStatColumnNames
constexpr const char* kSuffixes[] = {"", "_norm", "_bytes", "_tok"};

// What one side answered to the questions of a task.
struct Answers {
  std::array<std::vector<int>, kNormalisations> picks;  // by normalisation, [questions]
  std::vector<double> gold;  // log-likelihood of the right choice, [questions]
};

absl::StatusOr<double> LogLikelihood(DumpReader& dump, const std::string& track, int item) {
  auto stat = dump.Read(track, item, "stat");
  if (!stat.ok()) return stat.status();
  const auto values = (*stat)->As<double>();
  double sum = 0;
  for (size_t at = kTargetColumn; at < values.size(); at += kStatColumns) sum += values[at];
  return sum;
}

absl::StatusOr<Answers> ReadAnswers(DumpReader& dump, const TaskRequests& task) {
  Answers answers;
  const std::string track = ChoiceTrack(task).name;
  int item = 0;
  for (const Question& question : task.task.questions) {
    std::vector<Choice> choices;
    for (const std::string& text : question.choices) {
      auto likelihood = LogLikelihood(dump, track, item);
      if (!likelihood.ok()) return likelihood.status();
      choices.push_back({*likelihood, text, task.requests[static_cast<size_t>(item)].scored});
      ++item;
    }
    const Picks picks = PickChoices(choices);
    for (size_t n = 0; n < kNormalisations; ++n) answers.picks[n].push_back(picks[n]);
    answers.gold.push_back(choices[static_cast<size_t>(question.gold)].log_likelihood);
  }
  return answers;
}

Estimate Share(const std::vector<int>& picks, const std::vector<int>& gold) {
  std::vector<bool> correct;
  correct.reserve(picks.size());
  for (size_t i = 0; i < picks.size(); ++i) correct.push_back(picks[i] == gold[i]);
  const Accuracy accuracy = AccuracyOf(correct);
  Estimate estimate{.value = accuracy.value};
  estimate.count = accuracy.correct;
  estimate.clusters = static_cast<int>(accuracy.questions);
  estimate.standard_error = accuracy.standard_error;
  return estimate;
}

void AddPaired(const std::string& task, bool only, const Answers& ours, const Answers& theirs,
               const std::vector<int>& gold, ConfigurationResult& result) {
  const PairedAnswers paired = CompareAnswers(ours.picks[0], theirs.picks[0], gold);
  const Interval interval = paired.interval(0.95);
  const int questions = static_cast<int>(paired.questions);
  const Estimate difference{.value = paired.difference(),
                            .lower = interval.lower,
                            .upper = interval.upper,
                            .count = paired.questions,
                            .clusters = questions,
                            .standard_error = paired.standard_error()};
  Estimate flips{.value = static_cast<double>(paired.flips()) / questions};
  flips.count = paired.flips();
  flips.clusters = questions;
  Estimate p_value{.value = paired.p_value()},
      change{.value = MeanAbsoluteChange(ours.gold, theirs.gold)};
  p_value.clusters = change.clusters = questions;
  p_value.count = change.count = questions;
  result.metrics["accuracy_difference_" + task] = difference;
  result.metrics["answer_flips_" + task] = flips;
  result.metrics["mcnemar_p_" + task] = p_value;
  result.metrics["gold_change_" + task] = change;
  if (!only) return;
  result.metrics["accuracy_difference"] = difference;
  result.metrics["answer_flips"] = flips;
}

}  // namespace

Track ChoiceTrack(const TaskRequests& task) {
  Track track{.name = "choice-" + task.task.name, .evaluation = Evaluation::kDecode, .items = {}};
  for (const ChoiceRequest& request : task.requests) {
    const int size = static_cast<int>(request.ids.size());
    track.items.push_back({.ids = request.ids,
                           .scored = {size - 1 - request.scored, size - 1},
                           .targets = {request.ids.end() - request.scored, request.ids.end()}});
  }
  return track;
}

absl::Status SummariseChoices(DumpReader& reference, DumpReader& candidate,
                              const std::vector<TaskRequests>& tasks, ConfigurationResult& result) {
  for (const TaskRequests& task : tasks) {
    if (candidate.Items(ChoiceTrack(task).name) == 0) continue;
    auto ours = ReadAnswers(reference, task);
    if (!ours.ok()) return ours.status();
    auto theirs = ReadAnswers(candidate, task);
    if (!theirs.ok()) return theirs.status();
    std::vector<int> gold;
    gold.reserve(task.task.questions.size());
    for (const Question& question : task.task.questions) gold.push_back(question.gold);
    for (size_t n = 0; n < kNormalisations; ++n) {
      const std::string name = absl::StrCat("accuracy_", task.task.name, kSuffixes[n]);
      result.metrics[name] = Share(theirs->picks[n], gold);
      result.metrics[name + "_reference"] = Share(ours->picks[n], gold);
    }
    AddPaired(task.task.name, tasks.size() == 1, *ours, *theirs, gold, result);
  }
  return absl::OkStatus();
}

}  // namespace crosscheck::quality
