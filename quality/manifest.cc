#include "quality/manifest.h"

#include "absl/strings/str_cat.h"
#include "quality/compare_plan.h"
#include "quality/position_metrics.h"
#include "quality/position_stat.h"

namespace crosscheck::quality {
namespace {

// What was asked of multiple choice: the files and how they were read.
Json Tasks(const Inputs& inputs) {
  Json tasks = Json::array();
  for (const TaskRequests& task : inputs.tasks) {
    Json files = Json::array();
    for (const TaskFile& file : task.task.files) {
      files.push_back({{"rows", file.rows}, {"sha256", file.sha256}});
    }
    tasks.push_back({{"name", task.task.name},
                     {"shots", task.task.shots},
                     {"questions", task.task.questions.size()},
                     {"files", files}});
  }
  return tasks;
}

// Greedy runs, and the prompts that end theirs in a way of their own.
Json Greedy(const Inputs& inputs, const CompareOptions& options) {
  Json greedy = {{"tokens", options.greedy_tokens}};
  for (const Prompt& prompt : inputs.prompts) {
    if (prompt.max_tokens < LongestRun(options)) {
      greedy["max_tokens"][prompt.id] = prompt.max_tokens;
    }
    if (!prompt.stop.empty()) greedy["stop"][prompt.id] = prompt.stop;
  }
  return greedy;
}

}  // namespace

Json DescribeSide(std::string_view role, const Side& side, const Json& model) {
  const Json& hello = side.hello();
  Json manifest = {
      {"format", kDumpFormat},
      {"role", role},
      {"model", {{"files", model}, {"vocab", side.vocab()}, {"context", side.context()}}},
      {"engine",
       {{"name", side.options().engine},
        {"version", hello.value("version", Json())},
        {"build", hello.value("build", Json())}}},
      {"configuration",
       {{"echo", side.echo()},
        {"format", side.options().format},
        {"adapter", side.options().adapter.empty() ? Json() : Json(true)}}},
      {"environment", hello.value("environment", Json::object())},
      {"stat_columns", kStatColumnNames}};
  manifest["configuration"]["echo"].erase("path");  // where the files lie changes no value
  return manifest;
}

Json MakeManifest(std::string_view role, const Side& side, const Json& model, const Inputs& inputs,
                  const CompareOptions& options, LogitMode mode, const std::string& against) {
  Json manifest = DescribeSide(role, side, model);
  manifest.update({{"tokenizer", inputs.tokenizer},
                   {"tracks",
                    {{"greedy", Greedy(inputs, options)},
                     {"forced", {{"positions", options.forced_positions}}},
                     {"text",
                      {{"scheme", kSchemeNames[static_cast<size_t>(options.inputs.windows.scheme)]},
                       {"window", options.inputs.windows.length},
                       {"stride", options.inputs.windows.stride}}},
                     {"steps", {{"targets", options.inputs.step_targets}}},
                     {"sampled",
                      {{"prompts", options.sampled_prompts},
                       {"seeds", options.sampled_seeds},
                       {"tokens", options.sampled_tokens},
                       {"temperature", kSamplingTemperature}}},
                     {"draws",
                      {{"positions", options.draw_positions},
                       {"draws", options.draws},
                       {"temperature", kSamplingTemperature}}},
                     {"layers", {{"items", options.layer_prompts}}},
                     {"choice", Tasks(inputs)}}},
                   {"mode", kLogitModeNames[static_cast<size_t>(mode)]},
                   {"seed", options.seed},
                   {"prompts_sha256", inputs.prompts_sha256},
                   {"text_sha256", inputs.text_sha256},
                   {"metric_columns", kMetricColumnNames}});
  if (!inputs.order.empty()) manifest["prompt_order"] = inputs.order;
  if (mode == LogitMode::kTopK) {
    manifest["top_k"] = options.top_k;
    manifest["tail_samples"] = options.tail_samples;
  }
  if (!against.empty()) manifest["reference"] = against;
  return manifest;
}

absl::Status CheckComparable(const Json& reference, const Json& candidate) {
  for (const char* key : {"/prompts_sha256", "/text_sha256", "/tokenizer", "/model/vocab",
                          "/tracks", "/stat_columns", "/prompt_order"}) {
    const Json::json_pointer pointer(key);
    const Json absent;
    const Json& a = reference.contains(pointer) ? reference[pointer] : absent;
    const Json& b = candidate.contains(pointer) ? candidate[pointer] : absent;
    if (a != b) {
      return absl::FailedPreconditionError(absl::StrCat(
          "the dumps cannot be compared: they differ at ", FirstDifference(a, b, key)));
    }
  }
  return absl::OkStatus();
}

}  // namespace crosscheck::quality
