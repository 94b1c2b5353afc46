#include "quality/check_golden.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "quality/dump_check.h"
#include "quality/golden_item.h"
#include "quality/metrics/greedy_match.h"
#include "reference/checkpoint.h"

namespace crosscheck::quality {
namespace {

namespace fs = std::filesystem;

// What all engines are compared with.
struct Recorded {
  GoldenIndex index;
  std::vector<GoldenItem> items;  // by prompt
  int greedy_tokens = 0, vocab = 0;
  int eos = -1;  // the model's end-of-sequence id
};

// How much lower the recorded logit of `token` is than the best one. `least`: it is not stored, so
// the gap is at least that of the last of the most likely tokens.
struct Gap {
  double value = std::numeric_limits<double>::infinity();
  bool least = true;
};
Gap GapOf(const GoldenItem& item, size_t at, int token) {
  if (at >= item.positions.size() || item.positions[at].tokens.empty()) return {};
  const GoldenPosition& position = item.positions[at];
  const auto found = std::find(position.tokens.begin(), position.tokens.end(), token);
  const bool stored = found != position.tokens.end();
  const size_t last = std::min<size_t>(position.tokens.size(), kGoldenTokens) - 1;
  const size_t index = stored ? static_cast<size_t>(found - position.tokens.begin()) : last;
  return {position.logits[0] - position.logits[index], !stored};
}

std::string TokenAt(absl::Span<const int32_t> ids, size_t at) {
  return at < ids.size() ? absl::StrCat(ids[at]) : "the end";
}

// One engine on all prompts of a golden.
class EngineCheck {
 public:
  EngineCheck(const Recorded& recorded, Side& side, GoldenResult& result)
      : recorded_(recorded), side_(side), result_(result) {
    judged_.name = side.options().engine;
  }

  absl::Status Run() {
    absl::Status status = ForEachPrompt("forced", &EngineCheck::CheckPositions);
    if (status.ok()) status = ForEachPrompt("greedy", &EngineCheck::CheckIds);
    if (!judged_.worst.empty()) result_.implementations.push_back(std::move(judged_));
    return status;
  }

 private:
  using Check = absl::Status (EngineCheck::*)(size_t prompt);

  absl::Status ForEachPrompt(const char* track, Check check) {
    for (size_t prompt = 0; prompt < recorded_.items.size(); ++prompt) {
      const absl::Status status = (this->*check)(prompt);
      if (absl::IsUnimplemented(status)) {
        result_.skipped.push_back({track, std::string(status.message())});
        return absl::OkStatus();
      }
      // A crash, a hang, a lie, or a refusal of what was answered once.
      if (absl::IsAborted(status) || absl::IsOutOfRange(status) ||
          absl::IsResourceExhausted(status) || absl::IsInvalidArgument(status)) {
        result_.failures.push_back(Place(prompt) + std::string(status.message()));
        return absl::OkStatus();
      }
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  const GoldenPrompt& PromptAt(size_t prompt) const { return recorded_.index.prompts[prompt]; }
  std::string Place(size_t prompt) const {
    return absl::StrCat(side_.options().engine, ": prompt \"", PromptAt(prompt).id, "\": ");
  }
  GoldenDistance AllowedOf(size_t prompt) const {
    return recorded_.index.Allowed(PromptAt(prompt), LargestLogit(recorded_.items[prompt]));
  }

  // The largest share of what is allowed.
  double Record(size_t prompt, const GoldenDistance& distance, const GoldenDistance& allowed) {
    double share = 0;
    for (size_t m = 0; m < kGoldenMeasures; ++m) {
      share = std::max(share, distance[m] / allowed[m]);
      GoldenError& worst = judged_.worst[std::string(kGoldenMeasureNames[m])];
      if (distance[m] / allowed[m] < worst.of_tolerance) continue;
      const double reference = PromptAt(prompt).reference_error[m];
      worst = {.absolute = distance[m],
               .relative = distance[m] > 0 ? distance[m] / reference : 0,
               .of_tolerance = distance[m] / allowed[m]};
    }
    return share;
  }

  absl::Status CheckPositions(size_t prompt) {
    const GoldenItem& item = recorded_.items[prompt];
    auto now = AnsweredBy(item, side_);
    if (!now.ok()) return now.status();
    const GoldenDistance allowed = AllowedOf(prompt);
    int moved = 0;
    double largest = 0;
    std::string first;
    for (size_t t = 0; t < item.positions.size(); ++t) {
      const GoldenChange change = ChangeOf(item.positions[t], now->positions[t]);
      const double share = Record(prompt, change.distance, allowed);
      largest = std::max(largest, share);
      if (share <= 1) continue;
      if (++moved == 1) {
        first = absl::StrCat("position ", t, ": ",
                             Describe(prompt, item.positions[t], now->positions[t], change));
      }
    }
    if (moved == 0) return absl::OkStatus();
    result_.failures.push_back(
        absl::StrFormat("%s%d of %d positions moved, by up to %.3g times what is allowed; first %s",
                        Place(prompt), moved, item.positions.size(), largest, first));
    return absl::OkStatus();
  }

  std::string Describe(size_t prompt, const GoldenPosition& then, const GoldenPosition& now,
                       const GoldenChange& change) const {
    if (!now.finite) return "values that are no logits";
    const GoldenDistance& error = PromptAt(prompt).reference_error;
    return absl::StrFormat(
        "ln p of token %d by %+.3g (reference error %.2g), entropy by %.3g (%.2g); most likely "
        "token %d by a margin of %.3g, now %d by %.3g",
        change.token, change.change, error[0], change.distance[1], error[1], then.best,
        then.margin(), now.best, now.margin());
  }

  absl::Status CheckIds(size_t prompt) {
    const GoldenItem& item = recorded_.items[prompt];
    const auto now = side_.Generate(item.prompt, PromptAt(prompt).text, recorded_.greedy_tokens);
    if (!now.ok()) return now.status();
    GoldenError& worst = judged_.worst["greedy_ids"];  // absolute: prompts that part
    const FirstDivergence first = FindDivergence({item.continuation, item.ended ? "eos" : "length"},
                                                 {now->ids, now->stop}, recorded_.greedy_tokens);
    if (first.kind == DivergenceKind::kNone) return absl::OkStatus();
    const auto at = static_cast<size_t>(first.index);
    const Gap gap = GapOf(item, at, at < now->ids.size() ? now->ids[at] : recorded_.eos);
    const double allowed = AllowedOf(prompt)[0];
    worst.absolute += 1;
    worst.of_tolerance = std::max(worst.of_tolerance, gap.value / (2 * allowed));
    std::string text = absl::StrFormat(
        "%sgreedy ids part at token %d: recorded %s, now %s, whose recorded logit is %s%.3g lower; "
        "two roundings shift at most %.2g",
        Place(prompt), first.index, TokenAt(item.continuation, at), TokenAt(now->ids, at),
        gap.least ? "at least " : "", gap.value, 2 * allowed);
    const bool near = !gap.least && IsNearTie(gap.value, allowed, allowed);
    (near ? result_.notes : result_.failures).push_back(text + (near ? ": a near tie" : ""));
    return absl::OkStatus();
  }

  const Recorded& recorded_;
  Side& side_;
  GoldenResult& result_;
  GoldenImplementationResult judged_;
};

std::string NameOf(const std::string& folder) {
  const fs::path path(folder);
  return (path.has_filename() ? path : path.parent_path()).filename();
}

// The checkpoint must be the recorded one, bit for bit.
absl::StatusOr<std::string> FindModel(const std::string& folder, const std::string& given,
                                      const GoldenIndex& index, const Json& manifest) {
  const std::string model =
      given.empty() ? (fs::path(folder) / index.model).lexically_normal() : fs::path(given);
  const auto identity = ModelIdentity(model);
  if (!identity.ok()) {
    return absl::FailedPreconditionError(absl::StrCat(folder, " is of the checkpoint ", model, ": ",
                                                      std::string(identity.status().message()),
                                                      "; --model says where it is"));
  }
  const Json recorded = ValueAt(manifest, "/model/files");
  if (const std::string difference = FirstDifference(recorded, *identity); !difference.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        folder, ": the checkpoint ", model, " is not the recorded one; SHA-256 at ", difference,
        ". --model names another folder; a changed model needs a new "
        "golden"));
  }
  return model;
}

absl::StatusOr<Recorded> ReadRecorded(const std::string& folder, DumpReader& dump) {
  auto index = ReadGoldenIndex(folder);
  if (!index.ok()) return index.status();
  Recorded recorded{.index = *std::move(index), .items = {}};
  const Json& manifest = dump.manifest();
  const Json tokens = ValueAt(manifest, "/tracks/greedy/tokens");
  const Json vocab = ValueAt(manifest, "/model/vocab");
  const auto prompts = static_cast<int>(recorded.index.prompts.size());
  if (!tokens.is_number_unsigned() || !vocab.is_number_unsigned() ||
      dump.Items("greedy") != prompts || dump.Items("forced") != prompts) {
    return absl::FailedPreconditionError(
        absl::StrCat(folder, ": golden.json and manifest.json do not fit its shards"));
  }
  recorded.greedy_tokens = tokens.get<int>();
  recorded.vocab = vocab.get<int>();
  for (int i = 0; i < prompts; ++i) {
    auto item = ReadGoldenItem(dump, i, recorded.vocab);
    if (!item.ok()) return item.status();
    recorded.items.push_back(*std::move(item));
  }
  return recorded;
}

absl::Status CheckEngine(const std::string& engine, const std::string& model,
                         const Recorded& recorded, GoldenResult& result) {
  auto side = Side::Open({.engine = engine, .model = model});
  if (absl::IsUnimplemented(side.status())) {
    result.skipped.push_back({"every tensor", std::string(side.status().message())});
    return absl::OkStatus();
  }
  if (absl::IsAborted(side.status()) || absl::IsOutOfRange(side.status())) {
    result.failures.push_back(std::string(side.status().message()));
    return absl::OkStatus();
  }
  if (!side.ok()) return side.status();
  if ((*side)->vocab() != recorded.vocab) {
    return absl::FailedPreconditionError(absl::StrCat(
        engine, ": a vocabulary of ", (*side)->vocab(), ", the golden has ", recorded.vocab));
  }
  return EngineCheck(recorded, **side, result).Run();
}

}  // namespace

absl::StatusOr<GoldenResult> CheckRecordedGolden(const std::string& folder,
                                                 const CheckGoldenOptions& options) {
  auto dump = DumpReader::Open(folder);
  if (!dump.ok()) return dump.status();
  auto recorded = ReadRecorded(folder, **dump);
  if (!recorded.ok()) return recorded.status();
  auto model = FindModel(folder, options.model, recorded->index, (*dump)->manifest());
  if (!model.ok()) return model.status();
  auto spec = ReadConfig(*model);
  if (!spec.ok()) return spec.status();
  recorded->eos = spec->eos;
  GoldenResult result;
  result.name = NameOf(folder);
  std::vector<std::string> engines = options.engines;
  if (engines.empty()) engines = {recorded->index.engine};
  for (const std::string& engine : engines) {
    if (absl::Status s = CheckEngine(engine, *model, *recorded, result); !s.ok()) return s;
  }
  return result;
}

}  // namespace crosscheck::quality
