#include "fuzz/campaign/worker.h"

#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "fuzz/campaign/batch_runner.h"
#include "fuzz/campaign/resources.h"
#include "fuzz/localise.h"
#include "fuzz/minimise.h"

namespace crosscheck {
namespace {

using nlohmann::json;

class Worker {
 public:
  Worker(const WorkerOptions& options, int input, int output)
      : options_(options), input_(input), output_(output), runner_(options.known_issues, Hooks()) {}

  absl::Status Serve() {
    std::string line;
    while (ReadLine(line)) {
      const json request = json::parse(line, nullptr, false);
      if (!request.is_object()) return absl::InvalidArgumentError("a request is no JSON object");
      absl::StatusOr<json> reply = Answer(request);
      Send(reply.ok() ? *reply : json{{"op", "error"}, {"message", reply.status().message()}});
      if (Interrupted()) break;
      ReturnFreeMemory();
    }
    return absl::OkStatus();
  }

 private:
  bool Interrupted() const { return options_.interrupted != nullptr && *options_.interrupted; }

  BatchRunner::Hooks Hooks() {
    return {.stopped = [this] { return Interrupted(); },
            .started = [this](int64_t index) { Send({{"op", "at"}, {"index", index}}); }};
  }

  absl::StatusOr<json> Answer(const json& request) {
    try {
      const std::string engine = request.at("engine");
      auto executor = GetExecutor(engine);
      if (!executor.ok()) return executor.status();
      const std::string op = request.at("op");
      if (op == "hello") return json{{"op", "hello"}, {"hello", (*executor)->hello()}};
      if (op == "batch") {
        auto reply = runner_.Run(BatchRequestFrom(request), **executor);
        if (!reply.ok()) return reply.status();
        return ToJson(*reply);
      }
      return Finding(FindingRequestFrom(request), **executor);
    } catch (const json::exception& e) {
      return absl::InvalidArgumentError(absl::StrCat("not a request: ", e.what()));
    }
  }

  absl::StatusOr<Executor*> GetExecutor(const std::string& engine) {
    std::unique_ptr<Executor>& slot = executors_[engine];
    if (slot == nullptr) {
      auto made = Executor::Create({.engine = engine,
                                    .deadline_seconds = options_.deadline_seconds,
                                    .references = options_.references});
      if (!made.ok()) return made.status();
      slot = *std::move(made);
    }
    return slot.get();
  }

  // A verdict with the signature, of one of the first few runs: a flaky case may pass at first.
  static std::optional<Verdict> Reproduce(const CorpusInput& input, const std::string& signature,
                                          Executor& executor) {
    constexpr int kTries = 10;
    for (int i = 0; i < kTries; ++i) {
      Verdict verdict = RunCase(*input.property, input.value, executor);
      if (verdict.IsFinding() && verdict.signature.ToString() == signature) return verdict;
    }
    return std::nullopt;
  }

  absl::StatusOr<json> Finding(const FindingRequest& request, Executor& executor) const {
    auto input = ParseCorpusInput(request.payload);
    if (!input.ok()) return input.status();
    FindingRow row{.signature = request.signature,
                   .property = std::string(input->property->name),
                   .engine = request.engine};
    if (request.replays > 0) {
      for (; row.replays < request.replays && !Interrupted(); ++row.replays) {
        const Verdict verdict = RunCase(*input->property, input->value, executor);
        row.failures += verdict.signature.ToString() == request.signature && verdict.IsFinding();
      }
      return ToJson(row);
    }
    const std::optional<Verdict> verdict = Reproduce(*input, request.signature, executor);
    if (verdict) Reduce(request, *input, *verdict, executor, row);
    return ToJson(row);
  }

  void Reduce(const FindingRequest& request, const CorpusInput& input, const Verdict& verdict,
              Executor& executor, FindingRow& row) const {
    const Minimised result = Minimise(*input.property, input.value, verdict, executor,
                                      {.max_evaluations = request.evaluations,
                                       .max_seconds = request.seconds,
                                       .interrupted = options_.interrupted});
    row.verdict = std::string(kVerdictKindNames[static_cast<size_t>(result.verdict.kind)]);
    row.message = result.verdict.message;
    row.reduced_text = result.smallest.subject().print(result.smallest);
    row.marginal = result.verdict.marginal;
    row.minimal = result.complete;
    row.evaluations = result.evaluations;
    if (Interrupted() || !CanLocalise(*input.property, result.smallest, result.verdict)) return;
    const Localisation place = Localise(*input.property, result.smallest, result.verdict, executor);
    row.localised = place.ToLine();
    if (!place.first_bad) return;
    row.first_bad = json{{"layer", place.first_bad->layer},
                         {"stage", place.first_bad->stage},
                         {"means", place.first_bad->means}}
                        .dump();
  }

  // False at the end of the input and after a signal.
  bool ReadLine(std::string& line) {
    size_t end = 0;
    while ((end = buffer_.find('\n')) == std::string::npos) {
      // A signal that comes between the check and the wait must not be slept through.
      pollfd wait{input_, POLLIN, 0};
      if (Interrupted()) return false;
      if (poll(&wait, 1, 200) <= 0) continue;
      char block[64 << 10];
      const ssize_t count = read(input_, block, sizeof block);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return false;
      buffer_.append(block, static_cast<size_t>(count));
    }
    line = buffer_.substr(0, end);
    buffer_.erase(0, end + 1);
    return true;
  }

  void Send(const json& message) const {
    const std::string text = message.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
    for (size_t at = 0; at < text.size();) {
      const ssize_t count = write(output_, text.data() + at, text.size() - at);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return;  // the supervisor is gone; so is this process soon
      at += static_cast<size_t>(count);
    }
  }

  const WorkerOptions& options_;
  const int input_, output_;
  std::string buffer_;
  BatchRunner runner_;
  std::map<std::string, std::unique_ptr<Executor>> executors_;
};

}  // namespace

absl::Status RunWorker(const WorkerOptions& options, int input, int output) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  return Worker(options, input, output).Serve();
}

}  // namespace crosscheck
