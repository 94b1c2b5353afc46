#include "fuzz/campaign/finding_desk.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "fuzz/campaign/corpus_file.h"
#include "fuzz/campaign/worker_message.h"
#include "fuzz/corpus_store.h"
#include "reference/safetensors.h"

namespace crosscheck {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

VerdictKind VerdictKindOf(const std::string& name) {
  const auto* found = std::find(std::begin(kVerdictKindNames), std::end(kVerdictKindNames), name);
  return found == std::end(kVerdictKindNames)
             ? VerdictKind::kEngineBug
             : static_cast<VerdictKind>(found - std::begin(kVerdictKindNames));
}

std::string PayloadOf(const FindingRow& finding) {
  return absl::StrCat("property = ", finding.property, "\n",
                      finding.reduced_text.empty() ? finding.case_text : finding.reduced_text);
}

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace

FindingDesk::FindingDesk(FindingDeskOptions options, Store& store, Report report)
    : options_(std::move(options)), store_(store), report_(std::move(report)) {}

absl::Status FindingDesk::Load() {
  auto rows = store_.Findings();
  if (!rows.ok()) return rows.status();
  findings_ = *std::move(rows);
  for (FindingRow& finding : findings_) {
    if (finding.state != FindingState::kNew) continue;
    // A killed run may have stopped between the record and the folder.
    if (absl::Status status = TakeUp(finding); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status FindingDesk::Add(const std::vector<FindingRow>& found) {
  for (const FindingRow& finding : found) {
    if (FindingRow* known = Find(finding.signature)) {
      known->count += finding.count;
      continue;
    }
    findings_.push_back(finding);
    if (absl::Status status = TakeUp(findings_.back()); !status.ok()) return status;
    if (findings_.back().state == FindingState::kNew) report_(findings_.back(), News::kFound);
  }
  return absl::OkStatus();
}

FindingRow* FindingDesk::Find(const std::string& signature) {
  const auto found =
      std::find_if(findings_.begin(), findings_.end(),
                   [&](const FindingRow& finding) { return finding.signature == signature; });
  return found == findings_.end() ? nullptr : &*found;
}

FindingRow* FindingDesk::Next() const {
  if (interrupted_) return nullptr;
  for (const FindingRow& finding : findings_) {
    if (finding.state == FindingState::kNew) return const_cast<FindingRow*>(&finding);
  }
  return nullptr;
}

// True when this shard owns the signature.
absl::StatusOr<bool> FindingDesk::Claim(const std::string& signature) const {
  const std::string owner = absl::StrCat("shard ", options_.shard);
  const std::string path =
      absl::StrCat(options_.folder, "/", absl::StrReplaceAll(signature, {{"/", "."}}), ".owner");
  const std::string own = absl::StrCat(path, ".", options_.shard);
  std::error_code error;
  fs::create_directories(options_.folder, error);
  if (absl::Status written = WriteFile(own, owner + "\n"); !written.ok()) return written;
  const bool linked = link(own.c_str(), path.c_str()) == 0;
  const int why = errno;
  fs::remove(own, error);
  if (linked) return true;
  if (why != EEXIST) {
    return absl::PermissionDeniedError(absl::StrCat("cannot create ", path, ": ", strerror(why)));
  }
  return FirstLine(path) == owner;
}

absl::Status FindingDesk::TakeUp(FindingRow& finding) {
  auto own = Claim(finding.signature);
  if (!own.ok()) return own.status();
  if (*own) {
    if (absl::Status status = WriteCase(finding); !status.ok()) return status;
  } else {
    finding.state = FindingState::kElsewhere;
  }
  return store_.SaveFinding(finding);
}

absl::Status FindingDesk::WriteCase(FindingRow& finding) const {
  auto input = ParseCorpusInput(PayloadOf(finding));
  if (!input.ok()) return input.status();
  auto signature = Signature::Parse(finding.signature);
  if (!signature.ok()) return signature.status();
  std::vector<std::string> notes = {finding.message};
  if (!finding.localised.empty()) notes.push_back(finding.localised);
  auto path = WriteEntry(options_.folder, {.value = input->value,
                                           .signature = *signature,
                                           .engine = finding.engine,
                                           .verdict = VerdictKindOf(finding.verdict),
                                           .marginal = finding.marginal,
                                           .seed = options_.seed,
                                           .cases_until_found = finding.first_case,
                                           .seconds_until_found = finding.elapsed,
                                           .build = finding.build,
                                           .notes = std::move(notes)});
  if (!path.ok()) return path.status();
  finding.case_file = *std::move(path);
  return absl::OkStatus();
}

// A finding is reduced in one process; what is left of it is replayed in the next.
absl::Status FindingDesk::Start(FindingRow& finding) {
  const bool reduced = finding.evaluations > 0 || finding.attempts >= options_.attempts;
  auto process = WorkerProcess::Start(options_.command);
  if (!process.ok()) return process.status();
  process_ = *std::move(process);
  in_work_ = finding.signature;
  const double patience = 2 * options_.seconds + 60;
  deadline_ = std::chrono::steady_clock::now() +
              std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                  std::chrono::duration<double>(patience));
  process_->Send(ToJson(FindingRequest{.engine = finding.engine,
                                       .payload = PayloadOf(finding),
                                       .signature = finding.signature,
                                       .seconds = options_.seconds,
                                       .evaluations = options_.evaluations,
                                       .replays = reduced ? options_.replays : 0}));
  return absl::OkStatus();
}

absl::Status FindingDesk::Step() {
  if (process_ == nullptr) {
    FindingRow* next = Next();
    return next == nullptr ? absl::OkStatus() : Start(*next);
  }
  for (const std::string& line : process_->Receive()) {
    const json message = json::parse(line, nullptr, false);
    process_.reset();
    try {
      if (message.is_object() && message.value("op", "") == "finding") {
        return Answered(FindingRowFrom(message));
      }
    } catch (const json::exception&) {  // as when it died
    }
    return Died();
  }
  if (!process_->ended() && std::chrono::steady_clock::now() < deadline_) return absl::OkStatus();
  process_.reset();
  return Died();
}

absl::Status FindingDesk::Died() {
  if (interrupted_) return absl::OkStatus();
  FindingRow& finding = *Find(in_work_);
  ++finding.attempts;
  // Enough: what there is stays, unconfirmed.
  if (finding.attempts >= 2 * options_.attempts) return Finish(finding);
  return store_.SaveFinding(finding);
}

absl::Status FindingDesk::Answered(const FindingRow& answer) {
  FindingRow& finding = *Find(in_work_);
  if (answer.replays > 0) {
    if (interrupted_ && answer.replays < options_.replays) return absl::OkStatus();
    finding.replays = answer.replays;
    finding.failures = answer.failures;
    return Finish(finding);
  }
  if (answer.reduced_text.empty()) {  // it never failed again: the replays give its rate
    if (interrupted_) return absl::OkStatus();
    finding.evaluations = 1;
    return store_.SaveFinding(finding);
  }
  finding.reduced_text = answer.reduced_text;
  finding.verdict = answer.verdict;
  finding.message = answer.message;
  finding.marginal = answer.marginal;
  finding.minimal = answer.minimal;
  finding.localised = answer.localised;
  finding.first_bad = answer.first_bad;
  // Interrupted: the next run goes on from the smallest case so far.
  if (!interrupted_) finding.evaluations = answer.evaluations;
  if (absl::Status status = WriteCase(finding); !status.ok()) return status;
  return store_.SaveFinding(finding);
}

absl::Status FindingDesk::Finish(FindingRow& finding) {
  const bool always = finding.replays > 0 && finding.failures == finding.replays;
  finding.state = always ? FindingState::kConfirmed : FindingState::kFlaky;
  absl::Status status = store_.SaveFinding(finding);
  report_(finding, News::kReduced);
  return status;
}

void FindingDesk::Interrupt() {
  interrupted_ = true;
  if (process_ != nullptr) process_->Interrupt();
}

}  // namespace crosscheck
