#include "fuzz/campaign/batch_runner.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "fuzz/campaign/features.h"
#include "fuzz/fuzz_target.h"
#include "fuzz/run_case.h"
#include "fuzz/smoke.h"
#include "properties/visitors/ranges.h"

namespace crosscheck {
namespace {

Bytes AsBytes(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

void ChangeOneByte(Stream& stream, std::string& bytes) {
  if (bytes.empty()) return;
  const auto last = static_cast<int64_t>(bytes.size()) - 1;
  // Fields that matter most (family, style, path) stand first, so half the changes are there.
  const int64_t at =
      stream.OneIn(2) ? stream.Int(0, std::min<int64_t>(last, 31)) : stream.Int(0, last);
  char& byte = bytes[static_cast<size_t>(at)];
  switch (stream.Int(0, 3)) {
    case 0:
      byte = static_cast<char>(byte + 1);
      break;
    case 1:
      byte = static_cast<char>(byte - 1);
      break;
    case 2:
      byte = static_cast<char>(byte ^ static_cast<char>(1 << stream.Int(0, 7)));
      break;
    default:
      byte = static_cast<char>(stream.Int(0, 255));
  }
}

}  // namespace

Case MutatedCase(const std::vector<Case>& bases, uint64_t seed, int64_t index,
                 const Limits& limits) {
  Stream stream(MixBits(seed) + static_cast<uint64_t>(index), "corpus");
  const auto last = static_cast<int64_t>(bases.size()) - 1;
  const Case& base = bases[static_cast<size_t>(stream.Int(0, last))];
  const Subject& subject = base.subject();
  std::string bytes = subject.write(base);
  if (stream.OneIn(8)) {  // the end of another one
    const std::string other = subject.write(bases[static_cast<size_t>(stream.Int(0, last))]);
    const auto common = static_cast<int64_t>(std::min(bytes.size(), other.size()));
    const auto cut = static_cast<size_t>(stream.Int(0, common));
    bytes = bytes.substr(0, cut) + other.substr(cut);
  }
  for (int64_t changes = stream.Int(1, 4); changes > 0; --changes) ChangeOneByte(stream, bytes);
  return subject.read(AsBytes(bytes), limits);
}

absl::StatusOr<BatchReply> BatchRunner::Run(const BatchRequest& request, Executor& executor) {
  const Property* property = FindProperty(request.property);
  if (property == nullptr) {
    return absl::NotFoundError(absl::StrCat("there is no property '", request.property, "'"));
  }
  auto inputs = ReadInputs(request, executor);
  if (!inputs.ok()) return inputs.status();
  SmokeOptions sequence;
  sequence.properties = {property};
  sequence.seed = request.seed;
  BatchReply reply;
  reply.record.row = {.engine = request.engine,
                      .property = request.property,
                      .driver = request.driver,
                      .first = request.first};
  const auto start = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < request.cases && !hooks_.stopped(); ++i) {
    const int64_t index = request.first + i;
    if (request.trace) hooks_.started(index);
    const bool recheck = request.driver == kRecheckDriver;
    if (recheck && i >= static_cast<int64_t>(inputs->size())) break;
    const Case c = recheck ? (*inputs)[static_cast<size_t>(i)]
                   : request.driver == kCorpusDriver
                       ? MutatedCase(*inputs, request.seed, index, executor.limits())
                       : CaseOfSequence(sequence, executor.limits(), index).value;
    Count(request, *property, index, c, RunCase(*property, c, executor), executor, reply);
  }
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
  reply.record.row.seconds = spent.count();
  return reply;
}

absl::StatusOr<std::vector<Case>> BatchRunner::ReadInputs(const BatchRequest& request,
                                                          const Executor& executor) const {
  std::vector<Case> cases;
  absl::Status last;
  for (const std::string& input : request.inputs) {
    if (!request.subject.empty()) {
      const Subject* subject = FindSubject(request.subject);
      if (subject == nullptr) return absl::NotFoundError("no subject " + request.subject);
      const std::string bytes = FromHex(input);
      const Bytes rest = AsBytes(bytes).subspan(bytes.empty() ? 0 : 1);
      cases.push_back(subject->read(rest, FuzzLimits(executor.limits())));
      continue;
    }
    auto parsed = ParseCorpusInput(input);
    if (parsed.ok()) {
      cases.push_back(parsed->value);
    } else {
      last = parsed.status();
    }
  }
  if (cases.empty() && request.driver != kRandomDriver) {
    return last.ok() ? absl::InvalidArgumentError("the batch has no inputs") : last;
  }
  return cases;
}

void BatchRunner::Count(const BatchRequest& request, const Property& property, int64_t index,
                        const Case& c, const Verdict& verdict, Executor& executor,
                        BatchReply& reply) {
  BatchRecord& record = reply.record;
  const auto count = [&record](std::string_view kind, std::string name) {
    ++record.counters[{std::string(kind), std::move(name)}];
  };
  ++record.row.cases;
  const std::vector<std::string> labels = c.subject().labels(c);
  for (const std::string& label : labels) count(kLabelCounter, label);
  const auto narrowed = NarrowedFields(c, executor.limits(), kEverythingServed);
  if (!narrowed.empty()) count(kNarrowedCounter, "");
  for (const std::string& field : narrowed) count(kNarrowedCounter, field);
  for (const Measure& measure : verdict.measures) {
    if (measure.bound <= 0) continue;
    ++record.margins[{measure.path, measure.metric}][MarginBucket(measure.error / measure.bound)];
  }
  KeepIfNew(request, property, c, verdict, labels, reply);
  switch (verdict.kind) {
    case VerdictKind::kPass:
      ++record.row.passed;
      break;
    case VerdictKind::kNearTie:
      ++record.row.near_ties;
      break;
    case VerdictKind::kUnsupported:
      ++record.row.unsupported;
      count(kUnsupportedCounter, verdict.message);
      break;
    case VerdictKind::kSetupError:
      ++record.row.setup_errors;
      count(kSetupErrorCounter, verdict.message);
      break;
    default:
      CountFinding(request, property, index, c, verdict, executor, reply);
  }
}

void BatchRunner::CountFinding(const BatchRequest& request, const Property& property, int64_t index,
                               const Case& c, const Verdict& verdict, Executor& executor,
                               BatchReply& reply) {
  const std::string signature = verdict.signature.ToString();
  const std::string version = executor.hello().value("version", "");
  for (const KnownIssue& issue : known_issues_) {
    if (!issue.Matches(verdict.signature, executor.engine_name(), version, c)) continue;
    ++reply.record.row.known;
    ++reply.record.counters[{std::string(kKnownCounter), signature}];
    return;
  }
  ++reply.record.row.findings;
  for (FindingRow& finding : reply.record.findings) {
    if (finding.signature != signature) continue;
    ++finding.count;
    return;
  }
  reply.record.findings.push_back(
      {.signature = signature,
       .property = std::string(property.name),
       .engine = request.engine,
       .driver = request.driver,
       .verdict = std::string(kVerdictKindNames[static_cast<size_t>(verdict.kind)]),
       .message = verdict.message,
       .first_case = index,
       .count = 1,
       .case_text = c.subject().print(c),
       .marginal = verdict.marginal});
}

void BatchRunner::KeepIfNew(const BatchRequest& request, const Property& property, const Case& c,
                            const Verdict& verdict, const std::vector<std::string>& labels,
                            BatchReply& reply) {
  NewInput input;
  for (const uint64_t feature : FeaturesOf(request.engine, verdict, labels)) {
    if (seen_.insert(feature).second) input.features.push_back(feature);
  }
  if (input.features.empty()) return;
  input.payload = PrintCorpusInput(property, c);
  reply.inputs.push_back(std::move(input));
}

}  // namespace crosscheck
