#include "engines/host_client.h"

#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engines/answer_check.h"
#include "engines/child_process.h"
#include "engines/host/exit_codes.h"
#include "reference/weights.h"

namespace crosscheck {
namespace {

using Clock = ChildProcess::Clock;
constexpr int kEscapedBytes = 200;
constexpr int kMostDeadlines = 100;                        // that progress frames may renew
constexpr auto kGoodbye = std::chrono::milliseconds(500);  // for an orderly end before the kill
constexpr auto kDying = std::chrono::seconds(2);  // from a closed stdout to the end of the process

std::chrono::nanoseconds Seconds(double seconds) {
  return std::chrono::nanoseconds(static_cast<int64_t>(seconds * 1e9));
}

// crosscheck-host beside this executable, or one folder up (test programs).
absl::StatusOr<std::string> FindHost() {
  std::error_code error;
  const std::filesystem::path self =
      std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  for (const std::filesystem::path& folder : {self, self.parent_path()}) {
    const std::filesystem::path host = folder / "crosscheck-host";
    if (std::filesystem::exists(host, error)) return host.string();
  }
  return absl::NotFoundError(absl::StrCat("no crosscheck-host beside ", self.string(),
                                          "; build the target crosscheck-host"));
}

// Little, so that a case runs the same on every machine.
std::vector<std::string> ChildEnvironment(uint64_t memory_limit_bytes) {
  std::vector<std::string> environment;
  for (const char* name : {"PATH", "LD_LIBRARY_PATH", "HOME", "TMPDIR", "LANG", "UBSAN_OPTIONS",
                           "LLVM_PROFILE_FILE", "CROSSCHECK_PYTHON"}) {
    if (const char* value = std::getenv(name)) {
      environment.push_back(absl::StrCat(name, "=", value));
    }
  }
  // The address sanitizer reserves terabytes, so its own limit stands in for the address-space
  // limit.
  const char* given = std::getenv("ASAN_OPTIONS");
  std::string asan = given == nullptr ? "" : given;
  if (memory_limit_bytes > 0 && !absl::StrContains(asan, "max_allocation_size_mb")) {
    absl::StrAppend(&asan, asan.empty() ? "" : ":",
                    "max_allocation_size_mb=", memory_limit_bytes >> 20);
  }
  environment.push_back("ASAN_OPTIONS=" + asan);
  return environment;
}

// Texts that allocators and runtimes leave when an allocation was refused.
bool SaysOutOfMemory(const std::string& log) {
  return (absl::StrContains(log, "memory allocation of") && absl::StrContains(log, "failed")) ||
         absl::StrContains(log, "std::bad_alloc") ||
         absl::StrContains(log, "allocation-size-too-big") ||
         absl::StrContains(log, "AddressSanitizer: out of memory");
}

std::string_view FrameOf(const InputBuffer& input, const FrameSizes& sizes) {
  return input.view().substr(0, kFrameHeaderBytes + sizes.head + sizes.payload);
}

std::string OpOf(const Message& request) {
  const auto op = request.head.find("op");
  return op != request.head.end() && op->is_string() ? op->get<std::string>() : "";
}

// Where two answers to one request differ, in bits; "" when nowhere.
std::string FirstDifference(const Message& first, const Message& second) {
  Json heads[] = {first.head, second.head};
  for (Json& head : heads) {
    head.erase("id");
    head.erase("seconds");
  }
  if (heads[0] != heads[1]) return "head";
  if (first.tensors.size() != second.tensors.size()) return "number of tensors";
  for (const Tensor& tensor : first.tensors) {
    const Tensor* again = second.Find(tensor.name);
    if (again == nullptr || again->bytes != tensor.bytes) return tensor.name;
  }
  return "";
}

// Of all integers in the request, so that a request is repeated or not whatever came before it.
uint64_t HashOfNumbers(const Json& value, uint64_t hash = 0) {
  if (value.is_number_integer()) return MixBits(hash ^ value.get<uint64_t>());
  if (value.is_structured()) {
    for (const Json& child : value) hash = HashOfNumbers(child, hash + 1);
  }
  return hash;
}

class HostClientImpl : public HostClient {
 public:
  HostClientImpl(HostOptions options, std::string host)
      : options_(std::move(options)), host_(std::move(host)) {}
  ~HostClientImpl() override;

  absl::Status Open();
  Reply Call(const Message& request) override;
  const Json& hello() const override { return hello_; }
  pid_t process() const override { return child_ == nullptr ? 0 : child_->pid(); }
  int generation() const override { return child_ == nullptr ? generation_ + 1 : generation_; }
  double transport_seconds() const override { return transport_seconds_; }

 private:
  absl::Status StartChild();
  Reply SayHello();
  Reply CallOnce(const Message& request, const std::string& op);
  // One frame out, one answer in, without looking at its fields.
  Reply Exchange(std::string_view frame, const std::string& op, int64_t id);
  bool StillStarved(std::optional<double>& since, double limit) const;
  std::optional<Reply> TakeFrame(const std::string& op, int64_t id, bool* progress);
  // Adds the engine's seconds of the second run to `first`.
  std::optional<Failure> CheckRepeat(const Message& request, const std::string& op, Reply& first);
  Reply Kill(FailureKind kind, std::string message);
  Reply Died(const std::string& op);
  Reply Babbling();
  int VocabOf(const Json& head) const;
  void Learn(const Message& request, const std::string& op, const Message& answer);

  const HostOptions options_;
  const std::string host_;
  std::unique_ptr<ChildProcess> child_;
  InputBuffer input_;
  Json hello_;
  std::map<std::string, int> vocab_of_model_;
  int64_t next_id_ = 1;
  int generation_ = 0;
  double transport_seconds_ = 0;
};

absl::Status HostClientImpl::StartChild() {
  std::vector<std::string> argv = {host_};
  if (options_.memory_limit_bytes > 0) {
    argv.insert(argv.end(), {"--memory-limit", absl::StrCat(options_.memory_limit_bytes)});
  }
  if (!options_.scratch_folder.empty()) {
    argv.insert(argv.end(), {"--scratch", options_.scratch_folder});
  }
  argv.push_back(options_.engine);
  auto child = ChildProcess::Start(std::move(argv), ChildEnvironment(options_.memory_limit_bytes));
  if (!child.ok()) return child.status();
  child_ = *std::move(child);
  vocab_of_model_.clear();
  ++generation_;
  return absl::OkStatus();
}

Reply HostClientImpl::SayHello() {
  Message request;
  request.head = {{"op", "hello"}, {"protocol", {1}}, {"client", "crosscheck"}};
  return CallOnce(request, "hello");
}

absl::Status HostClientImpl::Open() {
  if (absl::Status status = StartChild(); !status.ok()) return status;
  Reply reply = SayHello();
  if (reply.ok()) {
    hello_ = std::move(reply.message.head);
    return absl::OkStatus();
  }
  // An engine that could not be opened has said why on stderr, as its last words.
  const Failure& failure = *reply.failure;
  if (failure.message == absl::StrCat("exit ", kExitCannotOpen, " during hello")) {
    return absl::FailedPreconditionError(failure.stderr_tail);
  }
  return absl::UnavailableError(absl::StrCat("engine ", options_.engine, ": ", failure.message,
                                             failure.stderr_tail.empty() ? "" : "\n",
                                             failure.stderr_tail));
}

Reply HostClientImpl::Call(const Message& request) {
  const auto begin = Clock::now();
  const std::string op = OpOf(request);
  if (child_ == nullptr) {
    if (absl::Status status = StartChild(); !status.ok()) {
      return FailedReply(FailureKind::kDead, std::string(status.message()));
    }
    if (Reply hello = SayHello(); !hello.ok()) return hello;
  }
  Reply reply = CallOnce(request, op);
  const bool repeatable = op == "logits" || op == "nll" || op == "hidden" || op == "taps" ||
                          op == "generate" || op == "program";
  if (repeatable && reply.ok() && options_.repeat_one_in > 0 &&
      HashOfNumbers(request.head) % static_cast<uint64_t>(options_.repeat_one_in) == 0) {
    if (std::optional<Failure> failure = CheckRepeat(request, op, reply)) {
      reply.message = {};
      reply.failure = *std::move(failure);
    }
  }
  transport_seconds_ +=
      std::chrono::duration<double>(Clock::now() - begin).count() - reply.engine_seconds;
  return reply;
}

Reply HostClientImpl::CallOnce(const Message& request, const std::string& op) {
  const int64_t id = next_id_++;
  Reply reply = Exchange(EncodeFrame(request, id), op, id);
  if (reply.ok()) {
    const std::string wrong = CheckAnswer(request.head, reply.message, VocabOf(request.head));
    if (!wrong.empty()) return Kill(FailureKind::kProtocol, "lying: " + wrong);
    Learn(request, op, reply.message);
  } else if (child_ != nullptr && reply.failure->stderr_tail.empty()) {
    reply.failure->stderr_tail = child_->StderrTail();
  }
  return reply;
}

Reply HostClientImpl::Exchange(std::string_view frame, const std::string& op, int64_t id) {
  const double limit = op == "hello" ? options_.hello_deadline_seconds : options_.deadline_seconds;
  auto deadline = Clock::now() + Seconds(limit);
  const auto end_of_progress = Clock::now() + Seconds(kMostDeadlines * limit);
  std::optional<double> starved_since;  // CPU seconds of the child when it was first found starved
  input_.clear();
  size_t wanted = 0;
  for (;;) {
    switch (child_->Exchange(&frame, &input_, wanted, deadline)) {
      case ChildProcess::Event::kClosed:
        return Died(op);
      case ChildProcess::Event::kDeadline:
        if (StillStarved(starved_since, limit)) {
          deadline = Clock::now() + Seconds(limit);
          continue;
        }
        return Kill(FailureKind::kSlow, absl::StrCat("no answer to ", op, " within ", limit, " s"));
      case ChildProcess::Event::kInput:
        break;
    }
    bool progress = true;
    while (progress && !input_.view().empty()) {
      if (std::optional<Reply> reply = TakeFrame(op, id, &progress)) return *std::move(reply);
      if (progress && Clock::now() > end_of_progress) {
        return Kill(FailureKind::kSlow, absl::StrCat("nothing but progress on ", op, " for ",
                                                     kMostDeadlines * limit, " s"));
      }
      if (progress) deadline = Clock::now() + Seconds(limit);
    }
    if (const auto sizes = DecodeFrameHeader(input_.view()); sizes.ok()) {
      wanted = kFrameHeaderBytes + sizes->head + sizes->payload;
    }
  }
}

// A deadline is meant for the engine: on an overloaded machine a process that waits for a core has
// not been given the time yet. A spinning engine uses its CPU seconds up, a sleeping one is not
// runnable; both are slow.
bool HostClientImpl::StillStarved(std::optional<double>& since, double limit) const {
  const ChildProcess::Activity now = child_->ActivityNow();
  if (!since) since = now.cpu_seconds;
  return now.runnable && now.cpu_seconds - *since < limit / 2;
}

// The answer when it is complete, a failure when the bytes are none, nothing while they are
// incomplete. A progress frame is removed and sets `progress`.
std::optional<Reply> HostClientImpl::TakeFrame(const std::string& op, int64_t id, bool* progress) {
  *progress = false;
  const std::string_view bytes = input_.view();
  if (bytes.substr(0, 4) != std::string_view(kFrameMagic, 4).substr(0, bytes.size())) {
    return Babbling();
  }
  if (bytes.size() < kFrameHeaderBytes) return std::nullopt;
  const auto sizes = DecodeFrameHeader(bytes);
  if (!sizes.ok()) return Babbling();
  const size_t size = kFrameHeaderBytes + sizes->head + sizes->payload;
  if (bytes.size() < size) return std::nullopt;
  absl::StatusOr<Message> answer = DecodeFrame(FrameOf(input_, *sizes));
  if (!answer.ok()) {
    return Kill(FailureKind::kProtocol, absl::StrCat("lying: frame, ", answer.status().message()));
  }
  const auto got = answer->head.find("id");
  if (got == answer->head.end() || *got != id) {
    return Kill(FailureKind::kProtocol,
                absl::StrCat("lying: id, expected ", id, ", got ",
                             got == answer->head.end() ? "nothing" : got->dump(), " during ", op));
  }
  *progress = answer->head.contains("progress") && !answer->head.contains("ok");
  if (*progress) {
    input_.RemovePrefix(size);
    return std::nullopt;
  }
  if (bytes.size() > size) return Babbling();
  Reply reply = ToReply(*std::move(answer));
  if (!reply.ok() && reply.failure->kind == FailureKind::kProtocol) {
    return Kill(FailureKind::kProtocol, reply.failure->message);
  }
  return reply;
}

std::optional<Failure> HostClientImpl::CheckRepeat(const Message& request, const std::string& op,
                                                   Reply& first) {
  Reply second = CallOnce(request, op);
  first.engine_seconds += second.engine_seconds;
  if (!second.ok()) {
    if (second.failure->kind != FailureKind::kDead && second.failure->kind != FailureKind::kSlow) {
      second.failure->message =
          "lying: repeated request, expected the same answer, got: " + second.failure->message;
      second.failure->kind = FailureKind::kProtocol;
    }
    return second.failure;
  }
  const std::string differs = FirstDifference(first.message, second.message);
  if (differs.empty()) return std::nullopt;
  return Kill(FailureKind::kProtocol, absl::StrCat("lying: ", differs, " of a repeated ", op,
                                                   ", expected the same bits, got others"))
      .failure;
}

Reply HostClientImpl::Kill(FailureKind kind, std::string message) {
  Reply reply = FailedReply(kind, std::move(message));
  if (child_ == nullptr) return reply;
  child_->Wait(Clock::now());
  reply.failure->stderr_tail = child_->StderrTail();
  child_.reset();
  return reply;
}

Reply HostClientImpl::Died(const std::string& op) {
  const std::string end = child_->Wait(Clock::now() + kDying);
  const std::string log = child_->StderrTail();
  const bool memory = !end.empty() && SaysOutOfMemory(log) && child_->ExitCode() != 0;
  return Kill(memory ? FailureKind::kOutOfMemory : FailureKind::kDead,
              absl::StrCat(end.empty() ? "closed its output" : end, " during ", op));
}

Reply HostClientImpl::Babbling() {
  const std::string_view bytes = input_.view().substr(0, kEscapedBytes);
  return Kill(
      FailureKind::kProtocol,
      absl::StrCat("babbling: ", absl::CHexEscape(absl::string_view(bytes.data(), bytes.size()))));
}

int HostClientImpl::VocabOf(const Json& head) const {
  const auto model = head.find("model");
  if (model == head.end() || !model->is_string()) return 0;
  const auto found = vocab_of_model_.find(model->get_ref<const std::string&>());
  return found == vocab_of_model_.end() ? 0 : found->second;
}

void HostClientImpl::Learn(const Message& request, const std::string& op, const Message& answer) {
  if (op == "load") {
    vocab_of_model_[answer.head["model"].get<std::string>()] = answer.head["vocab"].get<int>();
  }
  if (op == "unload" && VocabOf(request.head) > 0) {
    vocab_of_model_.erase(request.head["model"].get<std::string>());
  }
}

HostClientImpl::~HostClientImpl() {
  if (child_ == nullptr) return;
  Message bye;
  bye.head = {{"id", next_id_}, {"op", "bye"}};
  const std::string frame = EncodeFrame(bye);
  std::string_view output = frame;
  const auto deadline = Clock::now() + kGoodbye;
  input_.clear();
  child_->Exchange(&output, &input_, 0, deadline);
  child_->CloseInput();
  child_->Wait(deadline);
}

}  // namespace

HostClient::~HostClient() = default;

absl::StatusOr<std::unique_ptr<HostClient>> HostClient::Start(const HostOptions& options) {
  absl::StatusOr<std::string> host = FindHost();
  if (!host.ok()) return host.status();
  auto client = std::make_unique<HostClientImpl>(options, *std::move(host));
  if (absl::Status status = client->Open(); !status.ok()) return status;
  return client;
}

}  // namespace crosscheck
