// What a plan changes in a generated model before anything loads it, by name.
//
// Never part of a case: the case keeps its own model, which is what shrinks, and a property makes
// the transformed recipe for one of its runs (Run::model). A new transformation is one kind here
// and one function in model_transform.cc.
//
// Example:
//   auto permuted = Transformed(c.model, {ModelTransform::Kind::kPermuteVocabulary, seed});
//   plan.push_back({.role = Role::kEngine, .model = permuted, .request = …});
#ifndef CROSSCHECK_REFERENCE_MODEL_TRANSFORM_H_
#define CROSSCHECK_REFERENCE_MODEL_TRANSFORM_H_

#include <cstdint>
#include <memory>
#include <vector>

namespace crosscheck {

struct Model;
struct ModelRecipe;

struct ModelTransform {
  enum class Kind {
    kNone,
    kSecondLoad,         // the same model, which is loaded once more and by itself
    kPermuteVocabulary,  // token i becomes token VocabularyPermutation(seed, vocab)[i]
  };
  Kind kind = Kind::kNone;
  uint64_t seed = 0;
  bool operator==(const ModelTransform&) const = default;
};

// A part of one layer that a run has answer zero, so that the residual stream passes it by. Never
// part of a case, and beside any transform: it finds out where an engine goes wrong
// (fuzz/localise_models.h).
enum class ModelBlock {
  kMixer,          // attention or linear attention
  kFeedForward,    // the MLP, or the whole mixture of experts
  kScores,         // attention scores only: every visible key gets the same weight
  kRoutedExperts,  // of a mixture: the shared expert alone answers
};
struct ZeroedBlock {
  int layer;
  ModelBlock block;
  bool operator==(const ZeroedBlock&) const = default;
};

// `recipe` with the transform in the place of its own.
std::shared_ptr<const ModelRecipe> Transformed(const std::shared_ptr<const ModelRecipe>& recipe,
                                               ModelTransform transform);

// A permutation of 0..vocab-1 that is one cycle (Sattolo 1986): every token gets another id. A
// vocabulary of one token has the identity only.
std::vector<int32_t> VocabularyPermutation(uint64_t seed, int vocab);

// What GenerateModel does last. kPermuteVocabulary moves the rows of the embedding and of the head,
// and the end-of-sequence id.
void ApplyTransform(const ModelTransform& transform, Model& model);

// What GenerateModel does after that. Two matrices of each block become zero, one of which feeds
// the other (or meets it in a product): an engine that gets one of them wrong still answers zero.
void ZeroBlock(const ZeroedBlock& zeroed, Model& model);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_MODEL_TRANSFORM_H_
