// No token id means anything: with the rows of embedding and head permuted, and the prompt's ids
// with them, the logits are permuted alike (R22 in judging.md 7).
//
// Bit for bit passes without a reference: lattice and the exact model's fp32 variants always do, as
// each row of their heads is summed alike. A matrix product that treats its last rows otherwise
// rounds otherwise there (libtorch in 27 of 442 cases), hence the bound.
#include <utility>

#include "properties/judges/agreement.h"
#include "properties/judges/answers.h"
#include "properties/property.h"

namespace crosscheck {
namespace {

enum Observation : size_t { kBase, kPermuted, kExactRun, kFirstReference };

std::vector<int32_t> Permutation(const ModelRunCase& c) {
  return VocabularyPermutation(c.relation.permutation, c.model->spec.vocab);
}

Message PermutedRequest(const ModelRunCase& c) {
  const std::vector<int32_t> permutation = Permutation(c);
  Message request = LogitsRequest(c, c.path);
  for (Json& sequence : request.head["sequences"]) {
    for (Json& id : sequence["ids"]) id = permutation[id.get<size_t>()];
  }
  return request;
}

Runs Plan(const Case& erased) {
  const auto& c = erased.As<ModelRunCase>();
  const auto permuted = Transformed(
      c.model, {.kind = ModelTransform::Kind::kPermuteVocabulary, .seed = c.relation.permutation});
  Runs plan = {{.role = Role::kEngine, .model = c.model, .request = LogitsRequest(c, c.path)},
               {.role = Role::kEngine, .model = permuted, .request = PermutedRequest(c)},
               {.role = Role::kExact, .model = c.model, .request = ExactRequest(c)}};
  AppendPerturbed(plan, c.model, [erased](Observations&) {
    const auto& run = erased.As<ModelRunCase>();
    return LogitsRequest(run, run.path);
  });
  return plan;
}

// The logits in the order of the unpermuted vocabulary.
void Unpermute(const std::vector<int32_t>& permutation, LogitsAnswer& answer) {
  for (SequenceLogits& sequence : answer.sequences) {
    const std::vector<double> permuted = sequence.values;
    for (size_t row = 0; row < permuted.size(); row += permutation.size()) {
      for (size_t i = 0; i < permutation.size(); ++i) {
        sequence.values[row + i] = permuted[row + static_cast<size_t>(permutation[i])];
      }
    }
  }
}

Verdict Judge(const Case& erased, Observations& observations) {
  const auto& c = erased.As<ModelRunCase>();
  const std::string stage = PathName(c.path);
  LogitsAnswer answers[2];
  for (const size_t run : {kBase, kPermuted}) {
    if (auto wrong = ReadEngineLogits(observations[run], c, stage, answers[run])) return *wrong;
  }
  Unpermute(Permutation(c), answers[kPermuted]);
  return JudgeAgreement({c, c.path, answers[kBase], kFirstReference},
                        {c, c.path, answers[kPermuted], kFirstReference}, stage, kExactRun,
                        observations);
}

}  // namespace

const Property& PropertyNamed_vocabulary_permutation() {
  static const Property property = {.name = "vocabulary_permutation",
                                    .subject = &ModelRunSubject(),
                                    .needs = {"model/1"},
                                    .kills = {"faulty:padding_row", "faulty:token_logit"},
                                    .benign = EnginesInFp32(),
                                    .plan = Plan,
                                    .judge = Judge};
  return property;
}

}  // namespace crosscheck
