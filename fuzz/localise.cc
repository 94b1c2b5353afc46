#include "fuzz/localise.h"

#include <algorithm>
#include <exception>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "fuzz/localise_models.h"
#include "fuzz/localise_taps.h"
#include "fuzz/run_case.h"
#include "properties/subjects/model_run.h"
#include "reference/reference_model.h"

namespace crosscheck {
namespace {

constexpr char kTaps[] = "taps";
constexpr char kEmbedding[] = "embedding";
constexpr char kFinalNormOrHead[] = "final norm or lm_head";

bool IsBad(const StageError& stage) { return stage.bad(); }

// The tokens of each sequence; where the property lets the engine generate, with the tokens that
// the exact model generates from it.
std::vector<std::vector<int32_t>> TapSequences(const ModelRunCase& c, bool generates) {
  std::vector<std::vector<int32_t>> all;
  all.reserve(c.sequences.size());
  for (const SequenceCase& sequence : c.sequences) all.push_back(sequence.ids);
  if (!generates) return all;
  const auto exact =
      MakeExactModel(std::make_shared<const Model>(GenerateModel(*c.model)), ExactVariant::kFp64);
  const auto room = static_cast<size_t>(c.model->spec.max_positions);
  for (size_t s = 0; exact.ok() && s < all.size(); ++s) {
    const auto session = (*exact)->NewSession();
    auto logits = session->Extend({.ids = all[s], .all_positions = false});
    for (int i = 1; i < c.sequences[s].generate && all[s].size() < room && logits.ok(); ++i) {
      all[s].push_back(ArgMax(logits->row(0)));
      logits = session->Extend({.ids = absl::MakeConstSpan(&all[s].back(), 1)});
    }
  }
  return all;
}

bool ReadsResidual(const StageError& stage) {
  return stage.stage == "input norm" || stage.stage == "post-attention norm" ||
         stage.stage == kFinalNormOrHead;
}

// Where the residual stream is not tapped, what is wrong with it shows in every norm from there on;
// a wrong norm shows in itself alone.
void NameResidual(std::vector<StageError>& stages) {
  const auto tapped = [](const StageError& s) { return s.stage == kEmbedding; };
  const auto first = std::find_if(stages.begin(), stages.end(), IsBad);
  if (first == stages.end() || !ReadsResidual(*first)) return;
  if (std::any_of(stages.begin(), stages.end(), tapped)) return;
  const auto next = std::find_if(first + 1, stages.end(), ReadsResidual);
  if (next == stages.end() || !next->bad()) return;
  if (first->layer == 0 && first->stage == "input norm") {
    first->layer = -1;
    first->stage = kEmbedding;
  } else {  // the norm before hides a wrong scale of the embedding
    first->stage = first->layer == 0 ? "residual or embedding" : "residual";
  }
}

class Localiser {
 public:
  Localiser(const Property& property, const Case& c, const Verdict& verdict, Executor& executor)
      : property_(property), c_(c), verdict_(verdict), executor_(executor) {}

  Localisation Run(const LocaliseOptions& options) {
    if (!FailsAgain()) return std::move(result_);
    if (options.use_taps) ByTaps();
    if (!result_.first_bad) LocaliseByModels(property_, c_, executor_, result_);
    return std::move(result_);
  }

 private:
  void Note(std::string note) { result_.notes.push_back(std::move(note)); }

  bool FailsAgain() {
    const Verdict again = RunCase(property_, c_, executor_);
    const bool same = again.kind == verdict_.kind && again.signature == verdict_.signature;
    if (!same) Note("the case does not fail again with this signature");
    return same;
  }

  void ByTaps() {
    if (c_.subject().name != ModelRunCase::kSubjectName) {
      return Note("no taps on cases of this kind");
    }
    const auto& c = c_.As<ModelRunCase>();
    const bool generates = verdict_.signature.error == ErrorClass::kToken;
    for (const std::vector<int32_t>& ids : TapSequences(c, generates)) {
      const absl::StatusOr<Tapped> tapped = TapEngine(c.model, ids, executor_);
      if (!tapped.ok()) return Note(std::string(tapped.status().message()));
      auto ladder = StageErrors(*c.model, ids, *tapped);
      if (!ladder.ok()) {
        return Note(absl::StrCat("the exact model fails: ", ladder.status().message()));
      }
      NameResidual(ladder->stages);
      NameHead(c.model, ids, ladder->stages);
      if (!Take(std::move(ladder->stages))) continue;
      for (const Misfit& misfit : ladder->misfits) {
        if (misfit.layer == result_.first_bad->layer) Note(misfit.text);
      }
      return;
    }
    Note("no stage is beyond its bound on the path that is tapped");
  }

  // The last stage of all is the one to ask about when nothing before it is bad.
  void NameHead(const std::shared_ptr<const ModelRecipe>& model, const std::vector<int32_t>& ids,
                std::vector<StageError>& stages) const {
    const auto first = std::find_if(stages.begin(), stages.end(), IsBad);
    if (first == stages.end() || first->stage != kFinalNormOrHead) return;
    const std::optional<bool> norm = FinalNormIsBad(model, ids, executor_);
    if (norm) first->stage = *norm ? "final norm" : "lm_head";
  }

  // Whether a stage of this sequence is bad.
  bool Take(std::vector<StageError> stages) {
    const auto first = std::find_if(stages.begin(), stages.end(), IsBad);
    const bool bad = first != stages.end();
    if (bad) result_.first_bad = {.layer = first->layer, .stage = first->stage, .means = kTaps};
    std::sort(stages.begin(), stages.end(), [](const StageError& a, const StageError& b) {
      return a.ratio != b.ratio ? a.ratio > b.ratio : a.layer < b.layer;
    });
    result_.stages = std::move(stages);
    return bad;
  }

  const Property& property_;
  const Case& c_;
  const Verdict& verdict_;
  Executor& executor_;
  Localisation result_;
};

}  // namespace

std::string Localisation::ToLine() const {
  std::string line;
  if (!first_bad) {
    line = "first bad: not found";
  } else {
    line = first_bad->layer < 0
               ? absl::StrCat("first bad: ", first_bad->stage, " (", first_bad->means, ")")
               : absl::StrCat("first bad: layer ", first_bad->layer, ", ", first_bad->stage, " (",
                              first_bad->means, ")");
    for (const StageError& stage : stages) {
      if (first_bad->means != kTaps || stage.layer != first_bad->layer ||
          stage.stage != first_bad->stage)
        continue;
      absl::StrAppendFormat(&line, ": added error %.3g, %.3g times its bound", stage.added_error,
                            stage.ratio);
      break;
    }
  }
  for (const std::string& note : notes) absl::StrAppend(&line, "; ", note);
  return line;
}

bool CanLocalise(const Property& property, const Case& c, const Verdict& verdict) {
  if (verdict.kind != VerdictKind::kEngineBug || RecipeOf(c) == nullptr) return false;
  const ErrorClass error = verdict.signature.error;
  return error == ErrorClass::kNumeric || error == ErrorClass::kNonfinite ||
         (error == ErrorClass::kToken && property.name == "greedy_prefix" &&
          verdict.signature.stage != "tie");
}

Localisation Localise(const Property& property, const Case& c, const Verdict& verdict,
                      Executor& executor, const LocaliseOptions& options) {
  // As in RunCase: third-party code may throw, and a report must not fail for want of a place.
  try {
    return Localiser(property, c, verdict, executor).Run(options);
  } catch (const std::exception& e) {
    Localisation failed;
    failed.notes.push_back(absl::StrCat("exception: ", e.what()));
    return failed;
  }
}

}  // namespace crosscheck
