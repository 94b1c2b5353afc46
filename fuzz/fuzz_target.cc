#include "fuzz/fuzz_target.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engines/in_process_client.h"
#include "engines/registry.h"
#include "fuzz/executor.h"
#include "fuzz/feedback.h"
#include "fuzz/run_case.h"

// Centipede names and deduplicates its crash by it; the other engines do not have it.
extern "C" __attribute__((weak)) void CentipedeSetFailureDescription(const char* description);

namespace crosscheck {
namespace {

// Judges libtorch itself, so that it has nothing to say without it.
constexpr std::string_view kJudgesTorch = "reference_agreement";

std::string Report(const Verdict& verdict, const Property& property, const Case& c,
                   const std::string& engine) {
  std::string text =
      absl::StrCat("crosscheck: ", std::string(kVerdictKindNames[static_cast<int>(verdict.kind)]),
                   " ", verdict.signature.ToString(), " on ", engine, "\n", verdict.message,
                   "\nproperty = ", std::string(property.name), "\n", c.subject().print(c),
                   "\nas a reduced case: crosscheck minimise INPUT --subject ",
                   std::string(c.subject().name), " --engine ", engine, "\n");
  return text;
}

[[noreturn]] void Stop(const Verdict& verdict, const std::string& report) {
  std::fputs(report.c_str(), stderr);
  std::fprintf(stderr, "%s\n", verdict.signature.ToLine().c_str());
  if (CentipedeSetFailureDescription != nullptr) {
    const Signature& s = verdict.signature;
    const std::string error(kErrorClassNames[static_cast<int>(s.error)]);
    CentipedeSetFailureDescription(
        absl::StrCat(s.property, "/", s.engine_family, "-exact/", s.stage, "/", error).c_str());
  }
  std::abort();
}

}  // namespace

Limits FuzzLimits(Limits limits) {
  limits.max_tokens = std::min(limits.max_tokens, 80);
  limits.max_generated = std::min(limits.max_generated, 12);
  limits.max_multiply_adds = std::min<int64_t>(limits.max_multiply_adds, 2'000'000);
  return limits;
}

std::vector<const Property*> PropertiesOf(const Subject& subject) {
  std::vector<const Property*> properties;
  for (const Property* property : Properties()) {
    if (property->subject == &subject) properties.push_back(property);
  }
  return properties;
}

std::string TargetBytes(const Property& property, const Case& c, const Limits& limits) {
  const std::vector<const Property*> properties = PropertiesOf(*property.subject);
  const auto at = std::find(properties.begin(), properties.end(), &property);
  return static_cast<char>(at - properties.begin()) +
         property.subject->write(property.subject->clamp(c, limits));
}

const Property& PropertyOfInput(const Subject& subject, Bytes input) {
  const std::vector<const Property*> properties = PropertiesOf(subject);
  return *properties[input.empty() ? 0 : input[0] % properties.size()];
}

Case CaseOfInput(const Subject& subject, Bytes input, const Limits& limits) {
  return subject.read(input.empty() ? input : input.subspan(1), limits);
}

std::string KnownFileOfThisProgram() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).string() + ".known";
}

absl::StatusOr<std::unique_ptr<FuzzTarget>> FuzzTarget::Open(const FuzzTargetOptions& options) {
  auto target = std::unique_ptr<FuzzTarget>(new FuzzTarget());
  target->subject_ = FindSubject(options.subject);
  if (target->subject_ == nullptr) {
    return absl::NotFoundError(absl::StrCat("no subject ", std::string(options.subject)));
  }
  target->properties_ = PropertiesOf(*target->subject_);
  if (target->properties_.empty()) {
    return absl::NotFoundError(
        absl::StrCat("no property of subject ", std::string(options.subject)));
  }
  auto engine = OpenInProcess(options.engine);
  if (!engine.ok()) return engine.status();
  target->engine_ = *std::move(engine);
  if (options.decorate) target->engine_ = options.decorate(std::move(target->engine_));
  Message hello;
  hello.head = {{"op", "hello"}, {"protocol", {1}}, {"client", "crosscheck"}};
  Reply reply = target->engine_->Call(hello);
  if (!reply.ok()) return absl::UnavailableError(reply.failure->message);
  target->hello_ = std::move(reply.message.head);
  target->engine_name_ = std::string(options.engine);
  target->engine_version_ = target->hello_.value("version", "");
  target->limits_ = FuzzLimits(NarrowLimits(target->hello_));
  target->torch_ = options.torch;
  auto known = ReadKnownIssues(options.known_file);
  if (!known.ok()) return known.status();
  target->known_ = *std::move(known);
  return target;
}

const Property& FuzzTarget::PropertyOf(Bytes input) const {
  return PropertyOfInput(*subject_, input);
}

Case FuzzTarget::CaseOf(Bytes input) const { return CaseOfInput(*subject_, input, limits_); }

std::string FuzzTarget::BytesOf(const Property& property, const Case& c) const {
  return TargetBytes(property, c, limits_);
}

Verdict FuzzTarget::Judge(Bytes input) {
  const Property& property = PropertyOf(input);
  if (!torch_ && property.name == kJudgesTorch) {
    Verdict verdict;
    verdict.kind = VerdictKind::kUnsupported;
    verdict.message = "libtorch is not in this target";
    return verdict;
  }
  // Nothing is kept from one input to the next: the same input, the same branches.
  auto executor = Executor::Create({.engine = engine_name_, .torch = torch_, .models_kept = 2},
                                   MakeInProcessClient(*engine_, hello_));
  if (!executor.ok()) {
    Verdict verdict;
    verdict.kind = VerdictKind::kSetupError;
    verdict.message = std::string(executor.status().message());
    return verdict;
  }
  return RunCase(property, CaseOf(input), **executor);
}

void FuzzTarget::WarmUp() {
  const Case simplest = CaseOf({});
  for (const Property* property : properties_) {
    const std::string bytes = BytesOf(*property, simplest);
    HitFeedback(Judge({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}));
  }
}

bool FuzzTarget::IsNew(const Verdict& verdict, const Case& c) const {
  if (!verdict.IsFinding() || (verdict.marginal && !torch_)) return false;
  return std::none_of(known_.begin(), known_.end(), [&](const KnownIssue& issue) {
    return issue.Matches(verdict.signature, engine_name_, engine_version_, c);
  });
}

void FuzzTarget::Run(Bytes input) {
  const Verdict verdict = Judge(input);
  HitFeedback(verdict);
  const Property& property = PropertyOf(input);
  const Case c = CaseOf(input);
  if (verdict.kind == VerdictKind::kSetupError) {
    std::fprintf(stderr, "crosscheck: set-up error, not a finding: %s\n", verdict.message.c_str());
    std::exit(1);
  }
  if (IsNew(verdict, c)) Stop(verdict, Report(verdict, property, c, engine_name_));
}

}  // namespace crosscheck
