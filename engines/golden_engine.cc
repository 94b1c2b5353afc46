#include "engines/golden_engine.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engines/generate_message.h"
#include "engines/host_client.h"
#include "engines/scratch_folder.h"
#include "reference/golden_judge.h"
#include "reference/golden_recording.h"
#include "reference/metrics.h"

namespace crosscheck {
namespace {

constexpr double kDeadlineSeconds = 120;  // goldens may be larger than generated models

// One way of asking for logits: a path and the length of the first prefill call.
struct PathRun {
  const char* path;
  int64_t chunk;        // 0: the whole prompt in one call
  const char* counter;  // which must not be zero
};

std::vector<double> RowsFrom(const std::vector<double>& values, int64_t width, int64_t first) {
  return {values.begin() + std::min<int64_t>(first * width, static_cast<int64_t>(values.size())),
          values.end()};
}

// -ln p(ids[t + 1]) at each t but the last.
std::vector<double> Nlls(const std::vector<double>& logits, const std::vector<int32_t>& ids) {
  const size_t vocab = logits.size() / ids.size();
  std::vector<double> nlls;
  for (size_t t = 0; t + 1 < ids.size(); ++t) {
    nlls.push_back(
        NegativeLogLikelihood(absl::MakeConstSpan(logits).subspan(t * vocab, vocab), ids[t + 1]));
  }
  return nlls;
}

class EngineCheck {
 public:
  EngineCheck(HostClient& engine, GoldenRecording& recording, GoldenJudge& judge)
      : engine_(engine), recording_(recording), judge_(judge) {}

  absl::Status Run(const std::string& checkpoint) {
    const std::optional<Message> loaded =
        Ask("the checkpoint", {{"op", "load"}, {"path", checkpoint}});
    if (!loaded) return absl::OkStatus();
    model_ = loaded->head["model"];
    paths_ = loaded->head["paths"];
    vocab_ = loaded->head["vocab"].get<int64_t>();
    for (int p = 0; recording_.Has(absl::StrCat("p", p, ".input_ids")); ++p) {
      if (absl::Status status = CheckPrompt(absl::StrCat("p", p, ".")); !status.ok()) return status;
    }
    if (absl::Status status = CheckStages(); !status.ok()) return status;
    SkipTheRest();
    return absl::OkStatus();
  }

 private:
  // The answer, or nothing after a failure: what the engine lacks or refuses is skipped (`what`),
  // everything else is its fault. One that died, hung or lied is not asked again.
  std::optional<Message> Ask(const std::string& what, Json head) {
    if (broken_) return std::nullopt;
    const std::string op = head["op"];
    Reply reply = engine_.Call({.head = std::move(head), .tensors = {}});
    if (reply.ok()) return std::move(reply.message);
    const Failure& failure = *reply.failure;
    broken_ = failure.kind == FailureKind::kDead || failure.kind == FailureKind::kSlow ||
              failure.kind == FailureKind::kProtocol;
    if (failure.kind == FailureKind::kUnsupported || failure.kind == FailureKind::kRefused) {
      judge_.Skip(what, absl::StrCat("the engine answers ", op, " with: ", failure.message));
    } else {
      judge_.Fail(absl::StrCat(what, ": ", op, " failed (",
                               std::string(kFailureKindNames[static_cast<size_t>(failure.kind)]),
                               "): ", failure.message));
    }
    return std::nullopt;
  }

  absl::Status CheckPrompt(const std::string& prompt) {
    absl::StatusOr<std::vector<int32_t>> ids = recording_.Ids(prompt + "input_ids");
    absl::StatusOr<std::vector<double>> logits = recording_.Values(prompt + "logits_f64");
    if (!ids.ok()) return ids.status();
    if (!logits.ok()) return logits.status();
    if (logits->size() != ids->size() * static_cast<size_t>(vocab_)) {
      judge_.Fail(absl::StrCat(prompt, "logits_f64: the engine's vocabulary is ", vocab_));
      return absl::OkStatus();
    }
    compared_.insert("logits");
    const auto length = static_cast<int64_t>(ids->size());
    for (const PathRun& run :
         {PathRun{"prompt", 0, "prompt"}, PathRun{"readout", 0, "readout"},
          PathRun{"session", 0, "prefill"}, PathRun{"session", 1, length > 1 ? "step" : "prefill"},
          PathRun{"session", (length + 1) / 2, "prefill"}}) {
      CheckPath(prompt, run, *ids, *logits);
    }
    if (length > 1) {
      if (const auto answer = Ask("nll", {{"op", "nll"}, {"model", model_}, {"ids", *ids}})) {
        // An NLL is off by at most twice the error of its logits.
        const std::optional<double> tolerance = judge_.Tolerance("logits", 0);
        Record(tolerance.has_value() ? std::optional(2 * *tolerance) : std::nullopt,
               prompt + "logits_f64", "nll", *answer, "nll", Nlls(*logits, *ids));
      }
    }
    if (absl::Status status = CheckHidden(prompt, *ids); !status.ok()) return status;
    return CheckGreedy(prompt, *ids);
  }

  // Compares a tensor of the answer.
  void Record(std::optional<double> tolerance, const std::string& name, const std::string& kind,
              const Message& answer, const std::string& tensor,
              const std::vector<double>& expected) {
    const Tensor* values = answer.Find(tensor);
    absl::StatusOr<std::vector<double>> actual =
        values == nullptr ? absl::NotFoundError("no tensor " + tensor) : values->ToDoubles();
    if (!actual.ok()) {
      judge_.Fail(absl::StrCat(name, ": ", std::string(actual.status().message())));
      return;
    }
    judge_.RecordWithin(tolerance, name, kind, *actual, expected);
  }

  void CheckPath(const std::string& prompt, const PathRun& run, const std::vector<int32_t>& ids,
                 const std::vector<double>& logits) {
    const std::string kind = absl::StrCat("logits.", run.chunk > 0 ? "steps" : run.path);
    if (std::find(paths_.begin(), paths_.end(), run.path) == paths_.end()) {
      judge_.Skip(kind, absl::StrCat("the engine has no path ", run.path));
      return;
    }
    Json sequence = {{"ids", ids}};
    if (run.chunk > 0) sequence["chunks"] = {run.chunk};
    const std::optional<Message> answer = Ask(kind, {{"op", "logits"},
                                                     {"model", model_},
                                                     {"path", run.path},
                                                     {"batched", false},
                                                     {"sequences", {sequence}}});
    if (!answer) return;
    if (!(answer->head["counters"].value(run.counter, 0.0) > 0)) {
      judge_.Skip(kind, absl::StrCat("the counter ", run.counter, " does not prove the path"));
      return;
    }
    const int64_t first = answer->head["positions"][0].front().get<int64_t>();
    Record(judge_.Tolerance("logits", 0), prompt + "logits_f64", kind, *answer, "logits.0",
           RowsFrom(logits, vocab_, first));
  }

  // The engine answers the rows after the final norm; the recording holds those of every layer.
  absl::Status CheckHidden(const std::string& prompt, const std::vector<int32_t>& ids) {
    if (!recording_.Has(prompt + "hidden_f64")) return absl::OkStatus();
    const auto answer = Ask("hidden", {{"op", "hidden"}, {"model", model_}, {"ids", ids}});
    if (!answer) return absl::OkStatus();
    absl::StatusOr<std::vector<double>> rows = recording_.Values(prompt + "hidden_f64");
    if (!rows.ok()) return rows.status();
    const std::vector<int64_t>& shape = recording_.Shape(prompt + "hidden_f64");
    compared_.insert("hidden");
    judge_.Skip("hidden of embedding and layers", "the op hidden answers the final norm only");
    Record(judge_.Tolerance("hidden", 0), prompt + "hidden_f64", "hidden", *answer, "hidden",
           RowsFrom(*rows, static_cast<int64_t>(ids.size()) * shape.back(), shape.front() - 1));
    return absl::OkStatus();
  }

  absl::Status CheckGreedy(const std::string& prompt, const std::vector<int32_t>& ids) {
    const Json& extensions = engine_.hello()["extensions"];
    const bool generates =
        std::find(extensions.begin(), extensions.end(), "generate/1") != extensions.end();
    if (!generates || !recording_.Has(prompt + "greedy_ids")) return absl::OkStatus();
    absl::StatusOr<std::vector<int32_t>> expected = recording_.Ids(prompt + "greedy_ids");
    absl::StatusOr<std::vector<double>> margins = recording_.Values(prompt + "greedy_margin_f64");
    if (!expected.ok()) return expected.status();
    if (!margins.ok()) return margins.status();
    CheckGenerated(prompt, ids, *expected, *margins);
    return absl::OkStatus();
  }

  void CheckGenerated(const std::string& prompt, const std::vector<int32_t>& ids,
                      const std::vector<int32_t>& expected, const std::vector<double>& margins) {
    Message request = GenerateMessage(ids, static_cast<int>(expected.size()));
    request.head["model"] = model_;
    const auto answer = Ask("greedy_ids", std::move(request.head));
    if (!answer) return;
    compared_.insert("greedy_ids");
    const auto chosen = answer->head["ids"].get<std::vector<int32_t>>();
    const size_t same =
        std::mismatch(chosen.begin(), chosen.end(), expected.begin(), expected.end()).first -
        chosen.begin();
    if (same == expected.size()) return;
    // Two legal fp32 runs may choose differently where the margin is below the error of both.
    const double tolerance = 2 * judge_.Tolerance("logits", 0).value_or(0);
    if (same < chosen.size() && margins[same] <= tolerance) {
      judge_.Skip(absl::StrCat(prompt, "greedy_ids from token ", same),
                  "a near tie: the recorded margin is below the tolerance of the logits");
      return;
    }
    judge_.Fail(absl::StrCat(prompt, "greedy_ids: other tokens from token ", same));
  }

  // Stages of the layers that the golden records, those that hello.limits.taps names.
  absl::Status CheckStages() {
    if (!recording_.Has("stage.input_ids")) return absl::OkStatus();
    absl::StatusOr<std::vector<int32_t>> ids = recording_.Ids("stage.input_ids");
    if (!ids.ok()) return ids.status();
    const Json stages = engine_.hello()["limits"].value("taps", Json::array());
    if (!stages.is_array() || stages.empty()) return absl::OkStatus();
    const auto answer =
        Ask("stages", {{"op", "taps"}, {"model", model_}, {"ids", *ids}, {"stages", stages}});
    if (!answer) return absl::OkStatus();
    for (const Tensor& tap : answer->tensors) {
      const size_t dot = tap.name.find('.');
      int layer = -1;
      if (dot == std::string::npos || !absl::SimpleAtoi(tap.name.substr(1, dot - 1), &layer)) {
        continue;
      }
      const std::string name = absl::StrCat("stage.layer", layer, tap.name.substr(dot), ".f64");
      if (!recording_.Has(name)) continue;
      absl::StatusOr<std::vector<double>> expected = recording_.Values(name);
      if (!expected.ok()) return expected.status();
      const std::string kind = GoldenKind(name);
      compared_.insert(kind);
      Record(judge_.Tolerance(kind, 0), name, kind, *answer, tap.name, *expected);
    }
    return absl::OkStatus();
  }

  // Every kind of recorded float64 tensor that was not compared, with the reason.
  void SkipTheRest() {
    std::set<std::string> kinds;
    for (const std::string& name : recording_.Names("", "f64")) kinds.insert(GoldenKind(name));
    if (recording_.Has("p0.greedy_ids")) kinds.insert("greedy_ids");
    for (const std::string& kind : kinds) {
      if (compared_.count(kind) > 0 || recording_.IsSkipped(kind)) continue;
      std::string reason = "the engine lacks the op";
      if (absl::StartsWith(kind, "state.")) reason = "no op answers cache states";
      if (absl::StartsWith(kind, "stage.")) reason = "the engine's taps do not name this stage";
      if (absl::StartsWith(kind, "pad.")) reason = "padded batches are judged for references only";
      if (kind == "greedy_margin") reason = "follows from the logits";
      if (kind == "greedy_ids") reason = "the engine lacks generate/1";
      if (kind == "greedy_logits") reason = "no float32 run of this kind is recorded";
      judge_.Skip(kind, reason);
    }
  }

  HostClient& engine_;
  GoldenRecording& recording_;
  GoldenJudge& judge_;
  Json model_, paths_;
  int64_t vocab_ = 0;
  bool broken_ = false;
  std::set<std::string> compared_;  // kinds
};

// The checkpoint's files in a folder that only this user may write, as lattice demands.
absl::Status CopyCheckpoint(const std::string& golden, const std::string& to) {
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(golden, error)) {
    const std::string name = file.path().filename().string();
    const bool recording = name == "expected.safetensors" || name == "golden.json";
    if (recording || absl::StartsWith(name, "adapter_") || !file.is_regular_file(error)) continue;
    std::filesystem::copy_file(file.path(), to + "/" + name, error);
    if (error) break;
    std::filesystem::permissions(to + "/" + name, std::filesystem::perms(0644), error);
  }
  if (!error) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("cannot copy ", golden, ": ", error.message()));
}

absl::Status CheckEngine(const std::string& name, const std::string& folder,
                         GoldenRecording& recording, GoldenJudge& judge) {
  auto scratch = ScratchFolder::Create();
  if (!scratch.ok()) return scratch.status();
  if (absl::Status status = CopyCheckpoint(folder, (*scratch)->path()); !status.ok()) return status;
  auto engine = HostClient::Start(
      {.engine = name, .deadline_seconds = kDeadlineSeconds, .scratch_folder = (*scratch)->path()});
  if (!engine.ok()) return engine.status();
  return EngineCheck(**engine, recording, judge).Run((*scratch)->path());
}

}  // namespace

GoldenImplementation EngineGoldenImplementation(const std::string& engine) {
  return {
      .name = engine,
      .precision = GoldenPrecision::kFp32,
      .make = nullptr,
      .check = [engine](const std::string& folder, GoldenRecording& recording, GoldenJudge& judge) {
        return CheckEngine(engine, folder, recording, judge);
      }};
}

}  // namespace crosscheck
